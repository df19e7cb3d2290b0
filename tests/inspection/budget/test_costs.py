"""The time of each effort, from one measured pass in a process of its own."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from benchmarks.forecasts import as_model, is_right
from ti_core.classifier.first_pass import Ahead, FirstPass
from ti_core.cli.main import main
from ti_core.inspection.budget.costs import MeasuredError, Scales
from ti_core.inspection.forecast import Forecast
from ti_core.reference.choosing import understand_with
from ti_core.reference.pack import Pack
from ti_core.settings import Settings
from ti_core.stream_registry import EFFORTS
from ti_core.worker import Job, Limits
from ti_core.worker.inspection_job import look_of
from ti_core.worker.results import ResultError

AHEAD = Ahead(images=1000, classes=10, shape=(1, 28, 28), values=784)


def test_an_effort_costs_what_is_forecast_of_its_streams() -> None:
    scales = Scales(Settings())
    assert scales.costs() == {}
    with pytest.raises(MeasuredError):
        scales.measured(FirstPass(0.001, 0.003), AHEAD)
    for effort, seconds in scales.costs().items():
        forecast = Forecast(Settings(streams=EFFORTS[effort]))
        forecast.first, forecast.ahead = scales.first, scales.ahead
        assert seconds == pytest.approx(sum(forecast.stages().values()))
    assert list(scales.costs()) == list(EFFORTS) and scales.costs()["quick"] < scales.costs()["standard"]


def test_the_work_ends_with_the_first_pass(tiny_pack: Pack) -> None:
    scales = Scales(tiny_pack.settings)
    with pytest.raises(MeasuredError):
        understand_with(as_model(tiny_pack, tiny_pack.members[0]), tiny_pack, gauge=scales)
    assert scales.first is not None and 0 < scales.first.forward < scales.first.both


def test_the_command_line_says_it_without_a_verdict(
    tiny_pack: Pack, tiny_models: dict[str, Path], capsys: pytest.CaptureFixture[str]
) -> None:
    model = str(tiny_models["patch"])
    assert main(["inspect", model, "--pack", str(tiny_pack.folder), "--forecast", "--device", "cpu"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].startswith("safetensors, ") and "the reference pack bars, as asked for" in lines[1]
    assert [line.partition(": about ")[0] for line in lines[2:]] == list(EFFORTS)


def test_the_command_line_says_it_for_images_of_ones_own(
    tiny_pack: Pack, tiny_models: dict[str, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    own, model = tmp_path / "own.npz", str(tiny_models["patch"])
    pixels = (255 * tiny_pack.images[:60]).round().byte().numpy()
    np.savez(own, images=pixels, labels=tiny_pack.labels[:60].numpy())
    assert main(["inspect", model, "--images", str(own), "--forecast", "--device", "cpu"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[1].startswith("It is inspected on the images that were given with it")
    assert [line.partition(": about ")[0] for line in lines[2:]] == list(EFFORTS)
    assert main(["inspect", model, "--images", model, "--forecast"]) == 2


def test_a_look_of_another_form_is_refused(tmp_path: Path) -> None:
    (tmp_path / "look.json").write_text(json.dumps({"seconds": {"quick": 1.0}}))
    with pytest.raises(ResultError, match="no valid look"):
        look_of(Job(tmp_path, Limits()))


def test_a_forecast_is_right_within_its_factor_either_way() -> None:
    assert is_right(2.0, 3.0) and is_right(3.0, 2.0) and not is_right(2.0, 3.1) and not is_right(3.1, 2.0)
