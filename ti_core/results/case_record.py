"""The record of a case, ``case.json``, and the checks before anything in it is used."""

from __future__ import annotations

from functools import cache
from typing import Annotated, Any, Literal, Self

from pydantic import AfterValidator, Field, create_model, model_validator

from ti_core.errors import CaseError
from ti_core.results.case import CASE_VERSION
from ti_core.results.files.file_record import as_card
from ti_core.results.groups import ISO
from ti_core.results.limits import check_plain
from ti_core.results.report import SCHEMA_VERSION, report_record, version_of
from ti_core.system.records import Digest, Group, Name, Number, Text, absent, matching
from ti_core.system.schema import Schema


class DecisionRecord(Group):
    """Features and thresholds of one meta-model."""

    names: list[Text]
    low: Number = Field(ge=0)
    high: Number = Field(le=1)

    @model_validator(mode="after")
    def _ordered(self) -> Self:
        if self.low > self.high:
            raise ValueError("the thresholds are the wrong way round")
        return self


class CaseRecord(Group):
    """Everything in a case except its report and its arrays."""

    case_version: int
    created: Annotated[Text, matching(ISO)]
    finished: bool
    class_names: list[Text] = Field(min_length=1, max_length=10_000)
    # They become names of files.
    kinds: list[Name]
    maker: Text
    witness: Text
    decisions: dict[Literal["saliency", "joint"], DecisionRecord]
    attributions: list[Text]
    unfit: dict[Text, Text] = absent("Why other methods of attribution cannot be used, by name.")
    notes: list[Text]
    file: Annotated[dict[Text, Any], AfterValidator(as_card)]
    code: Literal[""] | Digest
    arrays_sha256: Text


@cache
def case_schema(version: int = SCHEMA_VERSION) -> Schema:
    """The schema of a case's record, with a report of that schema version."""
    whole: Any = {"report": (report_record(version), ...)}
    return Schema(create_model("Case", __base__=CaseRecord, **whole), "TrojanInterpret's case")


def check_record(values: Any, alone: bool = False) -> None:
    """Check the record of a case.

    Parameters
    ----------
    alone : whether the record of an inspection without a reference pack is allowed, too.

    Raises
    ------
    CaseError : ``values`` is no such record.
    """
    try:
        check_plain(values)
    except ValueError as error:
        raise _invalid(str(error)) from error
    version = values.get("case_version") if isinstance(values, dict) else None
    if type(version) is int and version != CASE_VERSION:
        raise CaseError(
            f"The case has version {version}, this program reads {CASE_VERSION}; inspect the model again."
        )
    held = values.get("report") if isinstance(values, dict) else None
    found = case_schema(version_of(held if isinstance(held, dict) else {})).problems(values)
    if found:
        raise _invalid(found[0])
    report, classes = values["report"], len(values["class_names"])
    if report["target_class"] is not None and report["target_class"] >= classes:
        raise _invalid("report.target_class is none of the classes.")
    if not alone and report["pack"]["name"] is None:
        raise _invalid("report.pack.name is missing.")


def _invalid(problem: str) -> CaseError:
    return CaseError(f"The case is not valid ({problem.removesuffix('.')}); inspect the model again.")
