"""Universal perturbations: exact on linear classifiers, always inside the ball and the image."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from tests.streams.toys import Constant, Linear, NotFinite, context, grey, weights
from ti_core.streams.base import stack
from ti_core.streams.searches.perturbations import PerturbationSearch, blended, maximise
from ti_core.streams.searches.search import Effort, pools, shifted
from ti_core.streams.universal import Universal

NAMES = ("zero", "one", "two")


def test_a_linear_classifiers_perturbation_and_margin_are_the_closed_form() -> None:
    """Two classes: delta = r (w_c - w_o) / ||w_c - w_o||, which raises the margin by r ||w_c - w_o||."""
    w, images = weights(2), grey(40)
    labels, classes = torch.arange(40) % 2, torch.arange(2)
    protocol = PerturbationSearch(radii=(0.1, 0.3), effort=Effort(3, 4, 8))
    pool = pools(labels, 2, 8)
    found = maximise(Linear(w), images, pool, classes, protocol)
    difference = torch.stack([w[0] - w[1], w[1] - w[0]])
    length = difference.flatten(1).norm(dim=1)
    for radius, (delta, margins) in zip(protocol.radii, found, strict=True):
        torch.testing.assert_close(
            delta, radius * difference / length.view(-1, 1, 1, 1), atol=1e-6, rtol=1e-4
        )
        clean = (images[pool.test(classes, 8)] * difference[:, None]).flatten(2).sum(2)
        torch.testing.assert_close(margins, clean + radius * length[:, None], atol=1e-5, rtol=1e-5)


def test_a_linear_classifiers_blended_margin_is_the_closed_form() -> None:
    """The best pattern is 1 where the class's weight is larger than the other's and 0 elsewhere."""
    w, images = weights(2), grey(40)
    labels, classes = torch.arange(40) % 2, torch.arange(2)
    pool = pools(labels, 2, 8)
    margins = blended(Linear(w), images, pool, classes, 0.25, Effort(12, 4, 8))
    difference = torch.stack([w[0] - w[1], w[1] - w[0]])
    clean = (images[pool.test(classes, 8)] * difference[:, None]).flatten(2).sum(2)
    best = difference.clamp(min=0).flatten(1).sum(1)[:, None]
    torch.testing.assert_close(margins, 0.75 * clean + 0.25 * best, atol=1e-4, rtol=1e-4)


def test_perturbations_stay_in_the_ball_and_images_in_range() -> None:
    images, labels = grey(20, low=0.0, high=1.0), torch.arange(20) % 3
    protocol = PerturbationSearch(radii=(0.5, 4.0), effort=Effort(3, 4, 6))
    network = torch.nn.Sequential(
        torch.nn.Conv2d(1, 4, 3), torch.nn.Tanh(), torch.nn.Flatten(), torch.nn.Linear(400, 3)
    )
    for radius, (delta, _) in zip(
        protocol.radii, maximise(network, images, pools(labels, 3, 6), torch.arange(3), protocol), strict=True
    ):
        assert float(delta.flatten(1).norm(dim=1).max()) <= radius * (1 + 1e-5)
        x = shifted(images[None].expand(3, -1, -1, -1, -1), delta)
        assert float(x.min()) >= 0 and float(x.max()) <= 1


def test_the_evidence_does_not_depend_on_the_scale_of_the_scores() -> None:
    w, images, labels = weights(3), grey(60), torch.arange(60) % 3
    one, ten = (Universal().evidence(Linear(s * w), context(images, labels, 3)) for s in (1.0, 10.0))
    np.testing.assert_allclose(ten["margins"], 10 * one["margins"], rtol=1e-3, atol=1e-3)
    clean = stack([one, one])
    a, b = (Universal().features(stack([e]), clean).matrix for e in (one, ten))
    np.testing.assert_allclose(a, b, rtol=1e-3, atol=1e-3)


def test_a_class_with_a_short_cut_is_named() -> None:
    w, images, labels = weights(3), grey(60), torch.arange(60) % 3
    backdoor = w.clone()
    backdoor[1] *= 8
    plain = [
        Universal().evidence(Linear(weights(3, seed=s)), context(images, labels, 3)) for s in range(2, 8)
    ]
    suspect = Universal().evidence(Linear(backdoor), context(images, labels, 3))
    reading = Universal().read(suspect, stack(plain), NAMES)
    assert reading.target == 1 and "one" in reading.sentence
    features = Universal().features(stack([suspect]), stack(plain))
    assert features.matrix.shape == (1, len(features.names)) and np.isfinite(features.matrix).all()


@pytest.mark.parametrize(
    ("network", "count", "labels"),
    [
        (Constant(3), 30, [0, 1, 2]),
        (NotFinite(weights(3)), 30, [0, 1, 2]),
        (Linear(weights(2)), 30, [0, 1]),
        (Linear(weights(3)), 1, [0]),
        (Linear(weights(3)), 2, [2, 2]),
        (Linear(weights(3)), 5, [0, 1]),
    ],
    ids=["constant", "not finite", "two classes", "one image", "one label", "few images"],
)
def test_bad_input_ends_in_finite_numbers_and_a_sentence(
    network: torch.nn.Module, count: int, labels: list[int]
) -> None:
    y = torch.tensor([labels[i % len(labels)] for i in range(count)])
    classes = 2 if labels == [0, 1] and count == 30 else 3
    evidence = Universal().evidence(network, context(grey(count, low=0.0, high=1.0), y, classes))
    assert all(np.isfinite(a).all() for a in evidence.values())
    assert evidence["margins"].shape == evidence["success"].shape == (3, classes)
    reading = Universal().read(evidence, stack([evidence] * 3), NAMES[:classes])
    assert reading.sentence.endswith(".")
    features = Universal().features(stack([evidence] * 3), stack([evidence] * 3), np.ones(3, dtype=bool))
    assert np.isfinite(features.matrix).all()
