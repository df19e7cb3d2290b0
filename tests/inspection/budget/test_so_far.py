"""The verdict so far: the final judgement on what is done. It changes nothing, and what is done is kept."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from ti_core.errors import CancelledError
from ti_core.inspection.forecast import Forecast
from ti_core.inspection.steps import Steps
from ti_core.inspection.with_pack import inspect
from ti_core.inspection.without_pack import inspect_alone
from ti_core.loading import load_model
from ti_core.reference.own_images import OwnImages
from ti_core.reference.pack import Pack
from ti_core.results.so_far import TRIGGER, SoFar
from ti_core.settings import Settings
from ti_core.system.cache import Cache

STREAMS = ("saliency", "universal", "windowed", "assignment", "graph")
IN_TURN = ("saliency", "graph", "assignment", "windowed", "universal")


@pytest.fixture
def settings(tiny_settings: Settings) -> Settings:
    return tiny_settings.with_(streams=STREAMS)


@pytest.mark.parametrize("label", ["clean", "patch"])
def test_it_is_the_verdict_of_an_inspection_with_the_streams_that_are_done(
    tiny_pack: Pack,
    tiny_models: dict[str, Path],
    settings: Settings,
    label: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(Steps, "recover_trigger", lambda self: None)
    model, cache, told = load_model(tiny_models[label]), Cache(tmp_path), list[SoFar]()
    plain = inspect(model, tiny_pack, settings, cache=cache)
    found = inspect(model, tiny_pack, settings, cache=cache, so_far=told.append)
    assert found.report.probability == plain.report.probability
    assert found.report.reasons == plain.report.reasons
    assert list(found.evidence) == list(found.readings) == list(STREAMS)
    for count, said in zip((1, 2, 3, 4), told, strict=False):
        assert said.streams == IN_TURN[:count] and said.ahead == IN_TURN[count:]
        part = inspect(model, tiny_pack, settings.with_(streams=said.streams), cache=cache).report
        assert (said.verdict, said.probability) == (part.verdict, part.probability)
        assert said.target == (part.target_class_name if part.verdict == "backdoored" else None)
    # Before the trigger of a model that is not called clean, the verdict of all streams is told.
    more = told[4:]
    assert [(s.ahead, s.probability) for s in more] == (
        [] if plain.report.verdict == "clean" else [((TRIGGER,), plain.report.probability)]
    )


def test_it_is_told_only_where_it_stands_for_some_time(
    tiny_pack: Pack, tiny_models: dict[str, Path], settings: Settings
) -> None:
    told: list[SoFar] = []
    model = load_model(tiny_models["clean"])
    inspect(model, tiny_pack, settings, forecast=Forecast(settings), so_far=told.append)
    assert not told, "no stream takes a second on so small a network"


def test_what_is_done_is_kept_when_the_work_is_stopped(
    tiny_pack: Pack, tiny_models: dict[str, Path], settings: Settings, tmp_path: Path
) -> None:
    told: list[SoFar] = []

    def until_windowed(stage: str, share: float) -> None:
        if stage == "windowed" and share > 0:
            raise CancelledError("Stopped.")

    model = load_model(tiny_models["patch"])
    with pytest.raises(CancelledError):
        inspect(model, tiny_pack, settings, until_windowed, Cache(tmp_path), so_far=told.append)
    assert told[-1].streams == ("saliency", "graph", "assignment")
    again = inspect(model, tiny_pack, settings, cache=Cache(tmp_path))
    sources = {name: again.report.cache[name] for name in STREAMS}
    assert sources == dict.fromkeys(STREAMS, "cache") | dict.fromkeys(("universal", "windowed"), "computed")


def test_without_a_pack_it_is_that_of_the_models_own_classes(tmp_path: Path) -> None:
    import torch
    from torch import nn

    from ti_core.reconstruction.model import Model

    torch.manual_seed(0)
    generator = np.random.default_rng(0)
    pixels = generator.integers(0, 255, (60, 1, 8, 8), dtype=np.uint8)
    network = nn.Sequential(nn.Flatten(), nn.Linear(64, 5)).eval()
    labels = network(torch.from_numpy(pixels).float() / 255).argmax(1)
    own = OwnImages("mine", pixels, labels.numpy())
    suspect = Model(network, "m.onnx", "0" * 64, "onnx", "m", 0, 5, (1, 8, 8))
    names = ("inversion", "assignment", "windowed")
    settings, cache, told = Settings(streams=names, normalisation="none"), Cache(tmp_path), list[SoFar]()
    inspect_alone(suspect, own, settings, cache=cache, so_far=told.append)
    assert [(s.streams, s.ahead) for s in told] == [(names[:1], names[1:]), (names[:2], names[2:])]
    for said in told:
        part = inspect_alone(suspect, own, settings.with_(streams=said.streams), cache=cache).report
        assert (said.verdict, said.probability) == (part.verdict, part.probability)
        assert said.target == (part.target_class_name if part.verdict == "backdoored" else None)
