"""Free inversion: the smallest mask for a planted pixel is that pixel."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from tests.streams.toys import Constant, Linear, NotFinite, OnePixel, context, grey, weights
from ti_core.streams.base import stack
from ti_core.streams.inversion import Inversion
from ti_core.streams.searches.masks import InversionSearch, invert

QUICK = InversionSearch(steps=60)


def test_a_planted_pixel_gets_the_smallest_mask_and_its_place_is_found() -> None:
    images, labels = grey(60, low=0.0, high=0.25), torch.arange(60) % 3
    found = invert(OnePixel(weights(3, size=0.1), 2, 9, target=1, threshold=0.2), images, labels, 3)
    assert int(found.norms.argmin()) == 1
    mask = found.masks[1]
    assert divmod(int(mask.argmax()), 12) == (2, 9)
    assert float(found.patterns[1, 0, 2, 9]) > 0.6
    assert float(found.success[1]) == 1.0


def test_classes_optimised_together_are_the_same_as_alone() -> None:
    images, labels = grey(40), torch.arange(40) % 3
    network = Linear(weights(3, size=0.3))
    together = invert(network, images, labels, 3, protocol=QUICK)
    alone = invert(network, images, labels, 3, torch.tensor([2]), QUICK)
    torch.testing.assert_close(together.masks[2:], alone.masks, atol=1e-4, rtol=1e-4)


def test_masks_patterns_and_shares_lie_in_zero_to_one() -> None:
    images, labels = grey(30), torch.arange(30) % 3
    found = invert(Linear(weights(3)), images, labels, 3, protocol=QUICK)
    for a in (found.masks, found.patterns, found.success):
        assert float(a.min()) >= 0 and float(a.max()) <= 1
    torch.testing.assert_close(found.norms, found.masks.flatten(1).sum(1))


@pytest.mark.parametrize(
    ("network", "labels"),
    [
        (Constant(3), [0, 1, 2] * 8),
        (NotFinite(weights(3)), [0, 1, 2] * 8),
        (Linear(weights(3)), [0]),
        (Linear(weights(3)), [2, 2]),
    ],
    ids=["constant", "not finite", "one image", "one label"],
)
def test_bad_input_ends_in_finite_numbers_and_a_sentence(network: torch.nn.Module, labels: list[int]) -> None:
    images = grey(len(labels), low=0.0, high=1.0)
    evidence = Inversion(protocol=InversionSearch(steps=8)).evidence(
        network, context(images, torch.tensor(labels), 3)
    )
    assert all(np.isfinite(a).all() for a in evidence.values())
    many = stack([evidence] * 3)
    assert Inversion().read(evidence, many, ("a", "b", "c")).sentence.endswith(".")
    assert np.isfinite(Inversion().features(many, many, np.ones(3, dtype=bool)).matrix).all()
