"""Coverage: for every kind of trigger and mapping, whether this inspection looked for it, and how well that works."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ti_core.inspection.findings.finding import Finding
from ti_core.inspection.result import Inspection
from ti_core.kinds import ENOUGH, KINDS, MAPPINGS, Kind, MappingKind
from ti_core.reference.families import performance_of, share_interval
from ti_core.results.coverage import FOUND, NO_GATES, NOT_FOUND, NOT_LOOKED, Rates, Row, joined
from ti_core.settings import Settings
from ti_core.stream_registry import STREAMS
from ti_core.streams import stream_class
from ti_core.streams.graph import JUMPS

UNTOLD = "the stream does not tell which of these it is"
"""What is said of each of several kinds, where one of them was found."""


def coverage(
    result: Inspection, finding: Finding | None, pack: Mapping[str, Any], settings: Settings, graph: bool
) -> list[Row]:
    """A row for every kind of trigger and every mapping.

    Parameters
    ----------
    finding : what was found, if the verdict is "backdoored".
    pack : what the report says of the reference pack, or of the images that took its place.
    graph : whether the model file holds a graph, which may hold a gate.
    """
    asked = _Asked(result, finding, pack, settings, graph)
    return [asked.row(kind, mapping) for mapping in MAPPINGS for kind in KINDS]


def seekers(kind: Kind, mapping: MappingKind, alone: bool = False) -> list[str]:
    """The names of all streams that look for a kind of trigger with a mapping, switched on or not.

    Parameters
    ----------
    alone : whether there are no reference models.
    """
    found = ((name, stream_class(name)) for name in STREAMS)
    return [
        name
        for name, stream in found
        if kind in stream.kinds
        and mapping in stream.mappings
        and not (alone and kind in stream.only_beside_others)
    ]


@dataclass(frozen=True)
class _Asked:
    result: Inspection
    finding: Finding | None
    pack: Mapping[str, Any]
    settings: Settings
    graph: bool

    def row(self, kind: Kind, mapping: MappingKind) -> Row:
        names = seekers(kind, mapping, self.pack["name"] is None)
        looking = [name for name in names if name in self.result.readings and self._unable(name) is None]
        is_found = self.finding is not None and (kind, mapping) in self.finding.found
        looking = looking or self._measured(kind, mapping)
        if kind == "gate" and not self.graph and not self._jumps(names):
            return Row(kind, mapping, NOT_LOOKED, why=NO_GATES)
        if not looking and not is_found:
            return Row(kind, mapping, NOT_LOOKED, why=self._why_not(names))
        rates = _rates(performance_of(self.pack["detects"], kind, mapping))
        weak = self._weak(looking, names, rates)
        if not is_found or self.finding is None:
            return Row(kind, mapping, NOT_FOUND, tuple(looking), weak, rates, bool(weak))
        doubt = UNTOLD if len(self.finding.found) > 1 else None
        names = looking or [self.finding.stream]
        return Row(kind, mapping, FOUND, tuple(names), doubt or weak, rates, bool(weak))

    def _measured(self, kind: Kind, mapping: MappingKind) -> list[str]:
        """The streams that find a kind together, as the pack has measured, though none of them is made for it."""
        pack = self.pack
        if (
            mapping != "all to one"
            or self.result.decided_by != "joint"
            or "streams" in pack["changed_settings"]
        ):
            return []
        return (
            list(self.result.class_scores) if _rates(performance_of(pack["detects"], kind, mapping)) else []
        )

    def _jumps(self, names: Sequence[str]) -> bool:
        """Whether a layer could hide a gate though the file holds no graph."""
        return any(self._unable(name) == JUMPS for name in names if name in self.result.readings)

    def _unable(self, name: str) -> str | None:
        return stream_class(name)().unable(self.result.evidence[name])

    def _why_not(self, names: Sequence[str]) -> str:
        """Why it was not looked for. A stream that looked in vain for what it needs says more than one that is off."""
        for name in names:
            if name in self.result.readings:
                return str(self._unable(name))
        # Where another stream looks for it, a weak one would not make up for that.
        names = [name for name in names if not stream_class(name).weak] or names
        on = [name for name in names if name in self.settings.streams]
        if not names:
            return "no stream looks for it"
        if any(name in self.result.left_out for name in names):
            return "there was no time for it"
        if any(name in self.result.not_needed for name in names):
            return "the verdict was certain before"
        if any(name in self.result.too_long for name in names):
            return "it takes too long with a network of this size"
        if any(name in self.result.too_large for name in names):
            return "there was not enough memory for it"
        if not on:
            return f"the {_streams(names)} {'is' if len(names) == 1 else 'are'} off"
        alone = self.pack["name"] is None
        if alone and all(stream_class(name).usual is None for name in on):
            return "no reference models to compare it with"
        return "there is no verdict" if not self.result.readings else "not finished"

    def _weak(self, looking: Sequence[str], names: Sequence[str], rates: Rates | None) -> str | None:
        """Why the search is weak; None if it is not."""
        if looking and all(stream_class(name).weak for name in looking):
            return f"only a weak sign of it is looked for ({', '.join(looking)})"
        if self.pack["name"] is None:
            return "not measured without reference models"
        if rates is None:
            return "not measured on this pack"
        if rates.found < ENOUGH:
            return "fewer than four of five are found"
        # The paper's meta-model was measured with its own stream alone.
        own = self.pack["changed_settings"].get("streams", ())
        lacking = [name for name in names if name in own and name not in self.result.readings]
        if lacking and self.result.decided_by == "joint":
            return f"measured with the {_streams(lacking)}, now off"
        return None


def _streams(names: Sequence[str]) -> str:
    return f"stream{'' if len(names) == 1 else 's'} {joined(names)}"


def _rates(row: Mapping[str, Any] | None) -> Rates | None:
    """The figures of a pack's record. A stranger's pack may hold numbers that are none of any measurement."""
    if row is None or not all(row[side] > 0 for side in ("trojaned", "clean")):
        return None
    if not all(0 <= row[share] <= 1 for share in ("found", "false_alarms")):
        return None
    low, high = share_interval(row["found"], row["trojaned"])
    least, most = share_interval(row["false_alarms"], row["clean"])
    return Rates(
        *(float(row["found"]), round(low, 6), round(high, 6), int(row["trojaned"])),
        *(float(row["false_alarms"]), round(least, 6), round(most, 6), int(row["clean"])),
    )
