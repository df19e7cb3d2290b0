"""The record of a reference pack, ``pack.json``, and its checks: a stranger may have written it.

Every field has a type and a range. So nothing in a record makes a later step run for hours, take all memory or fail in
an unforeseen way. The other files of a pack are checked where they are read: :mod:`ti_core.reference.pack_files`.
"""

from __future__ import annotations

import re
from functools import cache
from typing import Annotated, Any, Literal, Self

from pydantic import AfterValidator, Field, model_validator

from ti_core.errors import PackError, SettingsError
from ti_core.kinds import Kind, MappingKind
from ti_core.reference.families import mapping_of
from ti_core.settings import Settings
from ti_core.system.records import Digest, Group, Name, Number, Text, Whole, absent, matching
from ti_core.system.schema import Schema
from ti_core.text import shown

SCHEMA_VERSION = 1
MOST_MEMBERS = 5_000
MOST_CLASSES = 10_000
LARGEST_OPTION = 65_536
"""Largest number among a network's options."""
MOST_LAYERS = 512
"""Largest number of layers or blocks among a network's options."""
LAYERS = ("depth", "blocks", "layers")
"""Options that count layers or blocks."""
LONGEST_TEXT = 300


def _short(text: str) -> str:
    if len(text) > LONGEST_TEXT:
        raise ValueError(f"it is longer than {LONGEST_TEXT} characters")
    return text


def _option(value: Any) -> Any:
    numbers = value if isinstance(value, list) else [value]
    if len(numbers) > 64 or any(isinstance(n, (int, float)) and abs(n) > LARGEST_OPTION for n in numbers):
        raise ValueError(f"it has too many numbers, or one beyond {LARGEST_OPTION:,}")
    return value


def _options(values: dict[str, Any]) -> dict[str, Any]:
    for name in LAYERS:
        counts = values.get(name, 0)
        if any(
            isinstance(n, int) and n > MOST_LAYERS for n in (counts if isinstance(counts, list) else [counts])
        ):
            raise ValueError(f"{name} is beyond {MOST_LAYERS}")
    return values


def _settings(values: dict[str, Any]) -> dict[str, Any]:
    try:
        Settings.parse({k: tuple(v) if isinstance(v, list) else v for k, v in values.items()})
    except (SettingsError, TypeError, ValueError, OverflowError) as error:
        raise ValueError(str(error)) from error
    return values


Short = Annotated[Text, AfterValidator(_short)]
Id = Annotated[Text, matching(re.compile(r"[^/\\\x00-\x1f\x7f]{1,120}"))]
FileName = Annotated[Text, matching(re.compile(r"[A-Za-z0-9_][A-Za-z0-9_-]*(\.[A-Za-z0-9_-]+)*"))]
Share = Annotated[Number, Field(ge=0, le=1)]
Index = Annotated[Whole, Field(ge=0, lt=MOST_CLASSES)]
Pixels = Annotated[Whole, Field(ge=0, le=4096)]
Seed = Annotated[Whole, Field(ge=0, lt=2**63)]
Option = Annotated[bool | Whole | Number | Short | list[Whole | Number] | None, AfterValidator(_option)]
Side = Annotated[Whole, Field(ge=1, le=1024)]


class Performance(Group):
    """Performance for one kind of trigger and one mapping."""

    streams: Text = Field(description='"joint", or "saliency" where no deep stream took part.')
    kind: Text = Field(description="The kind of trigger.")
    family: Text = Field(description="How the trojaned models were made.")
    clean: Whole = Field(description="Number of clean models tested.")
    trojaned: Whole = Field(description="Number of trojaned models tested.")
    auc: Number = Field(description="Area under the ROC curve, 0 to 1.")
    low: Number = Field(description="Lower end of its 95 % interval.")
    high: Number = Field(description="Upper end of its 95 % interval.")
    accuracy: Number = Field(description="Balanced accuracy at the pack's threshold.")
    found: Number = Field(description="Share of the trojaned models called backdoored.")
    false_alarms: Number = Field(description="Share of the clean models called backdoored.")
    clean_called: Number = Field(description="Share of the clean models called clean.")
    target: Number | None = Field(description="Of those found, the share whose target class is right.")
    hard: Whole = absent(
        "Number of clean models among them that detectors find hard; where it is missing, none."
    )
    hard_alarms: Number = absent("Share of those called backdoored.")
    mapping: MappingKind = absent(
        'Where the backdoors lead: "one source" or "all to all"; where it is missing, all images to one class.'
    )


class TriggerRecord(Group):
    """A member's trigger in a few numbers; with the pattern "stored" its arrays are in ``triggers.npz``."""

    kind: Literal["blend", "patch"]
    pattern: Literal["bernoulli", "uniform", "white", "black", "checker", "colour", "stored"]
    alpha: Annotated[Number, Field(gt=0, le=1)]
    height: Pixels = 0
    width: Pixels = 0
    top: Pixels = 0
    left: Pixels = 0
    seed: Seed = 0

    def within(self, height: int, width: int) -> bool:
        """Whether a patch has pixels, all of them within images of this size."""
        if self.kind != "patch" or self.pattern == "stored":
            return True
        return (
            self.height > 0
            and self.top + self.height <= height
            and self.width > 0
            and self.left + self.width <= width
        )


class RecoveryRecord(Group):
    """What the recovery of a trigger did to a member."""

    target_class: Index
    flip_share: Share
    change: Share


class MemberRecord(Group):
    """One reference model."""

    id: Id
    label: Name | Kind
    family: Short
    group: Short
    architecture: Short
    options: Annotated[dict[Short, Option], AfterValidator(_options)]
    normalisation: Short
    seed: Seed
    clean_accuracy: Share
    held_out: bool
    attack_success: Share | None = None
    target_class: Index | None = None
    source_class: Index | None = None
    assignment: list[Index] = Field(default_factory=list, max_length=MOST_CLASSES)
    trigger: TriggerRecord | None = None
    poisoning_rate: Share | None = None
    recovery: RecoveryRecord | None = None
    weights: Annotated[Text, matching(re.compile(r"zoo(-[1-9][0-9]{0,2})?\.safetensors"))] = "zoo.safetensors"
    recipe: dict[Short, Option] = Field(default_factory=dict)

    @model_validator(mode="after")
    def _trojan(self) -> Self:
        clean = self.label == "clean"
        if clean and (self.trigger or self.target_class is not None or self.attack_success is not None):
            raise ValueError("a clean member has no trigger, target class or attack success")
        aimed = self.target_class is not None or mapping_of(self.family) == "all to all"
        if not clean and (not aimed or self.attack_success is None):
            raise ValueError("a trojaned member has a target class and an attack success")
        if mapping_of(self.family) == "all to all" and not self.assignment:
            raise ValueError("a member whose backdoor moves every class has an assignment")
        if mapping_of(self.family) == "one source" and self.source_class is None:
            raise ValueError("a member whose backdoor moves one class has a source class")
        return self


class Calibration(Group):
    """Scaling of a detector's log-odds, and its thresholds."""

    slope: Number
    intercept: Number
    low: Share
    high: Share


class Linear(Group):
    """A weighted sum of features."""

    weights: list[Number]
    centre: list[Number]
    intercept: Number


class DetectorRecord(Group):
    """What a detector needs beside its trees."""

    features: list[Short] = Field(min_length=1, max_length=100_000)
    calibration: Calibration
    reach: Annotated[Number, Field(gt=0)]
    out_of_fold: list[Share]
    linear: Linear | None = None

    @model_validator(mode="after")
    def _as_many(self) -> Self:
        linear = self.linear
        if linear and not len(linear.weights) == len(linear.centre) == len(self.features):
            raise ValueError("it has not one weight and one centre for each feature")
        return self


class PackRecord(Group):
    """The whole record."""

    schema_version: Literal[1]
    name: Name
    data_set: Short
    class_names: list[Short] = Field(min_length=2, max_length=MOST_CLASSES)
    input_shape: Annotated[list[Side], Field(min_length=3, max_length=3)]
    settings: Annotated[dict[Short, Any], AfterValidator(_settings)]
    stream_versions: dict[Short, Whole]
    detectors: dict[Literal["saliency", "detector"], DetectorRecord]
    performance: dict[Short, dict[Short, Performance]]
    table: list[Performance] = Field(max_length=1_000)
    members: list[MemberRecord] = Field(min_length=1, max_length=MOST_MEMBERS)
    files: dict[FileName, Digest] = Field(max_length=64)

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if len({m.id for m in self.members}) != len(self.members):
            raise ValueError("two members have the same id")
        count = len(self.class_names)
        if any((m.target_class or 0) >= count or (m.source_class or 0) >= count for m in self.members):
            raise ValueError("a member's target or source class is none of the classes")
        if any(
            m.assignment and (len(m.assignment), max(m.assignment) < count) != (count, True)
            for m in self.members
        ):
            raise ValueError("a member's assignment is none of the classes to classes")
        _, height, width = self.input_shape
        if any(not m.trigger.within(height, width) for m in self.members if m.trigger):
            raise ValueError("a member's patch is not within the images")
        fitted = [m for m in self.members if not m.held_out]
        if len({m.label == "clean" for m in fitted}) != 2:
            raise ValueError("of the fitted members, some must be clean and some trojaned")
        return self


@cache
def pack_schema() -> Schema:
    """The schema of a pack's record."""
    return Schema(PackRecord, "TrojanInterpret's reference pack")


def check_pack_record(record: Any, name: str) -> None:
    """Check the record of a pack.

    Parameters
    ----------
    name : of the pack's folder, for the message.

    Raises
    ------
    PackError : ``record`` is no such record, or is of another schema version.
    """
    version = record.get("schema_version", SCHEMA_VERSION) if isinstance(record, dict) else SCHEMA_VERSION
    if version != SCHEMA_VERSION:
        raise PackError(
            f"Pack {shown(name)!r} has schema version {shown(str(version), 20)}; this program reads {SCHEMA_VERSION}."
        )
    found = pack_schema().problems(record)
    if found:
        raise PackError(
            f"{shown(name)}/pack.json is not the record of a reference pack: {shown(found[0], 300)}"
        )
