"""The cost of an inspection is known before it begins, and one that costs too much does not begin."""

from __future__ import annotations

import math
import resource
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from ti_core.classifier.first_pass import Ahead, FirstPass
from ti_core.classifier.scores import Scores
from ti_core.errors import TooLongError
from ti_core.inspection.forecast import FULL, Forecast, Known
from ti_core.inspection.with_pack import inspect
from ti_core.inspection.without_pack import inspect_alone
from ti_core.reconstruction.model import Model
from ti_core.reference.own_images import OwnImages
from ti_core.reference.pack import Pack
from ti_core.settings import Settings
from ti_core.stream_registry import QUICK
from ti_core.streams import make_streams
from ti_core.system.cache import Cache

AHEAD = Ahead(images=1000, classes=10, shape=(1, 28, 28), values=784)
MINUTE = 60.0
RESNET_18 = FirstPass(forward=0.0075, both=0.0225)
"""A ResNet-18 of full width on 32 x 32 takes 22 minutes of one core; this is a pass of one that does."""


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


def model(pack: Pack) -> Model:
    network = pack.scores(pack.members[0]).network
    return Model(network, "m.onnx", "0" * 64, "onnx", "m", 0, len(pack.class_names), pack.input_shape)


def test_the_stages_are_those_of_the_inspection_in_order(tiny_pack: Pack, tiny_settings: Settings) -> None:
    told: list[Mapping[str, float]] = []
    stages: list[str] = []

    def progress(stage: str, share: float) -> None:
        if share == 0.0 and stage != "measuring":
            stages.append(stage)

    forecast = Forecast(tiny_settings, progress=progress, expect=told.append)
    inspect(model(tiny_pack), tiny_pack, tiny_settings, progress, forecast=forecast)
    assert len(told) == 2 and [s for s in told[-1] if s in stages] == list(dict.fromkeys(stages))
    assert set(told[-1]) - set(stages) <= {"trigger", "pictures"}
    assert all(seconds >= 0 for seconds in told[-1].values())


def test_the_evidence_is_the_same_with_a_forecast(tiny_pack: Pack, tiny_settings: Settings) -> None:
    torch.manual_seed(5)
    plain = inspect(model(tiny_pack), tiny_pack, tiny_settings)
    state = torch.random.get_rng_state()
    torch.manual_seed(5)
    told = inspect(model(tiny_pack), tiny_pack, tiny_settings, forecast=Forecast(tiny_settings))
    assert torch.equal(torch.random.get_rng_state(), state)
    for name, evidence in plain.evidence.items():
        for key, values in evidence.items():
            assert np.array_equal(values, told.evidence[name][key]), (name, key)
    assert plain.report.probability == told.report.probability


def test_a_stage_costs_its_passes() -> None:
    forecast = Forecast(Settings(), clock=Clock())
    forecast.first, forecast.ahead = FirstPass(0.001, 0.004), AHEAD
    found = forecast.stages()
    for stream in make_streams(Settings()):
        passes = stream.passes(10, (1, 28, 28))
        assert passes is not None
        assert found[stream.name] == pytest.approx(passes.seconds(forecast.first), abs=0.02)
    assert found["preprocessing"] == pytest.approx(1.0, abs=0.1)
    known = Known(cached=["universal"], computed={"windowed": 50}, member=FirstPass(0.0, 0.001))
    again = forecast.stages(known)
    assert again["universal"] < 0.1 and again["windowed"] == found["windowed"]
    assert again["windowed reference"] == pytest.approx(12.5 * 50, rel=0.01)


def test_a_stream_that_does_not_tell_its_work_takes_its_usual_seconds(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("ti_core.streams.inversion.Inversion.passes", lambda self, classes, shape: None)
    forecast = Forecast(Settings(streams=("inversion",)))
    forecast.first, forecast.ahead = FirstPass(1.0, 3.0), AHEAD
    assert forecast.stages()["inversion"] == pytest.approx(1.5, abs=0.02)


def test_the_usual_limit_admits_a_network_of_real_size_and_refuses_one_that_asks_for_hours() -> None:
    ahead = Ahead(images=2500, classes=10, shape=(3, 32, 32), values=3072)
    told: list[Mapping[str, float]] = []
    forecast = Forecast(Settings(), 120 * MINUTE, expect=told.append, pictures=True)
    forecast.measured(RESNET_18, ahead)
    assert 15 * MINUTE < sum(told[0].values()) < 45 * MINUTE
    slow = FirstPass(1.3, 4.5)
    with pytest.raises(
        TooLongError,
        match=r"shortest inspection would take about .* hours on this machine.* 2.0 hours it may",
    ):
        Forecast(Settings(), 120 * MINUTE).measured(slow, ahead)
    Forecast(Settings(), 6000 * MINUTE).measured(slow, ahead)


def test_streams_for_which_there_is_no_time_are_left_out_in_order() -> None:
    """What tells least by the second goes first, and what stays fits the time."""
    ahead, told = Ahead(images=2500, classes=10, shape=(3, 32, 32), values=3072), []
    whole = Forecast(Settings(), expect=told.append)
    whole.measured(RESNET_18, ahead)
    seconds = told.pop()
    assert not whole.left_out
    for share in (0.9, 0.6, 0.3, 0.2):
        allowed = share * sum(seconds.values())
        forecast = Forecast(Settings(), allowed, expect=told.append)
        forecast.measured(RESNET_18, ahead)
        assert sum(told[-1].values()) <= FULL * allowed
        assert not set(forecast.left_out) & set(told[-1])
        dropped = ["warp", "universal", "narrowed", "windowed", "assignment", "inversion"]
        assert list(forecast.left_out) == dropped[: len(forecast.left_out)]
        assert all(
            forecast.left_out[name] == pytest.approx(seconds[name], abs=0.1) for name in forecast.left_out
        )
    assert len(forecast.left_out) >= 3


def test_a_stream_whose_turn_comes_too_late_is_left_out() -> None:
    clock, streams = Clock(), {s.name: s for s in make_streams(Settings())}
    forecast = Forecast(Settings(), 400.0, clock=clock)
    forecast.measured(FirstPass(0.001, 0.003), AHEAD)
    assert not forecast.left_out and not forecast.leaves_out(streams["windowed"], True)
    clock.now = 330.0
    assert forecast.leaves_out(streams["windowed"], True) and forecast.left_out["windowed"] > 10
    assert not forecast.leaves_out(streams["universal"], False), (
        "without a verdict so far nothing is too late"
    )


def test_what_was_spent_already_counts() -> None:
    clock = Clock()
    forecast = Forecast(Settings(streams=("saliency",)), 100.0, clock=clock)
    forecast.measured(FirstPass(0.001, 0.003), AHEAD)
    clock.now = 95.0
    with pytest.raises(TooLongError):
        forecast.update(Known(), Scores(nn.Flatten(), "none"), torch.rand(4, 1, 28, 28))


def test_images_that_do_not_fit_into_the_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(resource, "getrlimit", lambda kind: (8 * 2**30, 8 * 2**30))
    large = Ahead(images=1000, classes=10, shape=(3, 32, 32), values=3 * 2048 * 2048)
    quick = FirstPass(1e-6, 3e-6)
    with pytest.raises(TooLongError, match="about 24 GB of memory, more than the 8 GB"):
        Forecast(Settings()).measured(quick, large)
    Forecast(Settings()).measured(quick, AHEAD)


def test_a_network_that_is_used_at_another_size_is_measured_again() -> None:
    stages: list[tuple[str, float]] = []
    forecast = Forecast(
        Settings(streams=("saliency",)), progress=lambda stage, share: stages.append((stage, share))
    )
    forecast.measured(FirstPass(100.0, 300.0), AHEAD)
    network = nn.Sequential(nn.AdaptiveAvgPool2d(2), nn.Flatten())
    forecast.update(Known(), Scores(network, "none", side=56), torch.rand(4, 1, 28, 28))
    assert forecast.first is not None and forecast.first.both < 10.0
    assert stages[-2:] == [("measuring", 0.0), ("measuring", 1.0)]


def test_an_inspection_without_a_pack_is_forecast_too(tmp_path: Path) -> None:
    generator = np.random.default_rng(0)
    own = OwnImages("mine", generator.integers(0, 255, (60, 1, 8, 8), dtype=np.uint8), np.arange(60) % 4)
    network = nn.Sequential(nn.Flatten(), nn.Linear(64, 4))
    labels = network(torch.from_numpy(own.pixels).float() / 255).argmax(1)
    own = OwnImages("mine", own.pixels, labels.numpy())
    suspect = Model(network.eval(), "m.onnx", "0" * 64, "onnx", "m", 0, 4, (1, 8, 8))
    settings, told = Settings(streams=("inversion",), normalisation="none"), []
    for _ in range(2):
        forecast = Forecast(settings, expect=told.append, alone=True)
        inspect_alone(suspect, own, settings, cache=Cache(tmp_path), forecast=forecast)
    assert list(told[0]) == ["preprocessing", "inversion", "verdict", "trigger"]
    # The second time the evidence is in the cache.
    assert told[3]["inversion"] < told[1]["inversion"]
    with pytest.raises(TooLongError):
        inspect_alone(suspect, own, settings, forecast=Forecast(settings, 1e-4, alone=True))


def test_without_a_pack_searches_are_shortened_before_streams_are_left_out() -> None:
    streams = ("inversion", "windowed", "universal")

    def kept(allowed: float) -> tuple[int, list[str]]:
        forecast = Forecast(Settings(streams=streams), allowed, alone=True)
        forecast.measured(FirstPass(0.001, 0.003, work=1e6), AHEAD)
        return forecast.sparing.level, [s for s in streams if s not in forecast.left_out]

    assert kept(math.inf) == (0, list(streams))
    levels = [kept(seconds) for seconds in (100.0, 40.0, 15.0, 12.0)]
    assert [level for level, _ in levels] == [0, 1, 2, 2]
    assert [len(left) for _, left in levels] == [3, 3, 3, 2]


def test_a_large_network_is_shortened_by_its_size_and_only_without_a_pack() -> None:
    large = FirstPass(0.01, 0.03, work=4e9)
    alone, beside = Forecast(Settings(), alone=True), Forecast(Settings())
    for forecast in (alone, beside):
        forecast.measured(large, AHEAD)
    assert (alone.sparing.level, beside.sparing.level) == (2, 0)
    assert sum(alone.stages().values()) < sum(beside.stages().values()) / 5
    quick = Forecast(Settings(streams=QUICK), alone=True)
    quick.measured(large, AHEAD)
    assert "assignment" in alone.stages() and "assignment" not in quick.stages()
