"""The stages of an inspection: how long each took, and where the work stands."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

Progress = Callable[[str, float], None]
"""Told the stage and the share of it that is done; may raise CancelledError to stop."""


def silent(stage: str, share: float) -> None:
    """A progress callback that does nothing."""


@dataclass
class Clock:
    """Times the stages and tells the caller where the work stands."""

    progress: Progress
    timings: dict[str, float] = field(default_factory=dict)
    sources: dict[str, str] = field(default_factory=dict)
    _stage: str = ""

    @contextmanager
    def stage(self, name: str) -> Iterator[None]:
        self._stage = name
        self.progress(name, 0.0)
        start = time.perf_counter()
        yield
        self.timings[name] = round(time.perf_counter() - start, 4)
        self.progress(name, 1.0)

    def share(self, done: float) -> None:
        self.progress(self._stage, done)

    def source(self, stage: str, where: str) -> None:
        self.sources[stage] = where
