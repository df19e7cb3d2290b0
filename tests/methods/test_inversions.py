"""TABOR: its terms by hand, and a trigger of one pixel that was planted."""

from __future__ import annotations

from math import log

import numpy as np
import pytest
import torch
from torch import nn

from tests.methods.toys import Blocks, commanded, subject
from ti_core.methods.inversions import Objective, TriggerSearch, smallest_triggers
from ti_core.methods.published.tabor import Tabor, TaborObjective, TaborTerms, elastic, scatter


def logits(values: list[list[float]]) -> torch.Tensor:
    return torch.tensor(values).logit()


def test_the_terms_of_tabor_on_four_pixels_are_those_by_hand() -> None:
    parts = torch.tensor([[[[0.5, 0.25], [0.0, 1.0]]]])
    assert elastic(parts).tolist() == [1.75 + 0.25 + 0.0625 + 1.0]
    # Down: .5 to 0 and .25 to 1; across: .5 to .25 and 0 to 1.
    assert scatter(parts).tolist() == [0.25 + 0.5625 + 0.0625 + 1.0]
    terms = TaborTerms(outside=10.0, scattered=100.0, scattered_outside=1000.0)
    raw = torch.stack([logits([[0.5, 0.25]]), logits([[0.5, 0.8]])])[None]
    outside = (0.25, 0.6)
    expected = (
        (0.75 + 0.25 + 0.0625)
        + 10 * (sum(outside) + sum(v**2 for v in outside))
        + 100 * 0.25**2
        + 1000 * (outside[0] - outside[1]) ** 2
    )
    objective = TaborObjective(terms)
    assert float(objective.cost(raw)) == pytest.approx(expected, rel=1e-5)
    assert float(objective.size(raw)) == pytest.approx(0.75)
    x = torch.tensor([[[[[1.0, 0.0]]]]])
    torch.testing.assert_close(objective.changed(raw, x), torch.tensor([[[[[0.75, 0.2]]]]]))


def test_what_the_mask_hides_and_what_the_trigger_does_alone_are_cross_entropies() -> None:
    """Two classes, whose scores are the two pixels."""
    raw = torch.stack([logits([[0.5, 0.25]]), logits([[0.5, 0.8]])])[None]
    x, own, wanted = torch.tensor([[[[[1.0, 0.4]]]]]), torch.tensor([[0]]), torch.tensor([1])
    terms = TaborTerms(blocking=1.0, overlaying=0.0)
    blocked = float(TaborObjective(terms).further(nn.Flatten(), raw, x, own, wanted))
    # The image times 1 - mask is (.5, .3), and its class is the first.
    assert blocked == pytest.approx(log(1 + np.exp(0.3 - 0.5)), rel=1e-5)
    terms = TaborTerms(blocking=0.0, overlaying=1.0)
    alone = float(TaborObjective(terms).further(nn.Flatten(), raw, x, own, wanted))
    # The mask times the pattern is (.25, .2), and the wanted class is the second.
    assert alone == pytest.approx(log(1 + np.exp(0.25 - 0.2)), rel=1e-5)


class Growing(Objective):
    """One variable a class, which every step raises. The first two of three classes are always reached."""

    def fresh(self, classes: int, shape: tuple[int, int, int]) -> torch.Tensor:
        return torch.zeros(classes, 1)

    def changed(self, raw: torch.Tensor, x: torch.Tensor) -> torch.Tensor:
        led = torch.tensor([[1.0, 0, 0], [0, 1, 0], [1, 0, 0]])
        return led[:, None, None, None].expand(x.shape) + 0 * raw.sum()

    def cost(self, raw: torch.Tensor) -> torch.Tensor:
        return -raw[:, 0]

    def size(self, raw: torch.Tensor) -> torch.Tensor:
        return raw[:, 0]


def test_the_smallest_trigger_that_leads_there_is_kept_and_else_the_last() -> None:
    images, labels = torch.rand(30, 1, 1, 3), torch.arange(30) % 3
    given = subject(nn.Flatten(), images, labels, 3)
    found = smallest_triggers(Growing(), given, TriggerSearch(steps=5, learning_rate=0.1))
    assert found[:2, 0].tolist() == [0.0, 0.0]
    # Adam's steps are of one length where the gradient keeps its sign.
    assert float(found[2, 0]) == pytest.approx(0.5, abs=0.1)


def test_the_class_that_one_pixel_commands_is_found() -> None:
    planted, _ = commanded(4)
    found = Tabor().opinion(planted)
    assert found.suspicious and found.target == 4 and "class 4" in found.sentence
    assert found.per_class[4] < 4 and 2 * found.per_class[4] < min(
        size for c, size in enumerate(found.per_class) if c != 4
    )
    uneven = subject(Blocks([1, 1.2, 0.9, 1.1, 1, 1.25]), planted.images, planted.labels, 6)
    assert Tabor().opinion(uneven).suspicious is False


def test_scores_that_are_not_finite_end_in_an_opinion_and_nothing_is_left_changed() -> None:
    class Nothing(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.weight = nn.Parameter(torch.ones(1))

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return torch.full((len(x), 5), float("nan")) * self.weight + 0 * x.flatten(1).sum(1, keepdim=True)

    planted, _ = commanded(4)
    network = Nothing()
    broken = subject(network, planted.images, planted.labels % 5, 5)
    assert np.isfinite(Tabor(TaborTerms(TriggerSearch(steps=3))).opinion(broken).statistic)
    assert network.weight.grad is None
