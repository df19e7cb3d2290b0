"""The times of an inspection's stages."""

from __future__ import annotations

import pytest

from ti_core.inspection import clock as module
from ti_core.inspection.clock import Clock


def test_a_stage_that_comes_twice_counts_both_times(monkeypatch: pytest.MonkeyPatch) -> None:
    seconds = iter((0.0, 2.0, 5.0, 6.0, 10.0, 13.0))
    monkeypatch.setattr(module.time, "perf_counter", lambda: next(seconds))
    told: list[tuple[str, float]] = []
    clock = Clock(lambda stage, share: told.append((stage, share)))
    for stage in ("trigger", "warp", "trigger"):
        with clock.stage(stage):
            clock.share(0.5)
    assert clock.timings == {"trigger": 5.0, "warp": 1.0}
    assert told[:3] == [("trigger", 0.0), ("trigger", 0.5), ("trigger", 1.0)]
