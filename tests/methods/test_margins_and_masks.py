"""MM-BD, Neural Cleanse and STRIP on networks whose answer is known by hand."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn

from tests.methods.toys import WIDTH, Blocks, block_images, commanded, subject
from ti_core.methods.published.mm_bd import (
    LEAST_P,
    MarginSearch,
    MaximumMargin,
    largest_margins,
    margins_of,
    p_value,
)
from ti_core.methods.published.neural_cleanse import NeuralCleanse
from ti_core.methods.published.strip import Entropies, Strip, entropies


def test_the_largest_margins_of_a_linear_network_are_reached() -> None:
    """Class c's margin is largest where its own pixels are 1 and all others 0."""
    strengths = [1.0, 1.2, 0.9, 1.1, 1.0, 3.0]
    images, labels = block_images(30, 6)
    found = largest_margins(
        subject(Blocks(strengths), images, labels, 6), MarginSearch(starts=2, steps=150, rate=0.02)
    )
    assert np.allclose(found, WIDTH * np.array(strengths), rtol=0.02)
    assert (found <= 1.0001 * WIDTH * np.array(strengths)).all()


def test_one_class_of_a_large_margin_is_found_and_equal_ones_are_clean() -> None:
    images, labels = block_images(30, 6)
    protocol = MarginSearch(starts=2, steps=100, rate=0.03)
    loud = MaximumMargin(protocol).opinion(subject(Blocks([1, 1.2, 0.9, 1.1, 1, 9.0]), images, labels, 6))
    assert loud.suspicious and loud.target == 5 and loud.statistic > 3
    even = MaximumMargin(protocol).opinion(subject(Blocks([1, 1.2, 0.9, 1.1, 1, 1.25]), images, labels, 6))
    assert even.suspicious is False


def test_the_p_value_is_that_of_the_largest_of_k() -> None:
    """With many others the gamma fit is close to the truth, here an exponential distribution of mean 2."""
    others = 2 * -np.log1p(-(np.arange(2000) + 0.5) / 2000)
    for largest in (16.0, 20.0):
        truth = 1 - (1 - np.exp(-largest / 2)) ** 2001
        assert p_value(np.append(others, largest)) == pytest.approx(truth, rel=0.25)
    assert p_value(np.ones(5)) == 1.0
    assert p_value(np.array([1.0, 1.0, 1.0, 2.0])) == LEAST_P


def test_the_margin_leaves_the_class_itself_out() -> None:
    z = torch.tensor([[3.0, 1.0, 2.0], [0.0, 5.0, 4.0]])
    assert margins_of(z, torch.tensor([0, 2])).tolist() == [1.0, -1.0]


def test_scores_that_are_not_finite_end_in_an_opinion() -> None:
    class Nothing(nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return torch.full((len(x), 5), float("nan")) + 0 * x.flatten(1).sum(1, keepdim=True)

    images, labels = block_images(30, 5)
    broken = subject(Nothing(), images, labels, 5)
    assert MaximumMargin(MarginSearch(starts=2, steps=3)).opinion(broken).suspicious is False
    assert np.isfinite(NeuralCleanse().opinion(broken).statistic)


def test_neural_cleanse_finds_the_class_that_one_pixel_commands() -> None:
    found = NeuralCleanse().opinion(commanded(4)[0])
    assert found.suspicious and found.target == 4
    assert 2 * found.per_class[4] < min(norm for c, norm in enumerate(found.per_class) if c != 4)


def test_strip_rejects_images_whose_trigger_outweighs_all_else() -> None:
    planted, stamped = commanded(4)
    method = Strip()
    rejected, missed = entropies(planted, stamped, method.protocol).rates(0.01)
    assert missed == 0.0 and rejected <= 0.1
    clean = subject(Blocks([1.0] * 6), planted.images, planted.labels, 6)
    assert entropies(clean, stamped, method.protocol).rates(0.01)[1] > 0.8
    found = method.opinion(planted)
    assert found.statistic == 1.0 and found.target == 4 and found.suspicious is None
    assert "the false acceptance is 0% at 0.5%, 0% at 3.0%, 0% at 5.0%" in found.sentence


def test_the_rates_of_strip_follow_from_the_boundary() -> None:
    """Entropies of mean 2 and deviation 1: at an accepted share of 16 % the boundary lies one deviation below."""
    known = Entropies(
        np.array([1.0, 3.0]), np.array([0.9, 1.1, 2.0, 0.0]), np.array([0.5, 1.5, 1.6, 1.7, 0.1])
    )
    assert known.rates(0.158655) == (0.5, 0.6)
    assert known.rates(0.5) == (0.75, 0.0)
    assert Entropies(known.setting, known.measuring, np.zeros(0)).rates(0.5)[1] == 1.0
