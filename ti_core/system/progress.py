"""Progress callbacks: how a long computation reports where it stands.

A callback may raise :class:`ti_core.errors.CancelledError` to stop the work.
"""

from __future__ import annotations

from collections.abc import Callable

ShareProgress = Callable[[float], None]
"""Called with the share of the work that is done, 0 to 1."""

StageProgress = Callable[[str, float], None]
"""Called with the name of the stage and the share of it that is done, 0 to 1."""

CountProgress = Callable[[int, int], None]
"""Called with the number of pieces of work that are done and the number of all pieces."""


def silent_share(share: float) -> None:
    """A share callback that does nothing."""


def silent_stage(stage: str, share: float) -> None:
    """A stage callback that does nothing."""


def silent_count(done: int, count: int) -> None:
    """A count callback that does nothing."""
