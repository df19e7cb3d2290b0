"""The recovered wave: its amplitude and period are those of the planted one, and it is tried on unseen images."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from tests.streams.test_stripes import Tuned, of, squares
from ti_core.classifier.scores import Scores
from ti_core.inspection.triggers.stripes import RecoveredStripes, recover_stripes
from ti_core.streams.stripes import STRENGTH


def test_a_planted_wave_is_recovered_with_its_period() -> None:
    shown, scores = squares(), Scores(Tuned(2, of((0.0, 6.0), (0.4,))), "none")
    found = recover_stripes(scores, shown.images, shown.labels, 2)
    assert found is not None and found.kind == "stripes" and found.target == 2
    assert found.period == pytest.approx(28 / 6, rel=0.05)
    assert 0 < found.amplitude <= STRENGTH[1] and np.abs(found.wave).max() <= found.amplitude + 1e-6
    unseen = shown.images[found.images_used]
    answers = scores(found.stamp(unseen)).argmax(1)
    assert found.flip_share == pytest.approx(float((answers == 2).float().mean())) and found.flip_share > 0.9


def test_a_wave_is_added_and_kept_within_the_range_of_pixels() -> None:
    wave = np.array([[[0.2, -0.2], [0.1, 0.0]]], dtype=np.float32)
    found = RecoveredStripes("stripes", 0, wave, 0.2, 2.0, 1.0, np.arange(3))
    stamped = found.stamp(torch.full((1, 1, 2, 2), 0.9))
    assert torch.allclose(stamped, torch.tensor([[[[1.0, 0.7], [1.0, 0.9]]]]))
    assert np.allclose(found.arrays()["wave"], [[[1.0, 0.0], [0.75, 0.5]]])
    assert found.what() == "a wave of amplitude 0.20 and a period of 2.0 pixels"
    assert found.figures() == {"amplitude": 0.2, "period": 2.0}


def test_without_images_of_another_class_there_is_no_wave() -> None:
    shown = squares()
    scores = Tuned(None, of((0.0, 6.0), (0.4,)))
    assert recover_stripes(scores, shown.images, torch.zeros_like(shown.labels), 0) is None
