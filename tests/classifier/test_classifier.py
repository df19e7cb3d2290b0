from __future__ import annotations

import math
from collections.abc import Callable

import pytest
import torch
from torch import nn

from ti_core.classifier.classifier import MINIMUM_ACCURACY, Declared
from ti_core.classifier.normalisation import NORMALISATIONS, Normalise, fitting
from ti_core.classifier.outputs import loss
from ti_core.classifier.scores import Scores
from ti_core.classifier.understand import understand
from ti_core.errors import ModelBehaviourError, SettingsError
from ti_core.reconstruction.model import Model

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
    found = understand(model(Exact("half")), IMAGES, LABELS, 3, Declared(normalisation="mnist"))
    assert {name.split()[0] for name in found.tried} == {"mnist"}
    assert not found.understood and found.accuracy < MINIMUM_ACCURACY


def test_what_the_file_declares_is_believed_only_if_it_works() -> None:
    right = understand(model(Exact("half"), declared="half"), IMAGES, LABELS, 3)
    wrong = understand(model(Exact("half"), declared="mnist"), IMAGES, LABELS, 3)
    assert list(right.tried) == ["half"]
    assert wrong.normalisation == "half"


def test_an_unknown_normalisation_is_a_clear_error() -> None:
    with pytest.raises(SettingsError, match=r"'sunny' is unknown; known are none, half"):
        understand(model(Exact("none")), IMAGES, LABELS, 3, Declared(normalisation="sunny"))


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
        (lambda x: (x.flatten(1)[:, :7], x), "returns a tuple with no such tensor"),
        (lambda x: {"logits": x}, "returns a dict with no such tensor"),
        (lambda x: [], "returns a list where"),
        (lambda x: None, "returns a NoneType where"),
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


COLOUR = torch.rand(300, 3, SIDE, SIDE, generator=torch.Generator().manual_seed(5))
BRIGHTEST = COLOUR.mean(dim=(2, 3)).argmax(1)


class Brightest(nn.Module):
    """Names the brightest channel (0 for red), if its input is made as it expects."""

    def __init__(self, normalisation: str = "none", order: str = "rgb", most: int = 1000) -> None:
        super().__init__()
        n = NORMALISATIONS[normalisation]
        self.mean = torch.tensor(n.mean).view(1, -1, 1, 1)
        self.std = torch.tensor(n.std).view(1, -1, 1, 1)
        self.order, self.most = order, most

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        if self.order == "bgr":
            x = x.flip(1)
        # A bend at both ends of the range, so that the scale of the pixels matters, not only their order.
        pixels = (x * self.std + self.mean).mean(dim=(2, 3))
        return 40 * torch.where((pixels > 0.2) & (pixels < 0.8), pixels, -pixels)


@pytest.mark.parametrize("order", ["rgb", "bgr"])
def test_the_channel_order_is_found(order: str) -> None:
    found = understand(model(Brightest(order=order)), COLOUR, BRIGHTEST, 3)
    assert found.channel_order == order and found.accuracy == 1.0
    assert ("blue channel first" in found.says()) == (order == "bgr")
    assert ("bgr" in found.key) == (order == "bgr")


def test_bytes_in_blue_green_red_less_a_mean_are_found() -> None:
    found = understand(model(Brightest("caffe", "bgr")), COLOUR, BRIGHTEST, 3)
    assert (found.normalisation, found.channel_order, found.accuracy) == ("caffe", "bgr", 1.0)


def test_a_declared_order_is_taken_without_trying() -> None:
    found = understand(model(Brightest()), COLOUR, BRIGHTEST, 3, Declared(channel_order="bgr"))
    assert found.channel_order == "bgr" and found.accuracy < 0.6
    assert all("bgr" in name for name in found.tried)


def test_scores_turn_the_channels_round_after_normalising() -> None:
    scores = Scores(nn.Identity(), "imagenet", order="bgr")
    torch.testing.assert_close(scores.prepared(COLOUR), Normalise("imagenet")(COLOUR).flip(1))


@pytest.mark.parametrize(
    ("pack", "place", "words"),
    [
        (lambda z, x: (z,), 0, "number 1 holds"),
        (lambda z, x: (x, z), 1, "number 2 holds"),
        (lambda z, x: [x.flatten(1), z[:, :, None, None]], 1, "number 2 holds"),
        (lambda z, x: {"features": x.flatten(1), "logits": z}, "logits", "“logits” holds"),
    ],
)
def test_the_scores_are_found_among_several_outputs(
    pack: Callable[[torch.Tensor, torch.Tensor], object], place: int | str, words: str
) -> None:
    exact = Exact("none")
    found = understand(model(Returns(lambda x: pack(exact(x), x))), IMAGES, LABELS, 3)
    assert found.place == place and found.accuracy > 0.9 and words in found.says()
    torch.testing.assert_close(found.scores(IMAGES), Scores(exact, "none")(IMAGES))
    assert found.as_dict()["output_used"] == str(place)


def test_what_is_returned_can_be_declared() -> None:
    found = understand(model(Exact("none")), IMAGES, LABELS, 3, Declared(output="probabilities"))
    assert found.output == "probabilities" and "returns probabilities" in found.says()


def test_a_size_that_the_file_leaves_open_is_found_by_trying() -> None:
    """At the pack's size it fails, at 28 it goes through."""
    exact = Exact("none")

    def make(x: torch.Tensor) -> torch.Tensor:
        if x.shape[2] < 20:
            raise RuntimeError("Kernel size can't be greater than actual input size")
        return exact(x)

    found = understand(model(Returns(make), input_shape=(1, 0, 0)), IMAGES, LABELS, 3)
    assert found.resized == 28


def test_a_network_that_does_badly_at_the_packs_size_is_tried_at_larger_ones() -> None:
    exact = Exact("none")

    def make(x: torch.Tensor) -> torch.Tensor:
        z = exact(nn.functional.interpolate(x, SIDE, mode="area") if x.shape[2] == 48 else x)
        return z if x.shape[2] == 48 else z.roll(1, dims=1)

    blocks = IMAGES.mean(dim=(2, 3), keepdim=True).expand(-1, 1, SIDE, SIDE).contiguous()
    found = understand(model(Returns(make)), blocks, LABELS, 3)
    assert found.resized == 48 and "resized to 48 x 48" in found.says()
    fixed = understand(model(Returns(make)), blocks, LABELS, 3, Declared(input_size=SIDE))
    assert fixed.resized is None and not fixed.understood


def test_a_variant_can_be_declared() -> None:
    variants = {"b": lambda: Exact("none")}
    broken = nn.Sequential(nn.Flatten(), nn.Linear(SIDE * SIDE, 3))
    assert (
        understand(model(broken, variants=variants), IMAGES, LABELS, 3, Declared(variant="b")).variant == "b"
    )
    first = understand(model(broken, variants=variants), IMAGES, LABELS, 3, Declared(variant=""))
    assert first.variant == "" and not first.understood
    with pytest.raises(SettingsError, match=r"has no variant 'c'; it has: 'b'"):
        understand(model(broken, variants=variants), IMAGES, LABELS, 3, Declared(variant="c"))


class Contrast(nn.Module):
    """Which half is brighter: the same answer under every scaling, but sure of it only from a contrast of 0.1 on."""

    def __init__(self, normalisation: str, sureness: float = 1.0) -> None:
        super().__init__()
        self.std, self.sureness = NORMALISATIONS[normalisation].std[0], sureness

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        contrast = (x[..., : SIDE // 2] - x[..., SIDE // 2 :]).mean((1, 2, 3)) * self.std
        z = contrast.sign() * torch.where(contrast.abs() > 0.1, 2.0, 0.2) * self.sureness
        return torch.stack([z, -z], 1)


@pytest.mark.parametrize("sureness", [0.3, 1.0, 30.0])
@pytest.mark.parametrize("name", ["none", "half", "mnist"])
def test_of_equally_accurate_scalings_the_one_under_which_the_labels_are_likeliest(
    name: str, sureness: float
) -> None:
    """However sure the network is of itself: the labels are drawn from what it says at sureness 1."""
    draw = torch.Generator().manual_seed(11)
    images = torch.rand(600, 1, SIDE, SIDE, generator=draw)
    says = Scores(Contrast(name), name)(images).softmax(1)
    labels = torch.multinomial(says, 1, generator=draw)[:, 0]
    found = understand(model(Contrast(name, sureness)), images, labels, 2)
    assert found.normalisation == name
    assert len(set(found.tried.values())) == 1, "accuracy alone would not tell"


class Nearly(nn.Module):
    """Exact in the ranges 0 to 1 and -1 to 1, but for two of all the images in the range 0 to 1."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        raw = bool(x.min() >= 0) and bool(x.max() <= 1)
        pixels = x if raw else x * 0.5 + 0.5
        z = Exact("none")(pixels)
        first = (torch.arange(len(x)) < 2) & raw & (len(x) == len(IMAGES))
        return torch.where(first[:, None], z.roll(1, 1), z)


def test_an_image_more_does_not_make_a_later_scaling_the_better_one() -> None:
    wrong = torch.arange(len(LABELS)) % 7 == 6
    found = understand(model(Nearly()), IMAGES, torch.where(wrong, (LABELS + 1) % 3, LABELS), 3)
    assert 0 < found.tried["half"] - found.tried["none"] <= 0.02
    assert found.normalisation == "none"


def test_the_loss_is_the_cross_entropy_at_the_best_temperature() -> None:
    z = torch.tensor([[2.0, 0.0], [0.0, 2.0], [2.0, 0.0], [2.0, 0.0]])
    labels = torch.tensor([0, 1, 0, 1])
    # Three of four are right, so that sureness of log 3 (a factor of .55) is best.
    best = -(3 * math.log(0.75) + math.log(0.25)) / 4
    assert loss(z, labels) == pytest.approx(best, abs=1e-3)
    assert loss(10 * z, labels) == pytest.approx(best, abs=1e-3)
    assert loss(z * math.nan, labels) == math.inf


@pytest.mark.parametrize(("needed", "understood"), [(0.3, True), (0.7, False)])
def test_understood_is_what_reaches_the_accuracy_asked_for(needed: float, understood: bool) -> None:
    """A network that is right on half of the images."""
    labels = torch.where(torch.arange(len(LABELS)) % 2 == 0, LABELS, (LABELS + 1) % 3)
    found = understand(model(Exact("none")), IMAGES, labels, 3, needed=needed)
    assert found.accuracy == pytest.approx(0.5, abs=0.02) and found.understood == understood


def test_many_candidates_cost_little_more_than_one() -> None:
    """All are tried on a sample; five see every image."""
    seen = 0

    def make(x: torch.Tensor) -> torch.Tensor:
        nonlocal seen
        seen += len(x)
        return x.mean(dim=(2, 3))

    found = understand(model(Returns(make)), COLOUR, 2 - BRIGHTEST, 3)
    assert len(found.tried) >= 12
    assert seen <= 64 * len(found.tried) + 6 * len(COLOUR)
