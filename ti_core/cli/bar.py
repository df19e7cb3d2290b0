"""A progress bar on a terminal."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from typing import TYPE_CHECKING

from ti_core.system.terminal import progress_bar, standard_error
from ti_core.system.time_left import TimeLeft, duration
from ti_core.text import shown

if TYPE_CHECKING:
    from ti_core.reference.pack import Pack
    from ti_core.results.so_far import SoFar


class Bar:
    """A progress bar on a terminal, nothing elsewhere.

    Parameters
    ----------
    quiet : show nothing at all.

    Attributes
    ----------
    drawn : whether it is shown.
    """

    def __init__(self, title: str, quiet: bool = False) -> None:
        stream = standard_error()
        self.quiet = quiet
        self.drawn = stream is not None and stream.isatty() and not quiet
        self._bar = progress_bar(
            title,
            100,
            draw=self.drawn,
            leave=False,
            # tqdm puts a comma before a postfix; the unit is shown as it is.
            bar_format="{desc}: {percentage:3.0f}% |{bar:24}| {unit}",
            unit="",
        )

    def say(self, sentence: str) -> None:
        """Print a sentence on stderr, above the bar."""
        if not self.quiet:
            self.clear()
            print(sentence, file=sys.stderr)

    def clear(self) -> None:
        """Remove the bar from the terminal, before something else is printed. The next step draws it again."""
        self._bar.clear()

    def __call__(self, stage: str, share: float) -> None:
        self._bar.n = round(100 * share)
        self._bar.unit = shown(stage, 80)
        self._bar.refresh()

    def close(self) -> None:
        self._bar.close()


def opened(pack: Pack) -> Pack:
    """The pack, after :func:`ti_core.worker.pack_jobs.open_apart` with a progress bar."""
    from ti_core.worker.pack_jobs import open_apart

    bar = Bar(pack.name)
    try:
        return open_apart(pack, bar)
    finally:
        bar.close()


SETTLED = 3.0
"""Seconds after which the time of a job is said: by then it is known what the cache holds."""
LONG = 60.0
"""Seconds of a job from which on its time is said, also where no bar is shown."""


class JobBar(Bar):
    """The bar of a job that tells what it expects: the share of the whole work, and the time left."""

    def __init__(self, title: str, quiet: bool = False) -> None:
        super().__init__(title, quiet)
        self._time = TimeLeft()
        self._time.begin()
        self._said = False

    def expect(self, stages: Mapping[str, float]) -> None:
        """The seconds that each stage is expected to take."""
        self._time.expect(stages)

    def so_far(self, said: SoFar) -> None:
        """Print the verdict so far, on a terminal and where it stands for some time."""
        left = self._time.left
        if self.drawn and left is not None and left >= LONG:
            self.say(shown(said.sentence(), 500))

    def __call__(self, stage: str, share: float) -> None:
        self._time.at(stage, share)
        left, total = self._time.left, self._time.total
        if left is None or total is None:
            super().__call__(stage, 0.0)
            return
        if not self._said and total - left > SETTLED:
            self._said = True
            if total >= LONG:
                self.say(f"The inspection takes about {duration(total)} on this machine.")
        super().__call__(f"{stage}, about {duration(left)} left", self._time.share)
