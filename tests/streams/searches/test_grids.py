"""Patterns of large images are free on a grid only."""

from __future__ import annotations

import pytest
import torch

from tests.streams.toys import Linear, grey
from ti_core.streams.searches.masks import InversionSearch, invert
from ti_core.streams.searches.perturbations import PerturbationSearch, maximise
from ti_core.streams.searches.search import (
    Effort,
    drawn_out,
    grid_step,
    pools,
    seek,
    smoothed,
    unseen_margins,
)

SIDE = 112
LABELS = torch.arange(12) % 2
EFFORT = Effort(steps=6, images_a_step=3, unseen=4)


def checker(cell: int) -> torch.Tensor:
    """``2 x 1 x SIDE x SIDE``: weights 1 and -1 in squares of ``cell`` pixels, turned round for the other class."""
    at = torch.arange(SIDE) // cell
    own = 1.0 - 2.0 * ((at[:, None] + at) % 2)
    return torch.stack([own, -own])[:, None]


@pytest.mark.parametrize(
    ("size", "step"),
    [
        ((28, 28), 1),
        ((32, 32), 1),
        ((83, 83), 1),
        ((84, 84), 2),
        ((224, 224), 4),
        ((112, 300), 2),
        ((384, 384), 7),
    ],
)
def test_the_grid_follows_the_shorter_side(size: tuple[int, int], step: int) -> None:
    assert grid_step(*size) == step


def test_a_change_is_smoothed_by_its_means_and_that_of_a_small_image_stays() -> None:
    fine, coarse = checker(1), checker(8)
    assert float(smoothed(fine).abs().max()) < 1e-6, "the means over 2 x 2 pixels are 0"
    kept = smoothed(coarse)
    assert float((kept * coarse).mean()) > 0.6 and kept.shape == coarse.shape
    torch.testing.assert_close(smoothed(torch.full((1, 3, SIDE, 90), 0.3)), torch.full((1, 3, SIDE, 90), 0.3))
    small = torch.rand(2, 1, 32, 32)
    assert smoothed(small) is small


def test_a_pattern_cannot_use_single_pixels_and_uses_squares_of_eight() -> None:
    images, classes, everywhere = grey(12, side=SIDE), torch.arange(2), torch.full((2, SIDE, SIDE), 0.5)
    pool = pools(LABELS, 2, 4)
    reached = []
    for cell in (1, 8):
        network = Linear(checker(cell))
        found = seek(network, images, pool, classes, everywhere, EFFORT)
        grid = found[:, :, ::2, ::2] / 2 + found[:, :, 1::2, 1::2] / 2
        torch.testing.assert_close(drawn_out(grid, torch.Size((SIDE, SIDE))), found, atol=0.26, rtol=0)
        margins = unseen_margins(network, images, pool, classes, everywhere, found, EFFORT)
        reached.append(float(margins.mean()) / SIDE**2)
    # At best half of the range of every pixel, twice, since one class's score falls as the other's rises.
    assert abs(reached[0]) < 0.05 and reached[1] > 0.35


def test_a_universal_perturbation_of_a_large_image_follows_the_smoothed_gradient() -> None:
    """That is the maximum itself for a linear classifier."""
    images = grey(12, side=SIDE)
    protocol = PerturbationSearch((0.5,), EFFORT)
    ((delta, _),) = maximise(Linear(checker(8)), images, pools(LABELS, 2, 4), torch.arange(2), protocol)
    wanted = smoothed(checker(8))
    wanted = 0.5 * wanted / wanted.flatten(1).norm(dim=1).view(-1, 1, 1, 1)
    torch.testing.assert_close(delta, wanted, atol=1e-5, rtol=1e-3)


def test_masks_of_large_images_lie_on_the_grid_and_a_second_round_goes_on_from_the_first() -> None:
    images, network = grey(12, side=SIDE), Linear(checker(8) / 50)
    one = invert(network, images, LABELS, 2, protocol=InversionSearch(steps=6))
    assert one.raw.shape == (2, 2, SIDE // 2, SIDE // 2) and one.masks.shape == (2, SIDE, SIDE)
    torch.testing.assert_close(drawn_out(one.raw, one.masks.shape[1:])[:, 0].sigmoid(), one.masks)
    torch.testing.assert_close(one.norms, one.masks.flatten(1).sum(1))
    again = invert(network, images, LABELS, 2, protocol=InversionSearch(steps=6), start=one)
    assert float(again.norms.max()) < float(one.norms.max())
    free = invert(network, images, LABELS, 2, protocol=InversionSearch(steps=2), on_grid=False)
    assert free.raw.shape[-2:] == (SIDE, SIDE)


def test_the_mask_does_not_shrink_before_images_flip() -> None:
    """A class that no pattern reaches keeps its first weight; one that is reached has its weight raised."""
    images = grey(12, side=SIDE)
    hard, easy = Linear(checker(8) * 1e-9 + torch.tensor([1.0, 0.0]).view(2, 1, 1, 1)), Linear(checker(8))
    first = InversionSearch().weight * 784 / SIDE**2
    found = invert(hard, images, LABELS, 2, torch.tensor([1]), InversionSearch(steps=6))
    assert float(found.weights) == pytest.approx(first) and float(found.success) == 0
    found = invert(easy, images, LABELS, 2, torch.tensor([1]), InversionSearch(steps=6))
    assert float(found.weights) > first and float(found.success) == 1
