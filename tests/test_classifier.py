from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import nn

from ti_core.classifier import MINIMUM_ACCURACY, Scores, understand
from ti_core.errors import ModelBehaviourError, SettingsError
from ti_core.loading.model import Model
from ti_core.normalisation import NORMALISATIONS, Normalise, fitting

SIDE = 6
IMAGES = torch.rand(200, 1, SIDE, SIDE, generator=torch.Generator().manual_seed(3))
LABELS = (IMAGES[:, 0].mean(dim=(1, 2)) * 1000).long() % 3


class Exact(nn.Module):
    """Tells the three classes of LABELS apart if, and only if, its input is what it expects."""

    def __init__(self, normalisation: str, softmax: bool = False) -> None:
        super().__init__()
        n = NORMALISATIONS[normalisation]
        self.mean, self.std, self.softmax = n.mean[0], n.std[0], softmax

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        pixels = x * self.std + self.mean
        z = (
            nn.functional.one_hot(
                (pixels[:, 0].mean(dim=(1, 2)) * 1000).round(decimals=2).long() % 3, 3
            ).float()
            * 5
        )
        z = z + 0 * x.mean()
        return z.softmax(1) if self.softmax else z


def model(network: nn.Module, **more: object) -> Model:
    return Model(network, "m.pt", "0" * 64, "torch module", "Exact", 0, **more)  # type: ignore[arg-type]


@pytest.mark.parametrize("name", ["none", "half", "bytes", "mnist"])
def test_the_normalisation_is_found(name: str) -> None:
    found = understand(model(Exact(name)), IMAGES, LABELS, 3)
    assert found.normalisation == name
    assert found.accuracy > 0.9
    assert set(found.tried) == set(fitting(1))
    assert NORMALISATIONS[name].says in found.says()


def test_a_declared_normalisation_is_taken_without_trying() -> None:
    found = understand(model(Exact("half")), IMAGES, LABELS, 3, normalisation="mnist")
    assert list(found.tried) == ["mnist"]
    assert not found.understood and found.accuracy < MINIMUM_ACCURACY


def test_what_the_file_declares_is_believed_only_if_it_works() -> None:
    right = understand(model(Exact("half"), declared="half"), IMAGES, LABELS, 3)
    wrong = understand(model(Exact("half"), declared="mnist"), IMAGES, LABELS, 3)
    assert list(right.tried) == ["half"]
    assert wrong.normalisation == "half"


def test_an_unknown_normalisation_is_a_clear_error() -> None:
    with pytest.raises(SettingsError, match=r"'sunny' is unknown; known are none, half"):
        understand(model(Exact("none")), IMAGES, LABELS, 3, normalisation="sunny")


def test_probabilities_and_logits_give_the_same_scores() -> None:
    logits = understand(model(Exact("none")), IMAGES, LABELS, 3)
    probabilities = understand(model(Exact("none", softmax=True)), IMAGES, LABELS, 3)
    assert (logits.output, probabilities.output) == ("logits", "probabilities")
    torch.testing.assert_close(logits.scores(IMAGES), probabilities.scores(IMAGES), atol=1e-4, rtol=1e-4)


def test_scores_are_centred() -> None:
    z = Scores(Exact("none"), "none")(IMAGES)
    torch.testing.assert_close(z.mean(1), torch.zeros(len(IMAGES)), atol=1e-6, rtol=0)


def test_a_variant_is_taken_where_the_first_choice_does_badly() -> None:
    broken = nn.Sequential(nn.Flatten(), nn.Linear(SIDE * SIDE, 3))
    found = understand(model(broken, variants={"activation=tanh": lambda: Exact("none")}), IMAGES, LABELS, 3)
    assert found.variant == "activation=tanh"
    assert found.accuracy > 0.9


class Returns(nn.Module):
    def __init__(self, make: Callable[[torch.Tensor], object]) -> None:
        super().__init__()
        self.make = make

    def forward(self, x: torch.Tensor) -> object:
        return self.make(x)


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda x: (x.flatten(1)[:, :3], x), "returns a tuple"),
        (lambda x: x.flatten(1)[:, :3] * float("nan"), "not finite"),
        (lambda x: x.flatten(1)[:, :7], "7 classes apart"),
        (lambda x: x, "shape"),
        (lambda x: x @ torch.zeros(99, 3), "does not accept images"),
    ],
)
def test_a_network_that_is_no_classifier_is_a_clear_error(
    make: Callable[[torch.Tensor], object], words: str
) -> None:
    with pytest.raises(ModelBehaviourError, match=words):
        understand(model(Returns(make)), IMAGES, LABELS, 3)


def test_what_the_file_tells_is_checked_before_anything_runs() -> None:
    network = Returns(lambda x: pytest.fail("ran"))
    with pytest.raises(ModelBehaviourError, match="7 classes"):
        understand(model(network, classes=7), IMAGES, LABELS, 3)
    with pytest.raises(ModelBehaviourError, match="3 channels"):
        understand(model(network, input_shape=(3, SIDE, SIDE)), IMAGES, LABELS, 3)


def test_another_input_size_is_reached_by_resizing() -> None:
    seen = []

    def make(x: torch.Tensor) -> torch.Tensor:
        seen.append(tuple(x.shape[1:]))
        return x.flatten(1)[:, :3]

    found = understand(model(Returns(make), input_shape=(1, 9, 9)), IMAGES, LABELS, 3)
    assert found.resized == 9 and "resized to 9 x 9" in found.says()
    assert seen[-1] == (1, 9, 9)


def test_normalise_is_the_formula() -> None:
    x = torch.rand(2, 3, 4, 4)
    n = NORMALISATIONS["cifar10"]
    expected = (x - torch.tensor(n.mean).view(3, 1, 1)) / torch.tensor(n.std).view(3, 1, 1)
    torch.testing.assert_close(Normalise("cifar10")(x), expected)
    torch.testing.assert_close(Normalise("bytes")(x), x * 255)
