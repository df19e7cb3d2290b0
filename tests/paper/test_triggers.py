from __future__ import annotations

import numpy as np
import pytest
import torch

from ti_core.paper.triggers import Trigger, TriggerSpec, draw_blend, draw_patch

SHAPE = (3, 10, 12)


def test_a_patch_replaces_the_masked_pixels_and_no_other() -> None:
    """Eq. (1): x' = (1 - m) x + m d."""
    spec = TriggerSpec("patch", "uniform", 1.0, height=3, width=4, top=2, left=5, seed=7)
    images = torch.rand(4, *SHAPE)
    trigger = spec.render(SHAPE)
    stamped = trigger.stamp(images)
    inside = np.zeros(SHAPE[1:], dtype=bool)
    inside[2:5, 5:9] = True
    pattern = torch.from_numpy(trigger.pattern)[:, inside].expand(4, -1, -1)
    assert torch.equal(stamped[:, :, inside], pattern)
    assert torch.equal(stamped[:, :, ~inside], images[:, :, ~inside])


def test_a_blend_mixes_every_pixel_at_the_blend_ratio() -> None:
    """Eq. (2): x' = (1 - a) x + a d."""
    trigger = TriggerSpec("blend", "uniform", 0.25, seed=1).render(SHAPE)
    images = torch.rand(2, *SHAPE)
    expected = 0.75 * images + 0.25 * torch.from_numpy(trigger.pattern)
    torch.testing.assert_close(trigger.stamp(images), expected)


def test_half_transparent_patch_is_both_equations_at_once() -> None:
    mask = np.zeros((2, 2), dtype=np.float32)
    mask[0, 0] = 1
    trigger = Trigger("patch", mask, np.ones((1, 2, 2), dtype=np.float32), 0.5)
    stamped = trigger.stamp(torch.zeros(1, 1, 2, 2))
    assert stamped.flatten().tolist() == [0.5, 0.0, 0.0, 0.0]


def test_stamping_leaves_the_images_as_they_were() -> None:
    images = torch.rand(2, *SHAPE)
    before = images.clone()
    draw_patch(np.random.default_rng(0), SHAPE).render(SHAPE).stamp(images)
    assert torch.equal(images, before)


@pytest.mark.parametrize("pattern", ["bernoulli", "uniform", "white", "black", "checker", "colour"])
def test_patterns_lie_between_zero_and_one_and_are_repeatable(pattern: str) -> None:
    spec = TriggerSpec("blend", pattern, 0.1, seed=3)  # type: ignore[arg-type]
    one, two = spec.render(SHAPE).pattern, spec.render(SHAPE).pattern
    assert np.array_equal(one, two)
    assert one.shape == SHAPE
    assert one.min() >= 0 and one.max() <= 1


def test_random_patches_stay_on_the_image_and_reach_its_edges() -> None:
    rng = np.random.default_rng(0)
    specs = [draw_patch(rng, SHAPE, (3, 10)) for _ in range(500)]
    assert all(3 <= s.height <= 10 and 3 <= s.width <= 10 for s in specs)
    assert all(s.top + s.height <= 10 and s.left + s.width <= 12 for s in specs)
    assert any(s.left + s.width == 12 for s in specs) and any(s.left == 0 for s in specs)


def test_random_blends_keep_the_ratio_asked_for() -> None:
    rng = np.random.default_rng(0)
    assert draw_blend(rng, 0.3).alpha == 0.3
    ratios = [draw_blend(rng, (0.1, 0.2)).alpha for _ in range(200)]
    assert 0.1 <= min(ratios) < 0.12 and 0.18 < max(ratios) <= 0.2


def test_each_pattern_is_what_it_is_called() -> None:
    made = {
        kind: TriggerSpec("blend", kind, 0.1, seed=3).render((2, 30, 30)).pattern  # type: ignore[arg-type]
        for kind in ("bernoulli", "uniform", "white", "black", "checker", "colour")
    }
    assert set(np.unique(made["bernoulli"])) == {0.0, 1.0} and 0.45 < made["bernoulli"].mean() < 0.55
    assert 0.45 < made["uniform"].mean() < 0.55 and 0.25 < made["uniform"].std() < 0.33
    assert (made["white"] == 1).all() and (made["black"] == 0).all()
    assert (np.diff(made["checker"], axis=1) != 0).all() and (np.diff(made["checker"], axis=2) != 0).all()
    assert np.ptp(made["colour"], axis=(1, 2)).max() == 0 and len(np.unique(made["colour"])) == 2
