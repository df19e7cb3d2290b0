"""Each image's own perturbation, in closed form on a linear classifier."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn

from ti_core.classifier.scores import Scores
from ti_core.settings import Settings
from ti_core.streams import Context, stack
from ti_core.streams.per_image import PerImage, images_a_class, nearest, radius_for

NAMES = tuple("abcdefgh")
SHAPE = (1, 6, 6)


def context(labels: torch.Tensor | None = None) -> Context:
    labels = torch.arange(40) % 8 if labels is None else labels
    # Rows and columns come in pairs of equal values.
    coarse = torch.rand(len(labels), 1, 3, 3, generator=torch.Generator().manual_seed(1))
    images = 0.3 + 0.4 * coarse.repeat_interleave(2, 2).repeat_interleave(2, 3)
    return Context(images, labels, 8, Settings())


def linear(seed: int, planted: int | None = None) -> Scores:
    layer = nn.Linear(36, 8, bias=False)
    layer.weight.data = torch.randn(8, 36, generator=torch.Generator().manual_seed(seed))
    if planted is not None:
        # A direction that clean images hardly have.
        checker = torch.tensor([1.0, -1.0]).repeat(3)
        layer.weight.data[planted] += 6 * torch.outer(checker, checker).flatten()
    return Scores(nn.Sequential(nn.Flatten(), layer), "none")


def test_two_classes_and_a_linear_classifier_give_the_step_along_the_difference_of_weights() -> None:
    layer = nn.Linear(36, 2, bias=False)
    images = torch.full((1, 5, *SHAPE), 0.5)
    with torch.no_grad():
        moved = nearest(nn.Sequential(nn.Flatten(), layer), images, torch.tensor([1]), radius=0.2)
    along = layer.weight[1] - layer.weight[0]
    wanted = 0.2 * (along / along.norm()).detach().view(SHAPE)
    assert torch.allclose(moved - images, wanted.expand_as(images), atol=1e-6)
    # The margin grows by the radius times the length of the difference.
    grown = (nn.Flatten()(moved[0] - images[0]) @ along).detach()
    assert torch.allclose(grown, 0.2 * along.norm().detach().expand(5), atol=1e-5)


def test_every_image_keeps_within_the_ball_and_the_range() -> None:
    images = torch.rand(4, 6, *SHAPE)
    with torch.no_grad():
        moved = nearest(linear(0), images, torch.arange(4), radius=0.7)
    assert float((moved - images).flatten(2).norm(dim=2).max()) <= 0.7 + 1e-5
    assert float(moved.min()) >= 0 and float(moved.max()) <= 1


def test_a_class_that_is_near_to_every_image_is_found_beside_clean_networks() -> None:
    stream = PerImage()
    clean = stack([stream.evidence(linear(seed), context()) for seed in range(16)])
    own = stream.evidence(linear(50, planted=2), context())
    reading = stream.read(own, clean, NAMES)
    assert reading.target == 2 and reading.clean_share == 0 and "class c" in reading.sentence
    assert stream.class_scores(stack([own]), clean).shape == (1, 8)
    assert stream.features(stack([own]), clean).matrix.shape == (1, 4)


def test_the_scale_of_the_scores_plays_no_part() -> None:
    stream, one = PerImage(), linear(3)
    loud = linear(3)
    loud.network[1].weight.data *= 10
    a, b = (stream.evidence(network, context()) for network in (one, loud))
    clean = stack([stream.evidence(linear(seed), context()) for seed in range(8)])
    np.testing.assert_allclose(
        stream.class_scores(stack([a]), clean), stream.class_scores(stack([b]), clean), rtol=1e-3
    )


@pytest.mark.parametrize("value", (float("nan"), float("inf"), 0.0))
def test_a_network_that_says_nothing_ends_in_finite_numbers(value: float) -> None:
    class Broken(nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return x.flatten(1)[:, :8] * value

    stream = PerImage()
    evidence = stream.evidence(Scores(Broken(), "none"), context())
    clean = stack([stream.evidence(linear(seed), context()) for seed in range(4)])
    assert all(np.isfinite(values).all() for values in evidence.values())
    assert np.isfinite(stream.read(evidence, clean, NAMES).score)


def test_images_of_one_class_only_give_finite_numbers() -> None:
    evidence = PerImage().evidence(linear(1), context(torch.zeros(12, dtype=torch.long)))
    assert all(np.isfinite(values).all() for values in evidence.values())


def test_the_effort_falls_with_the_classes_and_the_radius_follows_the_size() -> None:
    assert [images_a_class(k) for k in (2, 10, 20, 43, 1000)] == [48, 48, 24, 12, 12]
    assert radius_for(1, 28, 28) == 2.0 and abs(radius_for(3, 56, 56) - 2.0) < 1e-9
