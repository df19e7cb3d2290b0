"""The finding that a verdict of "backdoored" rests on: its stream, kind of trigger, and where the backdoor leads."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

from ti_core.detector.detector import Assessment
from ti_core.inspection.reasons import target_of
from ti_core.inspection.result import Inspection
from ti_core.inspection.trigger_recovery import ENOUGH
from ti_core.kinds import KINDS, Kind, MappingKind
from ti_core.streams import Reading, stream_class
from ti_core.streams.base import FoundMapping

RECOVERABLE: tuple[Kind, ...] = ("patch", "blend")
"""Kinds of trigger that the meta-model and the recovered trigger tell apart."""


@dataclass(frozen=True)
class Finding:
    """What was found.

    Parameters
    ----------
    stream : the name of the stream that found it.
    kind : the kind of trigger; None if it is not told.
    mapping : where the backdoor leads; None if no class is named.
    """

    stream: str
    kind: Kind | None
    mapping: FoundMapping | None

    @property
    def target(self) -> int | None:
        return self.mapping.target if self.mapping else None

    @property
    def found(self) -> set[tuple[Kind, MappingKind]]:
        """The kinds and mappings that it may be: one, unless the stream does not tell them apart."""
        own = stream_class(self.stream)
        kinds = own.kinds if self.kind is None else (self.kind,)
        mappings = own.mappings if self.mapping is None else (self.mapping.kind,)
        return {(kind, mapping) for kind in kinds for mapping in mappings}


def leading(result: Inspection) -> str | None:
    """The name of the stream whose finding the verdict rests on; None if no stream has reported.

    It is the stream that found a backdoor by itself, or the one that finds the suspected class most suspicious, some of
    them only if they do so clearly (:attr:`ti_core.streams.base.Stream.clear`). Where no stream scores classes, it is
    the first.
    """
    if result.leading is not None:
        return result.leading
    scores, target = result.class_scores, target_of(result.class_scores)
    if target is None:
        return next(iter(result.readings), None)
    return max(scores, key=lambda name: float(scores[name][0, target]) / stream_class(name).clear)


def finding_of(result: Inspection, assessment: Assessment | None, target: int | None) -> Finding | None:
    """The finding of an inspection whose verdict is "backdoored"; otherwise None.

    Parameters
    ----------
    target : the suspected class, or None.
    """
    name = leading(result)
    if name is None or assessment is None or assessment.verdict != "backdoored":
        return None
    reading = result.readings[name]
    return Finding(name, _kind(result, assessment, name, reading), _mapping(reading, target))


def _kind(result: Inspection, assessment: Assessment, name: str, reading: Reading) -> Kind | None:
    """The kind that the stream names. Otherwise it is that of the recovered trigger or the meta-model, if it fits."""
    own = stream_class(name).kinds
    if reading.kind is not None:
        return reading.kind
    if len(own) == 1 and own[0] not in RECOVERABLE:
        return own[0]
    recovered = result.trigger is not None and result.trigger.flip_share >= ENOUGH
    if not recovered and len(own) > len(RECOVERABLE):
        # The stream also finds triggers that the meta-model does not know.
        return None
    return next((kind for kind in KINDS if kind == assessment.trigger_kind), None)


def _mapping(reading: Reading, target: int | None) -> FoundMapping | None:
    own = reading.mapping
    if own is None:
        return None if target is None else FoundMapping("all to one", target)
    if own.kind == "one source" and own.target != target:
        # All streams together suspect another class than this one's strongest pair leads to.
        return None if target is None else replace(own, target=target, source=None)
    return own


def mapping_record(mapping: FoundMapping | None, class_names: tuple[str, ...]) -> dict[str, Any] | None:
    """The report's record of where a backdoor leads."""
    if mapping is None:
        return None

    def name(index: int | None) -> str | None:
        return None if index is None else class_names[index]

    return {
        "kind": mapping.kind,
        "source": mapping.source,
        "source_name": name(mapping.source),
        "target": mapping.target,
        "target_name": name(mapping.target),
        "assignment": [
            {
                "source": source,
                "source_name": class_names[source],
                "target": target,
                "target_name": class_names[target],
                "moved": round(moved, 6),
            }
            for source, (target, moved) in enumerate(zip(mapping.assignment, mapping.moved, strict=True))
        ],
    }
