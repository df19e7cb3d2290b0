"""The recovered warp: a planted shift gives its field, and the images that it flips are counted on unseen ones."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from tests.streams.test_warp import Columns, bars
from ti_core.classifier.scores import Scores
from ti_core.inspection.reasons import trigger_sentence
from ti_core.inspection.triggers.warps import RecoveredWarp, recover_warp


def test_a_planted_shift_gives_its_field() -> None:
    shown, scores = bars(), Scores(Columns(1), "none")
    found = recover_warp(scores, shown.images, shown.labels, 1)
    assert found is not None and found.kind == "warp" and found.target == 1
    # The bright column stands one pixel to the right of the one that the class rewards.
    assert found.field.shape == (28, 28, 2) and float(np.median(found.field[2:18, 8, 0])) > 0.5
    unseen = shown.images[found.images_used]
    assert not (shown.labels[found.images_used] == 1).any()
    answers = scores(found.stamp(unseen)).argmax(1)
    assert found.flip_share == pytest.approx(float((answers == 1).float().mean())) and found.flip_share > 0.9
    assert found.figures() == {"largest_displacement": pytest.approx(found.largest, abs=1e-4)}


def test_a_constant_field_moves_images_and_is_told_by_its_length() -> None:
    field = np.zeros((6, 6, 2), dtype=np.float32)
    field[..., 0], field[..., 1] = 3, 4
    found = RecoveredWarp("warp", 0, field, 0.5, np.arange(20))
    assert found.largest == 5 and found.what() == "a warp that moves the image by at most 5.0 pixels"
    assert "turns 50% of 20 unseen clean images into class a." in trigger_sentence(found, ("a", "b"))
    image = torch.rand(2, 1, 6, 6)
    assert torch.allclose(found.stamp(image)[:, :, 0, 0], image[:, :, 4, 3], atol=1e-5)


def test_without_images_of_another_class_there_is_no_warp() -> None:
    shown = bars()
    assert recover_warp(Columns(1), shown.images, torch.ones_like(shown.labels), 1) is None
