"""The time left of work in stages: from the expected seconds of each stage, corrected as the work goes on."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

SURE = 0.3
"""Share of a stage from which on its own speed alone says how long it takes."""
INERTIA = 0.1
"""Share of the whole work by which the expectation counts beside what was measured so far."""


@dataclass
class TimeLeft:
    """Where a piece of work stands. Nothing is predicted before :meth:`expect`.

    Parameters
    ----------
    clock : the seconds now.
    """

    clock: Callable[[], float] = time.monotonic
    _expected: dict[str, float] = field(default_factory=dict)
    _took: dict[str, float] = field(default_factory=dict)
    _stage: str = ""
    _share: float = 0.0
    _begins: dict[str, float] = field(default_factory=dict)
    _told: float = 0.0
    _start: float | None = None

    def begin(self) -> None:
        """The work begins."""
        self._start = self.clock()

    def expect(self, stages: Mapping[str, float]) -> None:
        """The seconds that each stage takes, in order. A later call replaces an earlier one."""
        self._expected = {name: max(0.0, seconds) for name, seconds in stages.items()}

    def at(self, stage: str, share: float) -> None:
        """This share of this stage is done, 0 to 1. A stage without an expectation is passed over."""
        now = self.clock()
        self._begins.setdefault(stage, now)
        if share >= 1.0:
            self._took[stage] = now - self._begins[stage]
        if stage in self._expected or not self._expected:
            self._stage, self._share, self._told = stage, share, now

    @property
    def left(self) -> float | None:
        """Seconds left; None before they can be predicted."""
        if not self._expected:
            return None
        names = list(self._expected)
        present = self._stage in self._expected and self._stage not in self._took
        place = names.index(self._stage) if self._stage in self._expected else -1
        later = sum(self._expected[name] for name in names[place + 1 :])
        speed = self._speed(present)
        return (self._of_present(speed) if present else 0.0) + speed * later

    @property
    def total(self) -> float | None:
        """Seconds of the whole work; None before they can be predicted."""
        left = self.left
        return None if left is None or self._start is None else left + self.clock() - self._start

    @property
    def share(self) -> float:
        """The finished share of the whole work, 0 to 1."""
        left = self.left
        if left is None or self._start is None:
            return 0.0
        spent = self.clock() - self._start
        return spent / (spent + left) if spent > 0 else 0.0

    def _speed(self, present: bool) -> float:
        """Seconds for each second that was expected."""
        done = [name for name in self._took if name in self._expected]
        expected = sum(self._expected[name] for name in done)
        took = sum(self._took[name] for name in done)
        if present and self._share > 0:
            expected += self._share * self._expected[self._stage]
            took += self._told - self._begins[self._stage]
        prior = INERTIA * sum(self._expected.values())
        return (took + prior) / (expected + prior) if expected + prior > 0 else 1.0

    def _of_present(self, speed: float) -> float:
        """Seconds left of the present stage."""
        spent, since = self._told - self._begins[self._stage], self.clock() - self._told
        expected = speed * self._expected[self._stage]
        if self._share <= 0:
            return max(expected - since, INERTIA * since)
        trust = min(1.0, self._share / SURE)
        whole = trust * spent / self._share + (1 - trust) * max(expected, spent)
        return max(0.0, (1 - self._share) * whole - since)


def duration(seconds: float) -> str:
    """The duration as text."""
    if seconds < 1.5:
        return "a second"
    if seconds < 90:
        return f"{round(seconds)} seconds"
    if seconds < 5400:
        return f"{round(seconds / 60)} minutes"
    return f"{seconds / 3600:.1f} hours"
