"""The stages of an inspection: how long each took, and where the work stands."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from ti_core.system.cache import Cache
from ti_core.system.progress import StageProgress


@dataclass
class Clock:
    """Times the stages, and tells the caller where the work stands.

    ``timings`` holds the seconds of every stage, ``sources`` where its result came from.
    """

    progress: StageProgress
    timings: dict[str, float] = field(default_factory=dict)
    sources: dict[str, str] = field(default_factory=dict)
    _stage: str = ""

    @contextmanager
    def stage(self, name: str) -> Iterator[None]:
        """Time a stage; its beginning and its end are told. What a stage takes again is added."""
        self._stage = name
        self.progress(name, 0.0)
        start = time.perf_counter()
        yield
        self.timings[name] = round(self.timings.get(name, 0.0) + time.perf_counter() - start, 4)
        self.progress(name, 1.0)

    def share(self, done: float) -> None:
        """Tell the share of the present stage that is done, 0 to 1."""
        self.progress(self._stage, done)

    def source(self, stage: str, where: str) -> None:
        """Note where a stage's result came from: "computed", "cache" or "baseline"."""
        self.sources[stage] = where

    @contextmanager
    def origin(self, stage: str, cache: Cache) -> Iterator[None]:
        """Note whether what happens inside was read from the cache or computed."""
        before = len(cache.hits)
        yield
        self.source(stage, "cache" if len(cache.hits) > before else "computed")
