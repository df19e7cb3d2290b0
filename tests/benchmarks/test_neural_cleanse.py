"""The benchmark's Neural Cleanse finds a planted pixel and stops by itself."""

from __future__ import annotations

import pytest
import torch

from benchmarks.neural_cleanse import STEPS, anomaly_index, neural_cleanse
from tests.streams.toys import Linear, OnePixel, grey, weights


def test_a_planted_pixel_has_the_smallest_mask_and_stands_out() -> None:
    images = grey(60, low=0.0, high=0.25)
    network = OnePixel(weights(5, size=0.1), 2, 9, target=1, threshold=0.2)
    norms, steps = neural_cleanse(network, images, 5, batches=1)
    assert min(range(5), key=norms.__getitem__) == 1 and norms[1] < 4
    assert anomaly_index(norms) > 2 and 5 < steps <= 5 * STEPS


def test_a_class_that_nothing_flips_to_has_the_whole_image() -> None:
    network = Linear(torch.zeros(2, 1, 12, 12))
    norms, steps = neural_cleanse(network, grey(10), 2, batches=1)
    assert norms[1] == 144 and steps >= STEPS


def test_the_anomaly_index_is_the_papers() -> None:
    # Median 10, absolute deviations 8, 1, 0, 1, 2: their median is 1.
    assert anomaly_index([2.0, 9.0, 10.0, 11.0, 12.0]) == pytest.approx(8 / 1.4826)
