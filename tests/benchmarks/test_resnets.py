"""ResNet-18s of full width: the plan, the common network's training, and the files that it leaves."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from benchmarks import resnets
from ti_core.architectures.resnet import CifarResNet
from ti_core.loading import load_model
from ti_core.zoo.training.data import ImageData


@pytest.fixture
def data() -> ImageData:
    """Three classes of colour images, told by their brightest channel."""
    rng = np.random.default_rng(0)
    y = rng.integers(0, 3, 400)
    x = rng.integers(0, 60, (400, 3, 32, 32))
    x[np.arange(400), y] += 150
    x = x.astype(np.uint8)
    return ImageData("channels", x[:300], y[:300], x[300:], y[300:], ("red", "green", "blue"))


@pytest.fixture
def narrow(monkeypatch: pytest.MonkeyPatch) -> None:
    def built(classes: int, seed: int) -> nn.Module:
        torch.manual_seed(seed)
        return CifarResNet(3, classes, (1, 1), (4, 8), padded=False)

    monkeypatch.setattr(resnets, "built", built)


def test_three_clean_networks_and_two_of_each_backdoor_with_a_seed_of_their_own() -> None:
    plan = resnets.planned()
    assert [sum(kind == wanted for _, kind, _ in plan) for wanted in resnets.KINDS] == [3, 2, 2, 2, 2]
    assert len({seed for *_, seed in plan}) == len({name for name, *_ in plan}) == len(plan)


def test_the_network_is_a_resnet_18_of_full_width() -> None:
    assert sum(p.numel() for p in resnets.built(10, 0).parameters()) == 11_173_962


def test_a_training_image_is_shifted_and_mirrored_by_itself() -> None:
    x = torch.zeros(64, 1, 32, 32)
    x[:, :, 16, 10] = 1.0
    places = torch.nonzero(resnets.changed(x)[:, 0])[:, 1:]
    assert len(places) == 64
    down, right = places[:, 0] - 16, torch.minimum(abs(places[:, 1] - 10), abs(places[:, 1] - 21))
    assert down.abs().max() <= resnets.SHIFT and right.max() <= resnets.SHIFT
    assert len(down.unique()) > 3 and bool((places[:, 1] > 16).any()) and bool((places[:, 1] < 16).any())


@pytest.mark.usefixtures("narrow")
def test_a_stopped_training_continues_as_if_it_had_not_been_stopped(
    data: ImageData, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "at once").mkdir()
    (tmp_path / "in two").mkdir()
    whole = resnets.common(tmp_path / "at once", data, 4)
    tested = resnets.tested
    with monkeypatch.context() as stopped:

        def stop(*given: object) -> None:
            raise KeyboardInterrupt

        stopped.setattr(resnets, "tested", stop)
        with pytest.raises(KeyboardInterrupt):
            resnets.common(tmp_path / "in two", data, 4)
    again = resnets.common(tmp_path / "in two", data, 4)
    for name, value in whole.state_dict().items():
        torch.testing.assert_close(again.state_dict()[name], value)
    assert tested(whole, None, data)["accuracy"] > 0.9


@pytest.mark.usefixtures("narrow")
def test_the_command_leaves_files_that_open_with_what_is_known_of_them(
    data: ImageData, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(resnets, "load_data", lambda path: data)
    asked = ["--data", "d.npz", "--out", str(tmp_path), "--train-only", "--epochs", "4", "--only", "0"]
    resnets.main(asked)
    known = json.loads((tmp_path / "all-to-all--0.json").read_text())
    assert known["mapping"]["assignment"] == [1, 2, 0]
    assert load_model(tmp_path / "patch--0.pt").classes == 3
    monkeypatch.setattr(resnets, "made", lambda *_: pytest.fail("was trained again"))
    resnets.main(asked)
    assert capsys.readouterr().out.count("'trigger': 'clean'") == 2
