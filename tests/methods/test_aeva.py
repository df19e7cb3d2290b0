"""AEVA asks a network for classes only; a planted pixel gives its target's changes a peak."""

from __future__ import annotations

import torch
from torch import nn

from tests.methods.toys import commanded, one_unit, subject
from ti_core.methods.published.aeva import DecisionAttack, HardLabels, _Answers, nearest, peaks


class Half(nn.Module):
    """Class 1 where the first two pixels' sum is above 1, else class 0."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        side = x.flatten(1)[:, 0] + x.flatten(1)[:, 1] - 1
        return torch.stack([-side, side], dim=1)


def test_the_nearest_image_of_a_half_space_is_the_foot_of_the_perpendicular() -> None:
    images = torch.full((2, 1, 2, 3), 0.3)
    begin = torch.ones(2, 1, 2, 3)
    ask = _Answers(subject(Half(), images, torch.zeros(2, dtype=torch.long), 2))
    found = nearest(ask, images, begin, torch.ones(2, dtype=torch.long), DecisionAttack(30, 80, 12))
    foot = images.clone()
    foot[:, 0, 0, :2] = 0.5
    assert (ask(found) == 1).all()
    assert (found - foot).abs().max() < 0.03


def test_labels_alone_find_the_pixel_that_commands_a_class() -> None:
    planted = commanded(4)[0]
    found = HardLabels(DecisionAttack(12, 40)).opinion(planted)
    assert found.suspicious and found.target == 4


def test_a_network_with_one_answer_has_no_pairs() -> None:
    class Always(nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return torch.tensor([[1.0, 0, 0, 0, 0, 0]]).expand(len(x), 6)

    clean = one_unit(None)
    always = subject(Always(), clean.images, clean.labels, 6)
    assert not peaks(always, DecisionAttack(2, 5)).any()
    assert HardLabels(DecisionAttack(2, 5)).opinion(always).suspicious is False
