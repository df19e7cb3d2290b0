"""Progress callbacks: how a long computation reports where it stands.

A callback may raise :class:`ti_core.errors.CancelledError` to stop the work.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Protocol

ShareProgress = Callable[[float], None]
"""Called with the share of the work that is done, 0 to 1."""

StageProgress = Callable[[str, float], None]
"""Called with the name of the stage and the share of it that is done, 0 to 1."""

Expect = Callable[[Mapping[str, float]], None]
"""Called with the seconds that each stage is expected to take, in order; again when that is better known."""

CountProgress = Callable[[int, int], None]
"""Called with the number of pieces of work that are done and the number of all pieces."""


MEASURING = "measuring"
"""Name of the stage in which a first pass of a network is measured. It has a time limit of its own."""


def silent_share(share: float) -> None:
    """A share callback that does nothing."""


def silent_stage(stage: str, share: float) -> None:
    """A stage callback that does nothing."""


class Teller(Protocol):
    """Tells where the work of a process stands: a stage callback that is told the expected seconds, too.

    ``so_far`` is told the verdict so far, as plain data.
    """

    def __call__(self, stage: str, share: float) -> None: ...
    def expect(self, stages: Mapping[str, float]) -> None: ...
    def so_far(self, record: Mapping[str, Any]) -> None: ...


def silent_expect(stages: Mapping[str, float]) -> None:
    """An expectation callback that does nothing."""


def silent_count(done: int, count: int) -> None:
    """A count callback that does nothing."""
