from __future__ import annotations

import numpy as np
import pytest
import torch

from ti_core.errors import SettingsError
from ti_core.zoo.training.augment import CUT, Changes, apply_changes, draw_changes, joined_changes
from ti_core.zoo.training.loop import augment

SHAPE = (3, 16, 16)


@pytest.mark.parametrize("kind", ["shift", "flip"])
def test_a_joined_augmentation_is_the_one_of_its_name(kind: str) -> None:
    x = torch.rand(32, *SHAPE)
    changed = apply_changes(x, draw_changes(kind, 32, SHAPE, np.random.default_rng(3)))
    assert torch.equal(changed, augment(x, kind, np.random.default_rng(3)))


def test_changing_nothing_changes_nothing() -> None:
    """Neighbours in a team that are warped and lifted leave an image without either as it is, to the last bit."""
    x = torch.rand(8, *SHAPE)
    kinds = ("none", "shift4+mirror+affine+jitter+cutout")
    drawn = [draw_changes(kind, 4, SHAPE, np.random.default_rng(0)) for kind in kinds]
    both = apply_changes(x, joined_changes(drawn, [4, 4], 3))
    assert torch.equal(both[:4], x[:4])
    assert torch.allclose(both[4:], apply_changes(x[4:], drawn[1]), atol=1e-6)
    assert float(both.min()) >= 0 and float(both.max()) <= 1


def test_an_identity_warp_with_a_shift_moves_by_that_shift() -> None:
    """Two pixels to the right of 16: the place 2 / 8 further left in the old image, in units of half the side."""
    x = torch.rand(1, *SHAPE)
    warp = np.array([[[1, 0, 2 / 8], [0, 1, 0]]], dtype=np.float32)
    moved = apply_changes(x, Changes(warps=warp))
    assert torch.allclose(moved[..., :14], x[..., 2:], atol=1e-5)


def test_a_cut_is_a_grey_square_of_the_stated_side() -> None:
    x = torch.zeros(1, 1, 16, 16)
    cut = apply_changes(x, Changes(cuts=np.array([[8, 8]])))
    side = 2 * (round(CUT * 16) // 2) - 1
    assert int((cut == 0.5).sum()) == side**2


def test_a_gain_is_about_the_middle_grey() -> None:
    x = torch.full((1, 2, 4, 4), 0.75)
    gains = np.array([[2.0, 1.0]], dtype=np.float32)
    lifted = apply_changes(x, Changes(gains=gains, biases=np.array([-0.1], dtype=np.float32)))
    assert torch.allclose(lifted[0, 0], torch.tensor(0.9)) and torch.allclose(
        lifted[0, 1], torch.tensor(0.65)
    )


def test_an_unknown_part_is_a_clear_error() -> None:
    with pytest.raises(SettingsError, match="'spin' is unknown"):
        draw_changes("shift+spin", 1, SHAPE, np.random.default_rng(0))
