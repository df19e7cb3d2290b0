"""What a verdict is about: by kind of trigger and mapping, whether it was looked for, and how often it is found."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Literal

from ti_core.kinds import MAPPINGS, Kind, MappingKind

Status = Literal["found", "looked for, not found", "not looked for"]
FOUND: Status = "found"
NOT_FOUND: Status = "looked for, not found"
NOT_LOOKED: Status = "not looked for"

NO_GATES = "not a graph file: its layers hold no gate"
"""Why gates need not be looked for."""

PLURALS: Mapping[Kind, str] = {
    "patch": "patches",
    "blend": "blends",
    "stripes": "stripes",
    "warp": "warps",
    "input dependent": "input-dependent triggers",
    "gate": "gates in the graph",
}
LEADS: Mapping[MappingKind, str] = {
    "all to one": "all images to one class",
    "one source": "one class to one other",
    "all to all": "every class to another one",
}
CLAUSES: Mapping[MappingKind, str] = {
    "all to one": "that lead all images to one class",
    "one source": "that lead only one class to another",
    "all to all": "that lead every class to another one",
}
ANYTHING: Mapping[MappingKind, str] = {
    "all to one": "anything that leads all images to one class",
    "one source": "anything that leads only one class to another",
    "all to all": "anything that leads every class to another one",
}


ANYWHERE = "anywhere"
"""What is said of all mappings together."""


@dataclass(frozen=True)
class Rates:
    """How often a pack finds such backdoors among models held out from fitting.

    Parameters
    ----------
    found, low, high : the share found, 0 to 1, and its 95 % interval.
    trojaned : number of such models.
    false_alarms, alarms_low, alarms_high : the share of clean models called backdoored, and its 95 % interval.
    clean : number of clean models.
    """

    found: float
    low: float
    high: float
    trojaned: int
    false_alarms: float
    alarms_low: float
    alarms_high: float
    clean: int


@dataclass(frozen=True)
class Row:
    """One kind of trigger and one mapping.

    Parameters
    ----------
    streams : names of the streams that looked for it.
    why : why it was not looked for, or why the search is weak.
    figures : None where the pack has none, or where it was not looked for.
    weak : whether it is found in fewer than four of five cases, or that was not measured.
    """

    kind: Kind
    mapping: MappingKind
    status: Status
    streams: tuple[str, ...] = ()
    why: str | None = None
    figures: Rates | None = None
    weak: bool = True

    @classmethod
    def of(cls, record: Mapping[str, Any]) -> Row:
        """The row of a report's record."""
        figures = record["figures"]
        return cls(
            **{
                **record,
                "streams": tuple(record["streams"]),
                "figures": Rates(**figures) if figures else None,
            }
        )

    @property
    def looked_for(self) -> bool:
        return self.status != NOT_LOOKED

    @property
    def gap(self) -> bool:
        """Whether such a backdoor may be there, since nothing looked for it."""
        return not self.looked_for and self.why != NO_GATES

    def as_dict(self) -> dict[str, Any]:
        return asdict(self) | {"streams": list(self.streams)}


def rows_of(records: Iterable[Mapping[str, Any]]) -> tuple[Row, ...]:
    """The rows of a report's coverage. Reports of schema version 1 have none."""
    return tuple(Row.of(record) for record in records)


def subject(rows: Sequence[Row]) -> tuple[str, bool]:
    """What a verdict is about, in words, and whether the searches for it are strong.

    Where no search is strong, it is about all that was looked for. The words are empty where nothing was.
    """
    strong = [row for row in rows if row.looked_for and not row.weak]
    return _listed(strong or [row for row in rows if row.looked_for]), bool(strong)


def remarks(rows: Sequence[Row]) -> list[str]:
    """What a verdict says little or nothing of: searches that are weak, and what was not looked for."""
    weak = [row for row in rows if row.looked_for and row.weak]
    missed = [row for row in weak if row.figures is not None]
    unmeasured = [row for row in weak if row.figures is None]
    lines = []
    if missed:
        lines.append(f"Looked for, but often missed: {_listed(missed)}.")
    if unmeasured:
        lines.append(f"Looked for, but how often it is found was not measured: {_listed(unmeasured)}.")
    gaps = not_looked_for(rows)
    return [*lines, gaps] if gaps else lines


def not_looked_for(rows: Sequence[Row]) -> str:
    """What was not looked for, in one sentence; empty if there is nothing."""
    parts = []
    for mapping in MAPPINGS:
        own = [row for row in rows if row.mapping == mapping]
        gaps = [row for row in own if row.gap]
        if gaps and not any(row.looked_for for row in own):
            parts.append(ANYTHING[mapping])
        elif gaps:
            parts.append(_listed(gaps))
    return f"Not looked for: {'; '.join(parts)}." if parts else ""


def short(rows: Sequence[Row]) -> str:
    """What was looked for, in a few words: "patch, blend: all to one"."""
    parts = []
    for mapping in MAPPINGS:
        kinds = [row.kind for row in rows if row.mapping == mapping and row.looked_for]
        if kinds:
            parts.append(f"{', '.join(kinds)}: {mapping}")
    return "; ".join(parts)


def _listed(rows: Sequence[Row]) -> str:
    """Kinds and mappings in words: "patches and blends that lead all images to one class"."""
    parts = []
    for mapping in MAPPINGS:
        kinds = [PLURALS[row.kind] for row in rows if row.mapping == mapping]
        if kinds:
            parts.append(f"{joined(kinds)} {CLAUSES[mapping]}")
    return "; ".join(parts)


def joined(words: Sequence[str]) -> str:
    """Words in a sentence: "a, b and c"."""
    return words[0] if len(words) == 1 else f"{', '.join(words[:-1])} and {words[-1]}"


@dataclass(frozen=True)
class Line:
    """One line of the table that readers see. Rows that were not looked for, for one reason, share a line.

    Parameters
    ----------
    what : the kinds of trigger.
    mappings, status : of its rows.
    figures : how often the pack finds it, where that is known.
    note : why it was not looked for, or why the search is weak.
    """

    what: str
    mappings: tuple[MappingKind, ...]
    status: Status
    figures: Rates | None = None
    note: str = ""
    weak: bool = False

    @property
    def leads(self) -> str:
        """Where they lead, in words."""
        return ANYWHERE if self.mappings == MAPPINGS else " or ".join(LEADS[m] for m in self.mappings)

    @property
    def found(self) -> str:
        """The share found, with the number of models and the 95 % interval; empty where that is not known."""
        f = self.figures
        return f"{self.found_short} ({f.low:.0%} to {f.high:.0%})" if f else ""

    @property
    def alarms(self) -> str:
        """The share of false alarms, likewise."""
        f = self.figures
        return f"{self.alarms_short} ({f.alarms_low:.0%} to {f.alarms_high:.0%})" if f else ""

    @property
    def found_short(self) -> str:
        return f"{self.figures.found:.0%} of {self.figures.trojaned}" if self.figures else "-"

    @property
    def alarms_short(self) -> str:
        return f"{self.figures.false_alarms:.0%} of {self.figures.clean}" if self.figures else "-"

    @property
    def tone(self) -> str:
        """How pages show the line: "hit", "sought" or "gap"."""
        return {FOUND: "hit", NOT_FOUND: "sought", NOT_LOOKED: "gap"}[self.status]

    @property
    def result(self) -> str:
        """The status in words, with a mark where the search is weak."""
        return f"{self.status} (weak)" if self.weak and self.status == NOT_FOUND else self.status


def lines_of(rows: Sequence[Row]) -> list[Line]:
    """The table: what was found first, then what was looked for, then what was not."""
    lines = [_line([row]) for status in (FOUND, NOT_FOUND) for row in rows if row.status == status]
    together: dict[tuple[MappingKind, str | None], list[Row]] = {}
    for row in rows:
        if not row.looked_for:
            together.setdefault((row.mapping, row.why), []).append(row)
    # The same kinds may be left out for the same reason with several mappings.
    alike: dict[tuple[tuple[Kind, ...], str | None], list[Row]] = {}
    for (_, why), own in together.items():
        alike.setdefault((tuple(row.kind for row in own), why), []).extend(own)
    return lines + [_line(own) for own in alike.values()]


def _line(rows: Sequence[Row]) -> Line:
    row = rows[0]
    return Line(
        what=joined(list(dict.fromkeys(PLURALS[r.kind] for r in rows))),
        mappings=tuple(dict.fromkeys(r.mapping for r in rows)),
        status=row.status,
        figures=row.figures,
        note=row.why or "",
        weak=row.looked_for and row.weak,
    )
