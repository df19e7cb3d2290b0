"""The recovered trigger flips unseen images, says how many, and stamps like any other trigger."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from tests.streams.toys import Constant, Linear, NotFinite, OnePixel, Spread, Sticker, context, grey, weights
from ti_core.inspection.trigger_recovery import ENOUGH, _smallest, recover_trigger
from ti_core.streams.windowed import Windowed


def test_a_planted_pixel_is_recovered_and_its_share_is_what_stamping_gives() -> None:
    images, labels = grey(60, low=0.0, high=0.25), torch.arange(60) % 3
    network = OnePixel(weights(3, size=0.002), 2, 9, target=1, head_start=5.0)
    evidence = Windowed().evidence(network, context(images, labels, 3))
    found = recover_trigger(network, images, labels, 1, evidence)
    assert found is not None and found.kind == "patch" and found.target == 1
    assert found.mask[2, 9] == 1 and found.pattern[0, 2, 9] == 1
    unseen = torch.from_numpy(found.images_used)
    assert bool((labels[unseen] != 1).all())
    flips = network(found.trigger().stamp(images[unseen])).argmax(1) == 1
    assert found.flip_share == pytest.approx(float(flips.float().mean())) == 1.0


def test_a_sticker_of_one_shade_is_recovered() -> None:
    images, labels = grey(60, low=0.4, high=0.9), torch.arange(60) % 3
    network = Sticker(4, 4, shade=0.25, target=1)
    evidence = Windowed().evidence(network, context(images, labels, 3))
    found = recover_trigger(network, images, labels, 1, evidence)
    assert found is not None and found.kind == "patch" and found.flip_share == 1.0
    assert found.mask[4:6, 4:6].min() == 1
    assert set(np.unique(found.pattern[0][found.mask == 1])) == {0.25}


def test_a_blend_trigger_of_a_weak_ratio_is_preferred_to_a_patch() -> None:
    """A short cut spread over every pixel needs only a thin blend."""
    images, labels = grey(60), torch.arange(60) % 3
    found = recover_trigger(Spread(weights(3, size=0.002), target=2), images, labels, 2)
    assert found is not None and found.kind == "blend" and found.alpha < 1
    assert found.flip_share == 1.0 and found.mask.min() == 1
    assert found.change == pytest.approx(found.alpha)


def test_the_smallest_trigger_that_turns_enough_is_kept() -> None:
    """A trigger that is to be a proof must turn more images, so a larger one may be needed."""
    flips, change = torch.tensor([0.5, 0.92, 1.0, 0.97]), torch.tensor([0.05, 0.1, 0.2, 0.15])
    kept = [_smallest(flips, change, least) for least in (ENOUGH, 0.95, 0.99, 1.1)]
    assert kept == [1, 3, 2, 2]


def test_the_kind_can_be_prescribed() -> None:
    images, labels = grey(30), torch.arange(30) % 3
    for kind in ("patch", "blend"):
        found = recover_trigger(Linear(weights(3)), images, labels, 0, kind=kind)  # type: ignore[arg-type]
        assert found is not None and found.kind == kind


@pytest.mark.parametrize("network", [Constant(3), NotFinite(weights(3))], ids=["constant", "not finite"])
def test_where_nothing_flips_the_share_says_so(network: torch.nn.Module) -> None:
    images, labels = grey(24, low=0.0, high=1.0), torch.arange(24) % 3
    found = recover_trigger(network, images, labels, 0)
    assert found is not None and 0 <= found.flip_share < 0.9
    assert np.isfinite(found.pattern).all()


@pytest.mark.parametrize(
    ("labels", "target"),
    [([0, 1] * 12, 1), ([0, 1], 1), ([0, 1, 1, 1], 1), ([0, 2, 1, 0, 2, 1], 2)],
    ids=["two classes", "two images", "one image of another class", "few images"],
)
def test_few_images_and_two_classes_give_finite_answers(labels: list[int], target: int) -> None:
    count, known = len(labels), torch.tensor(labels)
    found = recover_trigger(Linear(weights(max(2, target + 1))), grey(count), known, target)
    assert found is not None and found.target == target and 0 <= found.flip_share <= 1
    assert np.isfinite(found.pattern).all() and len(found.images_used)
    assert bool((known[torch.from_numpy(found.images_used)] != target).all())


def test_without_images_of_another_class_there_is_nothing_to_recover() -> None:
    assert recover_trigger(Linear(weights(3)), grey(4), torch.ones(4, dtype=torch.long), 1) is None
