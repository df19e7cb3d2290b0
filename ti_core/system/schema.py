"""JSON Schema, list of fields and error sentences for a pydantic model of a JSON record."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache, cached_property
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError
from pydantic.json_schema import GenerateJsonSchema, JsonSchemaValue
from pydantic_core import CoreSchema, ErrorDetails, core_schema

from ti_core.text import shown

Record = TypeVar("Record", bound=BaseModel)

WORDS: Mapping[str, str] = {
    "string": "text",
    "integer": "whole number",
    "number": "number",
    "boolean": "yes or no",
    "null": "null",
    "array": "list",
    "object": "group",
}
"""The documentation's words for JSON Schema's types."""
UNKNOWN = ("extra_forbidden", "unexpected_keyword_argument")
NO_TYPE = ("_type", "is_instance_of")
"""Endings of pydantic's names for errors of type."""


@dataclass(frozen=True)
class Field:
    """One field. "*" in its path stands for any name.

    Parameters
    ----------
    path : names joined by dots.
    kind : words for its type, joined by " or ": see :data:`WORDS`. "anything" where every type is allowed.
    says : its description.
    always : whether the group around it always has it.
    """

    path: str
    kind: str
    says: str
    always: bool


class Schema:
    """The schema of the JSON records that ``model`` checks."""

    def __init__(self, model: type[BaseModel], title: str) -> None:
        self._model, self._title = model, title

    @cached_property
    def json(self) -> dict[str, Any]:
        """The schema as JSON Schema, draft 2020-12."""
        made = self._model.model_json_schema(schema_generator=_Plain)
        return {"$schema": _Plain.schema_dialect} | made | {"title": self._title}

    @cached_property
    def fields(self) -> tuple[Field, ...]:
        """Every field, each group before what is in it."""
        return tuple(self._walk(self.json, ""))

    def _walk(self, group: Mapping[str, Any], path: str) -> Iterator[Field]:
        required = group.get("required", [])
        rest = group.get("additionalProperties")
        named = ({"*": rest} if isinstance(rest, dict) else {}) | group.get("properties", {})
        for name, node in named.items():
            target = self._target(node)
            says = node.get("description", target.get("description", ""))
            yield Field(f"{path}{name}", self._kind(node), says, name in required)
            yield from self._walk(target, f"{path}{name}.")

    def _target(self, node: Mapping[str, Any]) -> Mapping[str, Any]:
        reference = node.get("$ref")
        target: Mapping[str, Any] = self.json["$defs"][reference.rsplit("/", 1)[1]] if reference else node
        return target

    def _kind(self, node: Mapping[str, Any]) -> str:
        kinds = [self._target(n).get("type") for n in node.get("anyOf", [node])]
        return " or ".join(WORDS.get(str(kind), "anything") for kind in kinds)

    def children(self, path: str) -> dict[str, Field]:
        """The fields of the group at ``path`` (with a dot at its end, "" for the whole record), by their last name."""
        return {
            f.path.removeprefix(path): f
            for f in self.fields
            if f.path.startswith(path) and "." not in f.path.removeprefix(path)
        }

    def problems(self, record: Any) -> list[str]:
        """One sentence for each field that is unknown, missing, of another type or out of range."""
        try:
            self._model.model_validate(record)
        except ValidationError as error:
            found = error.errors(include_url=False, include_context=False, include_input=False)
            return [self._sentence(e) for e in found]
        return []

    def _sentence(self, error: ErrorDetails) -> str:
        path, name, field = "", "", None
        for part in error["loc"]:
            path = f"{field.path}." if field else f"{path}{name}." if name else ""
            name = shown(str(part))
            known = self.children(path)
            field = known.get(str(part)) or known.get("*")
        where = f"{path}{name}" or "the record"
        if error["type"] == "missing":
            return f"{where} is missing."
        if error["type"] in UNKNOWN:
            return f"{where} is unknown."
        if field and error["type"].endswith(NO_TYPE):
            return f"{where} is no {field.kind}."
        says = error["msg"].removeprefix("Value error, ")
        return f"{where} is not valid: {says[:1].lower()}{says[1:].rstrip('.')}."

    def table(self) -> str:
        """The fields as a Markdown table."""
        rows = [
            f"| `{f.path}` | {f.kind} | {f.says}{'' if f.always else ' Not always there.'} |"
            for f in self.fields
        ]
        return "\n".join(["| field | type | what it is |", "| --- | --- | --- |", *rows])


@cache
def schema_of(model: type[BaseModel], title: str) -> Schema:
    """The schema of the JSON records that ``model`` checks, made once."""
    return Schema(model, title)


def checked(model: type[Record], title: str, record: Any) -> Record:
    """The record as its model.

    Raises
    ------
    ValueError : it is no such record. The message is one sentence.
    """
    if found := schema_of(model, title).problems(record):
        raise ValueError(found[0])
    return model.model_validate(record)


class _Plain(GenerateJsonSchema):
    """JSON Schema without titles and without defaults: a field is there or it is not."""

    def field_title_should_be_set(self, schema: Any) -> bool:
        return False

    def default_schema(self, schema: core_schema.WithDefaultSchema) -> JsonSchemaValue:
        return self.generate_inner(schema["schema"])

    def generate(self, schema: CoreSchema, mode: Any = "validation") -> JsonSchemaValue:
        made = super().generate(schema, mode)
        for group in made.get("$defs", {}).values():
            group.pop("title", None)
        return made
