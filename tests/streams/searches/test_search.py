"""Pools, margins and the search for patterns that every deep stream uses."""

from __future__ import annotations

import pytest
import torch

from tests.streams.toys import Constant, Linear, NotFinite, grey, weights
from ti_core.classifier.fast.copying import fast_copy
from ti_core.errors import CancelledError
from ti_core.streams.searches.search import (
    Effort,
    ascent,
    chunks,
    drawn_out,
    margin,
    pools,
    seek,
    stamp,
    unseen_margins,
)


def test_pools_hold_images_of_other_classes_and_never_measure_on_what_they_fit() -> None:
    labels = torch.arange(40) % 4
    pool = pools(labels, 4, unseen=8)
    for c in range(4):
        fit, unseen = set(pool.fit[c].tolist()), set(pool.unseen[c].tolist())
        assert len(unseen) == 8 and len(fit) == 22 and not fit & unseen
        assert all(labels[i] != c for i in fit | unseen)


def test_successive_steps_go_round_the_whole_pool() -> None:
    pool = pools(torch.arange(20) % 2, 2, unseen=4)
    drawn = torch.cat([pool.draw(torch.tensor([1]), 2, step)[0] for step in range(3)])
    assert sorted(drawn.tolist()) == sorted(pool.fit[1].tolist())


@pytest.mark.parametrize("labels", [[0], [0, 1], [0, 0, 0], [1, 1, 0]])
def test_pools_of_very_few_images_are_never_empty(labels: list[int]) -> None:
    pool = pools(torch.tensor(labels), 2, unseen=16)
    assert all(len(p) for p in (*pool.fit, *pool.unseen))
    assert pool.draw(torch.tensor([0, 1, 1]), 5, 3).shape == (3, 5)


def test_margin_is_over_the_best_other_class() -> None:
    z = torch.tensor([[[1.0, 4.0, 2.0]], [[1.0, 4.0, 2.0]]])
    assert margin(z, torch.tensor([1, 2])).tolist() == [[2.0], [-2.0]]


def test_gradient_of_a_linear_margin_is_the_difference_of_its_weights() -> None:
    w = weights(2)
    x = grey(6).view(2, 3, 1, 12, 12)
    found = ascent(Linear(w), x, torch.tensor([0, 1]))
    for j, sign in ((0, 1), (1, -1)):
        torch.testing.assert_close(found[j], sign * (w[0] - w[1]).expand(3, -1, -1, -1) / 3)


def test_stamping_is_equation_one_and_leaves_the_rest_bit_for_bit() -> None:
    images, mask = grey(4).view(2, 2, 1, 12, 12), torch.zeros(2, 12, 12)
    mask[:, 2:5, 3:6] = 1.0
    pattern = torch.rand(2, 1, 12, 12)
    out = stamp(images, mask, pattern)
    inside = mask[:, None, None].bool().expand_as(out)
    assert torch.equal(out[~inside], images[~inside])
    assert torch.equal(out[inside], pattern[:, None].expand_as(out)[inside])


def test_the_best_pattern_of_a_linear_classifier_is_found_exactly() -> None:
    """Inside its mask it is 1 where the class's weight is the larger one and 0 elsewhere."""
    w, images = weights(2), grey(30)
    labels = torch.arange(30) % 2
    mask = torch.zeros(2, 12, 12)
    mask[:, 1:7, 2:8] = 1.0
    classes, effort = torch.tensor([0, 1]), Effort(steps=6, images_a_step=4, unseen=8)
    pool = pools(labels, 2, 8)
    found = seek(Linear(w), images, pool, classes, mask, effort)
    best = torch.stack([(w[0] > w[1]).float(), (w[1] > w[0]).float()])
    inside = mask[:, None].bool()
    assert torch.equal(found[inside], best[inside])
    margins = unseen_margins(Linear(w), images, pool, classes, mask, found, effort)
    stamped = stamp(images[pool.test(classes, 8)], mask, best)
    difference = (stamped * (w[0] - w[1])).flatten(2).sum(2)
    torch.testing.assert_close(margins, difference * torch.tensor([[1.0], [-1.0]]), atol=1e-5, rtol=1e-5)


def test_the_best_soft_pattern_of_a_linear_classifier_is_found() -> None:
    """Of pixels that are each a mean of 2 x 2 free ones, the best is at 0 or 1 where its gradient says."""
    w, images = weights(2), grey(30)
    labels, classes = torch.arange(30) % 2, torch.tensor([0, 1])
    effort, mask = Effort(steps=6, images_a_step=4, unseen=8), torch.full((2, 12, 12), 0.5)
    found = seek(Linear(w), images, pools(labels, 2, 8), classes, mask, effort, coarseness=2)
    grid = torch.zeros(2, 1, 6, 6, requires_grad=True)
    difference = torch.stack([w[0] - w[1], w[1] - w[0]])
    (drawn_out(grid, images.shape[-2:]) * difference).sum().backward()
    assert grid.grad is not None
    torch.testing.assert_close(found, drawn_out((grid.grad > 0).float(), images.shape[-2:]))
    rough = (found[..., 1:] - found[..., :-1]).abs().max()
    assert float(rough) <= 0.5 + 1e-6, "no pixel is farther from its neighbour than half of the whole range"


@pytest.mark.parametrize("size", [(1, 1), (3, 5), (12, 12)])
def test_soft_patterns_fit_images_of_any_size(size: tuple[int, int]) -> None:
    images = torch.rand(6, 1, *size, generator=torch.Generator().manual_seed(0))
    w = torch.randn(2, 1, *size, generator=torch.Generator().manual_seed(1))
    found = seek(
        Linear(w),
        images,
        pools(torch.arange(6) % 2, 2, 2),
        torch.arange(2),
        torch.ones(2, *size),
        Effort(3, 2, 2),
        coarseness=2,
    )
    assert found.shape == (2, 1, *size) and float(found.min()) >= 0 and float(found.max()) <= 1


def test_more_candidates_than_fit_a_batch_make_no_difference() -> None:
    w, images, labels = weights(3), grey(24), torch.arange(24) % 3
    classes, masks = torch.tensor([0, 1, 2, 0, 1]), torch.ones(5, 12, 12) * 0.2
    runs = [
        seek(Linear(w), images, pools(labels, 3, 8), classes, masks, Effort(4, 3, 8, batch=b))
        for b in (3, 7, 500)
    ]
    assert torch.equal(runs[0], runs[1]) and torch.equal(runs[0], runs[2])
    assert chunks(5, 3, 7) == [slice(0, 2), slice(2, 4), slice(4, 5)]


@pytest.mark.parametrize("network", [Constant(3), NotFinite(weights(3))])
def test_patterns_stay_in_range_whatever_the_gradient_is(network: torch.nn.Module) -> None:
    images, labels = grey(12), torch.arange(12) % 3
    found = seek(
        network, images, pools(labels, 3, 4), torch.arange(3), torch.ones(3, 12, 12), Effort(5, 3, 4)
    )
    assert bool(torch.isfinite(found).all()) and float(found.min()) >= 0 and float(found.max()) <= 1


def test_the_network_is_left_as_it_was_found() -> None:
    network = torch.nn.Sequential(
        torch.nn.Conv2d(1, 2, 3), torch.nn.BatchNorm2d(2), torch.nn.Flatten()
    ).train()
    before = {k: v.clone() for k, v in network.state_dict().items()}
    copy = fast_copy(network, grey(4))
    ascent(copy, grey(4).view(2, 2, 1, 12, 12), torch.tensor([0, 1]))
    assert network.training and not copy.training
    assert all(p.grad is None and p.requires_grad for p in network.parameters())
    assert all(torch.equal(v, before[k]) for k, v in network.state_dict().items())


def test_the_search_can_be_cancelled() -> None:
    def stop(share: float) -> None:
        raise CancelledError("stopped")

    labels = torch.arange(8) % 2
    with pytest.raises(CancelledError):
        seek(
            Linear(weights(2)),
            grey(8),
            pools(labels, 2, 2),
            torch.arange(2),
            torch.ones(2, 12, 12),
            Effort(3, 2, 2),
            stop,
        )
