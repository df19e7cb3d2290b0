"""Without labels: the candidates are judged by what the answers tell, and several outputs and open sizes are met."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from ti_core.classifier.classifier import Declared
from ti_core.classifier.unlabelled import MINIMUM_INFORMATION, count_classes, understand_unlabelled
from ti_core.errors import ModelBehaviourError
from ti_core.reconstruction.model import Model


class Levels(nn.Module):
    """Four classes by the mean of the first channel, where it lies from -1 to 1."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        distance = x[:, :1].mean((2, 3)) - torch.tensor([-0.9, -0.3, 0.3, 0.9])
        return -200 * distance.square()


class Several(Levels):
    def forward(self, x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:  # type: ignore[override]
        return x.mean((1, 2, 3)), super().forward(x).softmax(1)


class Larger(Levels):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        if x.shape[-1] != 32:
            raise ValueError("only 32 x 32")
        return super().forward(x)


def model(network: nn.Module, classes: int | None = 4, size: int = 8, declared: str | None = None) -> Model:
    shape = (3, size, size) if size else None
    return Model(network.eval(), "m.onnx", "0" * 64, "onnx", "toy", 1, classes, shape, declared=declared)


@pytest.fixture
def images() -> torch.Tensor:
    levels = torch.tensor([-0.9, -0.3, 0.3, 0.9]).repeat(50) / 2 + 0.5
    noise = 0.01 * torch.rand(200, 3, 8, 8, generator=torch.Generator().manual_seed(0))
    return (levels.view(-1, 1, 1, 1) + noise).clamp(0, 1)


def test_the_scaling_under_which_answers_tell_most_is_kept(images: torch.Tensor) -> None:
    found = understand_unlabelled(model(Levels()), images, 4)
    assert found.understood and found.normalisation == "half" and found.accuracy > 0.95
    assert found.tried["none"] < found.accuracy and not any("bgr" in name for name in found.tried)
    assert "carry no labels" in found.says() and "declare it with --set" in found.says()


def test_what_is_declared_is_believed(images: torch.Tensor) -> None:
    by_file = understand_unlabelled(model(Levels(), declared="none"), images, 4)
    assert by_file.normalisation == "none" and set(by_file.tried) == {"none"}
    by_user = understand_unlabelled(
        model(Levels(), declared="none"), images, 4, Declared(normalisation="half", channel_order="bgr")
    )
    assert (by_user.normalisation, by_user.channel_order) == ("half", "bgr")
    assert "blue channel first" in by_user.says()


def test_one_of_several_outputs_and_other_sizes_are_found(images: torch.Tensor) -> None:
    several = understand_unlabelled(model(Several()), images, 4, Declared(normalisation="half"))
    assert several.place == 1 and several.output == "probabilities" and "Of several outputs" in several.says()
    larger = understand_unlabelled(model(Larger(), size=0), images, 4, Declared(normalisation="half"))
    assert larger.resized == 32 and larger.understood
    assert (
        count_classes(model(Several(), None), images) == count_classes(model(Larger(), None, 0), images) == 4
    )


def test_answers_that_tell_nothing_are_not_understood(images: torch.Tensor) -> None:
    found = understand_unlabelled(model(Levels()), images[:1].repeat(100, 1, 1, 1), 4)
    assert not found.understood and found.accuracy < MINIMUM_INFORMATION


def test_a_network_that_returns_no_scores_ends_in_a_sentence(images: torch.Tensor) -> None:
    with pytest.raises(ModelBehaviourError, match="returns no class scores"):
        count_classes(model(nn.Identity(), None), images)
    with pytest.raises(ModelBehaviourError, match="does not accept images"):
        count_classes(model(nn.Conv2d(5, 4, 3), None), images)
