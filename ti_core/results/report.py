"""The report of an inspection: the JSON report of schema version 2. Version 1 can still be read."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from functools import cache
from typing import Annotated, Any, Literal, get_type_hints

from pydantic import AfterValidator, create_model, model_validator
from pydantic import Field as Described

from ti_core.kinds import KINDS, Kind
from ti_core.results.coverage import remarks, rows_of
from ti_core.results.groups import (
    Bearing,
    Covered,
    Inspected,
    LabelMapping,
    ReferencePack,
    Shaped,
    Streams,
    as_settings,
)
from ti_core.results.limits import check_plain
from ti_core.results.opinions import SecondOpinion
from ti_core.results.sealed import seal_of
from ti_core.results.wording import LONGEST_NAME, about, finding
from ti_core.system.records import Digest, Group, Number, Text
from ti_core.system.schema import Schema
from ti_core.text import shown

SCHEMA_VERSION = 2
FIRST_VERSION = 1
"""The earliest schema version that is still read."""
SINCE_2 = ("mapping", "coverage", "bearings", "opinions")
"""Fields that reports of schema version 1 do not have."""
MAY_LACK = ("seal", "bearings", "opinions")
"""Fields that not every report of this schema version has."""

Second = Annotated[Number, Described(ge=0, description="Seconds.")]
Source = Annotated[
    Text, Described(description='"computed", "cache" or "baseline"; `problem`: why there is no cache.')
]
Version = Annotated[
    Text, Described(description="A version; `source`: digest of the program's own source files.")
]
Confinement = Annotated[
    Text, Described(description="A sentence; none where the caller's own process opened the file.")
]
Setting = Annotated[Any, Described(description="A number, a text, or a list of either.")]


@dataclass(frozen=True)
class Report:
    """A verdict with everything that it rests on; :meth:`as_dict` is the JSON report.

    The annotations are the schema of the JSON report: :func:`report_schema`. They are checked where a report is read
    (:meth:`from_dict`), not where the program makes one.
    """

    verdict: Annotated[
        str,
        Shaped(Literal["clean", "backdoored", "inconclusive"]),
        Described(description='"clean", "backdoored" or "inconclusive".'),
    ]
    probability: Annotated[
        float,
        Shaped(Annotated[Number, Described(ge=0, le=1)]),
        Described(description="Of a backdoor, calibrated, 0 to 1."),
    ]
    trigger_kind: Annotated[
        str | None,
        Shaped(Kind | None),
        Described(
            description="The suspected kind of trigger: "
            + ", ".join(f'"{kind}"' for kind in KINDS[:-1])
            + f' or "{KINDS[-1]}".'
        ),
    ]
    target_class: Annotated[
        int | None,
        Shaped(Annotated[int, Described(ge=0)] | None),
        Described(description="The class that the backdoor answers with, counted from 0."),
    ]
    target_class_name: Annotated[
        str | None, Shaped(Text | None), Described(description="Its name in the pack.")
    ]
    mapping: Annotated[
        dict[str, Any] | None,
        Shaped(LabelMapping | None),
        Described(description="Where the backdoor leads; null where the verdict names no class."),
    ] = field(default=None, kw_only=True)
    reasons: Annotated[
        tuple[str, ...], Shaped(list[Text]), Described(description="Sentences, the weightiest first.")
    ]
    bearings: Annotated[
        list[dict[str, Any]],
        Shaped(list[Bearing]),
        Described(description="For each of the reasons, what it says. Earlier reports have none."),
    ] = field(default_factory=list, kw_only=True)
    coverage: Annotated[
        list[dict[str, Any]],
        Shaped(list[Covered]),
        Described(description="What the verdict is about: one entry for each kind of trigger and mapping."),
    ] = field(default_factory=list, kw_only=True)
    streams: Annotated[
        dict[str, dict[str, Any]],
        Shaped(Streams),
        Described(description="The score and the figures of every stream of evidence."),
    ]
    opinions: Annotated[
        list[dict[str, Any]],
        Shaped(list[SecondOpinion]),
        Described(
            description="What methods of other publications say, where they were asked; apart from the verdict."
        ),
    ] = field(default_factory=list, kw_only=True)
    model: Annotated[dict[str, Any], Shaped(Inspected), Described(description="What was inspected.")]
    pack: Annotated[
        dict[str, Any], Shaped(ReferencePack), Described(description="What the model was compared with.")
    ]
    settings: Annotated[
        dict[str, Any],
        Shaped(Annotated[dict[Text, Setting], AfterValidator(as_settings)]),
        Described(description="What the inspection was done with: [settings](settings.md)."),
    ]
    timings: Annotated[
        dict[str, float], Shaped(dict[Text, Second]), Described(description="Seconds by stage.")
    ]
    cache: Annotated[
        dict[str, str],
        Shaped(dict[Text, Source]),
        Described(description="By stage, where its figures came from."),
    ]
    versions: Annotated[
        dict[str, str],
        Shaped(dict[Text, Version]),
        Described(description="Of the program and of what its figures depend on."),
    ]
    isolation: Annotated[
        dict[str, str],
        Shaped(dict[Text, Confinement]),
        Described(
            description="What the process that opened the file was kept from, by which means, and what was left open."
        ),
    ] = field(default_factory=dict)
    schema_version: Annotated[
        int, Shaped(Annotated[int, Described(ge=2, le=2)]), Described(description="2.")
    ] = field(default=SCHEMA_VERSION)
    seal: Annotated[
        str,
        Shaped(Digest),
        Described(description="Digest of all other fields. Reports of earlier versions have none."),
    ] = field(default="", compare=False)

    @property
    def content_seal(self) -> str:
        """The seal that belongs to this content. :attr:`seal` is the one that the report was read with, or empty."""
        return seal_of(self._content())

    def _content(self) -> dict[str, Any]:
        content = {"schema_version": self.schema_version} | asdict(self)
        del content["seal"]
        if self.schema_version == FIRST_VERSION:
            for name in SINCE_2:
                del content[name]
        for name in ("bearings", "opinions"):
            if not content.get(name):
                content.pop(name, None)
        return content

    def as_dict(self) -> dict[str, Any]:
        """The JSON report, with the seal of its content."""
        content = self._content()
        return content | {"seal": seal_of(content)}

    @classmethod
    def from_dict(cls, record: Mapping[str, Any]) -> Report:
        """The report of a record that was read from JSON, of this schema version or an earlier one.

        The record is checked, since it may come from a process that a model file has taken over.

        Raises
        ------
        ValueError : the record is no report. The message is one sentence.
        """
        check_plain(record, 1)
        found = report_schema(version_of(record)).problems(record)
        if found:
            raise ValueError(found[0])
        return cls.of(record)

    @classmethod
    def of(cls, record: Mapping[str, Any]) -> Report:
        """The report of a record that was checked."""
        values = {f.name: record[f.name] for f in fields(cls) if f.name in record}
        return cls(
            **values | {"reasons": tuple(values["reasons"]), "probability": float(values["probability"])}
        )

    def as_json(self, indent: int | None = 2) -> str:
        return json.dumps(self.as_dict(), indent=indent, allow_nan=False)

    def sentence(self) -> str:
        """The verdict as one sentence. A clean one says of what."""
        file, sure = shown(self.model["file"], LONGEST_NAME), percent(self.probability)
        if self.verdict == "backdoored":
            return f"{file} is backdoored{self._finding()}; probability {sure}."
        about = self._about()
        if self.verdict == "clean":
            return f"{file} looks clean{about}: probability of a backdoor {sure}."
        return f"{file}: inconclusive{about}, probability of a backdoor {sure}."

    def heading(self) -> str:
        """The verdict in a few words, without a full stop, for a page that names the file beside it."""
        if self.verdict == "backdoored":
            return f"Backdoored{self._finding()}"
        return f"{self.verdict.capitalize()}{self._about()}"

    def odds(self) -> str:
        """What stands beside the heading: the file and the probability."""
        return f"{shown(self.model['file'], LONGEST_NAME)}: probability of a backdoor {percent(self.probability)}."

    def limits(self) -> list[str]:
        """Sentences on what a verdict that is not "backdoored" says little or nothing of."""
        return [] if self.verdict == "backdoored" else remarks(rows_of(self.coverage))

    def _about(self) -> str:
        return about(self.verdict, rows_of(self.coverage))

    def _finding(self) -> str:
        mapping = self.mapping
        if mapping is None and self.target_class is not None:
            # A report of schema version 1 knows no other mapping.
            mapping = {"kind": "all to one", "target_name": self.target_class_name}
        return finding(self.trigger_kind, mapping)


def version_of(record: Mapping[str, Any]) -> int:
    """The schema version of a record that was read from JSON, which is not checked yet."""
    version = record.get("schema_version")
    return FIRST_VERSION if type(version) is int and version == FIRST_VERSION else SCHEMA_VERSION


@cache
def report_record(version: int = SCHEMA_VERSION) -> type[Group]:
    """The model that checks a report's JSON record; its fields are those of :class:`Report`."""
    hints = get_type_hints(Report, include_extras=True)
    if version == FIRST_VERSION:
        hints = {name: hint for name, hint in hints.items() if name not in SINCE_2} | _FIRST
    names = ["schema_version", *(name for name in hints if name != "schema_version")]
    whole: Any = {name: (hints[name], None if name in MAY_LACK else ...) for name in names}
    rules: Any = {"consistent": model_validator(mode="after")(_consistent)}
    return create_model("Report", __base__=Group, __validators__=rules, **whole)


_FIRST: dict[str, Any] = {
    "schema_version": Annotated[int, Described(ge=1, le=1, description="1.")],
    "trigger_kind": Annotated[
        Literal["blend", "patch"] | None,
        Described(description='The suspected kind of trigger, "blend" or "patch".'),
    ],
}
"""The fields that were others in schema version 1."""


def _consistent(record: Any) -> Any:
    """What must hold between the groups of a record."""
    if record.target_class is not None and record.target_class >= record.model.classes:
        raise ValueError("the target class is none of the model's classes")
    if record.model.clean_accuracy is None and record.pack.name is not None:
        raise ValueError("model.clean_accuracy is missing")
    if (bearings := getattr(record, "bearings", None)) and len(bearings) != len(record.reasons):
        raise ValueError("bearings has not one entry for each of the reasons")
    for one in getattr(record, "opinions", None) or ():
        if one.target_class is not None and one.target_class >= record.model.classes:
            raise ValueError("an opinion names a class that is none of the model's classes")
    mapping: LabelMapping | None = getattr(record, "mapping", None)
    if mapping is not None and mapping.largest >= record.model.classes:
        raise ValueError("the mapping names a class that is none of the model's classes")
    return record


@cache
def report_schema(version: int = SCHEMA_VERSION) -> Schema:
    """The schema of the JSON report of a schema version."""
    return Schema(report_record(version), "TrojanInterpret's JSON report")


def percent(probability: float) -> str:
    """A probability in words for a sentence. It is never given as 0% or 100%."""
    return "over 99%" if probability > 0.99 else "under 1%" if probability < 0.01 else f"{probability:.0%}"
