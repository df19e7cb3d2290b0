"""Opening a state dict by a sketch: the network, its facts, and what is refused."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file
from torch import nn

from ti_core.errors import SketchError, UnknownArchitectureError
from ti_core.loading import load_model

SKETCH = "conv 4 5; tanh; avgpool 2; flatten; linear 3"


@pytest.fixture
def net() -> nn.Sequential:
    torch.manual_seed(0)
    return nn.Sequential(nn.Conv2d(1, 4, 5), nn.Tanh(), nn.AvgPool2d(2), nn.Flatten(), nn.Linear(4 * 144, 3))


@pytest.fixture
def path(net: nn.Sequential, tmp_path: Path) -> Path:
    torch.save({"state_dict": net.state_dict(), "epoch": 3}, tmp_path / "model.pt")
    return tmp_path / "model.pt"


def test_the_network_of_the_sketch_is_opened(path: Path, net: nn.Sequential, images: torch.Tensor) -> None:
    model = load_model(path, sketch=SKETCH)
    assert (model.architecture, model.sketch) == ("sketch", SKETCH)
    assert (model.classes, model.input_shape) == (3, (1, 28, 28))
    torch.testing.assert_close(model.module(images), net(images))
    assert not any(p.requires_grad for p in model.module.parameters())
    assert model.key != model.sha256 and model.key != load_model(path, sketch=f"input 1 28; {SKETCH}").key


def test_a_safetensors_file_too(net: nn.Sequential, tmp_path: Path) -> None:
    save_file(net.state_dict(), tmp_path / "m.safetensors")
    assert load_model(tmp_path / "m.safetensors", sketch=f"input 1 28; {SKETCH}").input_shape == (1, 28, 28)


@pytest.mark.parametrize(
    ("sketch", "says"),
    [
        ("conv 4 5; tanh; flatten; linear 3; linear 3", "no tensors of the file fit: linear 3"),
        ("conv 4 5; tanh", "does not name: 4"),
        (f"input 1 32; {SKETCH}", "Images of 1 x 32 x 32 do not go through the network"),
        (f"input 3 28; {SKETCH}", "conv 4 5 on 3 channels"),
        ("conv 4 5; system", "there is no layer 'system'"),
    ],
)
def test_what_does_not_fit_is_a_sentence(path: Path, sketch: str, says: str) -> None:
    with pytest.raises(SketchError, match=says):
        load_model(path, sketch=sketch)


def test_a_network_without_a_row_of_scores_is_refused(tmp_path: Path) -> None:
    torch.save(nn.Conv2d(1, 4, 5).state_dict(), tmp_path / "model.pt")
    with pytest.raises(SketchError, match="end it with flatten and linear"):
        load_model(tmp_path / "model.pt", sketch="input 1 28; conv 4 5")


def test_a_sketch_is_for_state_dicts_alone(net: nn.Sequential, tmp_path: Path) -> None:
    torch.save(net, tmp_path / "whole.pt")
    with pytest.raises(SketchError, match="A sketch is for a state dict"):
        load_model(tmp_path / "whole.pt", sketch=SKETCH)


def test_a_network_that_branches_is_refused_with_the_beginning_of_its_sketch(tmp_path: Path) -> None:
    parts = {"stem": nn.Conv2d(1, 4, 3), "left": nn.Conv2d(4, 4, 3), "right": nn.Conv2d(4, 5, 5)}
    parts |= {"joined": nn.Conv2d(9, 3, 1)}
    torch.save(nn.ModuleDict(parts).state_dict(), tmp_path / "model.pt")
    with pytest.raises(UnknownArchitectureError) as caught:
        load_model(tmp_path / "model.pt")
    said = str(caught.value)
    assert "    conv 4 3; conv 4 3; conv 5 5\n" in said and "Left over are joined (3 x 9 x 1 x 1)." in said
    joined = "concat { conv 4 3 padding 1 } { conv 5 5 padding 2 }"
    sketch = f"conv 4 3; {joined}; conv 3 1; globalavgpool; flatten"
    assert load_model(tmp_path / "model.pt", sketch=sketch).sketch == sketch
