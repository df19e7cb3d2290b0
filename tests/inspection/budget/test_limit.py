"""A budget is kept whatever the network does, and what was done before time or memory ended gives the verdict."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from ti_core.classifier.first_pass import Ahead, FirstPass
from ti_core.inspection.budget.limit import Limit
from ti_core.inspection.clock import Clock
from ti_core.inspection.forecast import FULL, LAST, Forecast
from ti_core.inspection.result import Inspection
from ti_core.inspection.with_pack import inspect
from ti_core.inspection.without_pack import inspect_alone
from ti_core.loading import load_model
from ti_core.reconstruction.model import Model
from ti_core.reference.own_images import OwnImages
from ti_core.reference.pack import Pack
from ti_core.settings import Settings
from ti_core.streams import make_streams, stream_class
from ti_core.system.cache import Cache
from ti_core.system.progress import silent_stage

AHEAD = Ahead(images=1000, classes=10, shape=(1, 28, 28), values=784)
NO_MEMORY = RuntimeError("[enforce fail at alloc_cpu.cpp] . DefaultCPUAllocator: can't allocate memory")


class Now:
    """A clock that is turned by hand."""

    seconds = 0.0

    def __call__(self) -> float:
        return self.seconds


def breaks_off(monkeypatch: pytest.MonkeyPatch, name: str, how: Callable[[], None]) -> None:
    """In the middle of the stream of that name, something happens."""
    whole = stream_class(name).evidence

    def evidence(self: Any, scores: nn.Module, context: Any, progress: Callable[[float], None]) -> Any:
        progress(0.5)
        how()
        progress(0.6)
        return whole(self, scores, context, progress)

    monkeypatch.setattr(stream_class(name), "evidence", evidence)


def late(now: Now, seconds: float) -> Callable[[], None]:
    """The clock has gone on to this time."""

    def set_clock() -> None:
        now.seconds = seconds

    return set_clock


def test_a_network_that_is_slower_than_its_first_pass_said_keeps_to_the_budget() -> None:
    """One stream that took four times as long as was said leaves out what no longer fits, and nothing else."""
    now, streams = Now(), {s.name: s for s in make_streams(Settings())}
    forecast = Forecast(Settings(), 900.0, clock=now)
    forecast.measured(FirstPass(0.001, 0.003), AHEAD)
    seconds = forecast.stages()
    assert sum(seconds.values()) < 600 and not forecast.left_out and forecast.pace == 1.0
    now.seconds = 4 * seconds["inversion"]
    forecast.took("inversion", now.seconds)
    assert 1.5 < forecast.pace < 4.0
    assert not forecast.leaves_out(streams["assignment"], True)
    pace, dear = forecast.pace, streams["windowed"]
    now.seconds = FULL * 900 - pace * (seconds["windowed"] + seconds["trigger"] + seconds["verdict"]) - 1
    assert not forecast.leaves_out(dear, True)
    now.seconds += 2
    assert forecast.leaves_out(dear, True)
    assert forecast.left_out == {"windowed": pytest.approx(pace * seconds["windowed"], rel=0.2)}


def test_a_network_that_is_as_fast_as_was_said_is_no_faster() -> None:
    forecast = Forecast(Settings(), 900.0, clock=Now())
    forecast.measured(FirstPass(0.001, 0.003), AHEAD)
    forecast.took("inversion", 0.0)
    assert forecast.pace == 1.0


def test_a_stream_is_broken_off_when_the_time_is_over(
    tiny_pack: Pack,
    tiny_models: dict[str, Path],
    tiny_settings: Settings,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    now, model, cache = Now(), load_model(tiny_models["patch"]), Cache(tmp_path)
    breaks_off(monkeypatch, "windowed", late(now, LAST * 1e4))
    forecast = Forecast(tiny_settings, 1e4, clock=now)
    found = inspect(model, tiny_pack, tiny_settings, cache=cache, forecast=forecast)
    monkeypatch.undo()
    assert list(found.left_out) == ["windowed", "narrowed", "universal", "warp"], (
        "one was broken off, the others not begun"
    )
    kept = tuple(name for name in tiny_settings.streams if name not in found.left_out)
    assert tuple(found.report.settings["streams"]) == kept == tuple(found.evidence)
    assert "too short for some streams" in found.report.reasons[0]
    part = inspect(model, tiny_pack, tiny_settings.with_(streams=kept), cache=cache).report
    assert part.probability == found.report.probability
    whole = inspect(model, tiny_pack, tiny_settings, cache=cache)
    assert {name for name in whole.evidence if whole.report.cache[name] == "cache"} == set(kept)


@pytest.mark.parametrize("error", [NO_MEMORY, MemoryError()])
def test_memory_that_ends_in_a_search_leaves_out_the_stream(
    tiny_pack: Pack,
    tiny_models: dict[str, Path],
    tiny_settings: Settings,
    error: Exception,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def end() -> None:
        raise error

    breaks_off(monkeypatch, "universal", end)
    found = inspect(load_model(tiny_models["clean"]), tiny_pack, tiny_settings)
    assert found.too_large == ("universal",) and not found.left_out
    assert "universal" not in found.evidence and "windowed" in found.evidence
    assert found.report.reasons[0] == (
        "There was not enough memory for some streams, which were left out: universal. Allow more with --memory."
    )
    waves = next(
        row for row in found.report.coverage if (row["kind"], row["mapping"]) == ("stripes", "all to one")
    )
    assert waves["why"] == "there was not enough memory for it"


def test_without_any_verdict_want_of_memory_is_an_error_and_other_faults_always_are(
    tiny_pack: Pack,
    tiny_models: dict[str, Path],
    tiny_settings: Settings,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def end() -> None:
        raise NO_MEMORY

    model = load_model(tiny_models["clean"])
    with monkeypatch.context() as patched:
        breaks_off(patched, "saliency", end)
        with pytest.raises(RuntimeError, match="allocate memory"):
            inspect(model, tiny_pack, tiny_settings)
    with monkeypatch.context() as patched:
        breaks_off(patched, "universal", lambda: torch.zeros(2) @ torch.zeros(3))  # type: ignore[arg-type, return-value]
        with pytest.raises(RuntimeError, match="size"):
            inspect(model, tiny_pack, tiny_settings)


def test_without_a_pack_a_stream_is_broken_off_too(monkeypatch: pytest.MonkeyPatch) -> None:
    generator, now = np.random.default_rng(0), Now()
    torch.manual_seed(0)
    pixels = generator.integers(0, 255, (60, 1, 8, 8), dtype=np.uint8)
    network = nn.Sequential(nn.Flatten(), nn.Linear(64, 5)).eval()
    labels = network(torch.from_numpy(pixels).float() / 255).argmax(1)
    own = OwnImages("mine", pixels, labels.numpy())
    suspect = Model(network, "m.onnx", "0" * 64, "onnx", "m", 0, 5, (1, 8, 8))
    settings = Settings(streams=("inversion", "windowed"), normalisation="none")
    breaks_off(monkeypatch, "windowed", late(now, LAST * 1e4))
    forecast = Forecast(settings, 1e4, alone=True, clock=now)
    found = inspect_alone(suspect, own, settings, forecast=forecast)
    assert list(found.left_out) == ["windowed"] and list(found.evidence) == ["inversion"]


def test_a_stream_is_left_out_with_the_one_that_it_begins_from() -> None:
    streams, result = {s.name: s for s in make_streams(Settings())}, Inspection()
    assert streams["narrowed"].begins_from == "windowed"
    limit = Limit(result, Clock(silent_stage), None)
    assert limit.has_time(streams["narrowed"], True)
    result.too_large = ("windowed",)
    assert not limit.has_time(streams["narrowed"], True) and result.too_large == ("windowed", "narrowed")
    forecast = Forecast(Settings(), 900.0, clock=Now())
    forecast.measured(FirstPass(0.001, 0.003), AHEAD)
    forecast.leave_out(streams["windowed"])
    assert forecast.leaves_out(streams["narrowed"], False) and list(forecast.left_out) == [
        "windowed",
        "narrowed",
    ]
    assert not forecast.leaves_out(streams["universal"], True)
