"""The table that fills while ``scan`` works, and its summary."""

from __future__ import annotations

import shutil
import sys
import time
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TextIO

from ti_core.results.formats.outcome import Outcome
from ti_core.results.report import percent
from ti_core.system.terminal import Shown
from ti_core.system.time_left import duration
from ti_core.text import shown

COLOURS = {"clean": "green", "backdoored": "red", "inconclusive": "yellow", "error": "magenta"}
HEADINGS = ("verdict", "probability", "target", "time")
WIDTHS = (12, 11, 10, 7)
"""Columns of everything beside the file's name, in the order of :data:`HEADINGS`."""
LEAST = 16
"""Columns that a file's name has at least."""


class Table:
    """One line a file, printed when the file is finished. Nothing is kept but the counts.

    Parameters
    ----------
    stream : receives the lines; None for nothing.
    names : of the files, for the width of the first column.
    before : called before each line, to take a progress bar out of the way.
    """

    def __init__(
        self, stream: TextIO | None, names: Sequence[Path], before: Callable[[], None] = lambda: None
    ) -> None:
        self._shown = stream if isinstance(stream, Shown) or stream is None else Shown(stream, needed=False)
        room = shutil.get_terminal_size((110, 24)).columns - sum(WIDTHS) - 2 * len(WIDTHS) - 1
        longest = max((len(str(name)) for name in names), default=0)
        self._width = max(LEAST, min(room, longest))
        self._before, self._begun, self._start = before, False, time.monotonic()

    def add(self, outcome: Outcome) -> None:
        """The line of one more file."""
        if not self._begun:
            self._begun = True
            self._line(("file".ljust(self._width), None), *self._cells(HEADINGS))
        report = outcome.report
        odds = "" if report is None else percent(report.probability)
        target = "" if report is None or report.target_class_name is None else report.target_class_name
        values = (outcome.verdict, odds, shown(target, 7), f"{outcome.seconds:.1f} s" if report else "")
        name = outcome.name
        if len(name) > self._width:
            name = "..." + name[3 - self._width :]
        colour = COLOURS[outcome.verdict]
        self._line((name.ljust(self._width), None), *self._cells(values, colour))
        if report is None:
            self._line((f"  {outcome.message}", None))

    def summary(self, outcomes: Sequence[str], passed_over: int, known: int) -> None:
        """The counts of all verdicts, and how long it took."""
        counts = Counter(outcomes)
        said = [f"{counts[verdict]} {verdict}" for verdict in COLOURS if counts[verdict]]
        beside = [f"{passed_over} of them from an earlier scan"] if passed_over else []
        findings = "1 finding" if known == 1 else f"{known} findings"
        beside += [f"{findings} known from the baseline"] if known else []
        files = "1 file" if len(outcomes) == 1 else f"{len(outcomes)} files"
        took = duration(time.monotonic() - self._start)
        self._line((f"{files} in {took}: {', '.join([*said, *beside])}.", "bold"))

    def _cells(self, values: Sequence[str], colour: str | None = None) -> list[tuple[str, str | None]]:
        """The texts of a line beside the file's name. The verdict has the colour."""
        padded = [f"  {value.ljust(width)}" for value, width in zip(values, WIDTHS, strict=True)]
        return [(padded[0], colour), ("".join(padded[1:]).rstrip(), None)]

    def _line(self, *parts: tuple[str, str | None]) -> None:
        if self._shown is not None:
            self._before()
            self._shown.line(parts)
            self._shown.flush()


def stream_for(quiet: bool, json_printed: bool) -> TextIO | None:
    """Where the table goes: to standard output, unless something else is printed there; else to a terminal."""
    if quiet:
        return None
    if not json_printed:
        return sys.stdout
    return sys.stderr if sys.stderr is not None and sys.stderr.isatty() else None
