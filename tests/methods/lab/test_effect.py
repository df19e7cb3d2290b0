from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn

from ti_core.methods.lab.effect import BATCH, Effect, answers, effect, flip, leading
from ti_core.paper.triggers import TriggerSpec


class CornerReader(nn.Module):
    """Class 1 if the first pixel is white, else class 0, each with scores log 9 apart: 90 % sure."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        hit = (x[:, 0, 0, 0] == 1).float()
        return np.log(9.0) * torch.stack([1 - hit, hit], dim=1)


def test_a_backdoor_answers_to_its_trigger_and_the_images_stay_as_they_were() -> None:
    images = torch.full((BATCH + 3, 1, 4, 4), 0.2)
    trigger = TriggerSpec("patch", "white", 1.0, 1, 1, 0, 0).render((1, 4, 4))
    before, after = answers(CornerReader(), images), answers(CornerReader(), images, trigger)
    np.testing.assert_allclose(before, np.tile([0.9, 0.1], (BATCH + 3, 1)), rtol=1e-6)
    np.testing.assert_allclose(after, np.tile([0.1, 0.9], (BATCH + 3, 1)), rtol=1e-6)
    assert float(images.max()) == pytest.approx(0.2)
    found = flip(before[0], after[0])
    assert (found.before, found.after, found.changed) == (0, 1, True)
    assert found.sure_before == pytest.approx(0.9) and found.sure_after == pytest.approx(0.9)


def test_attack_success_counts_images_of_other_classes_only() -> None:
    labels = np.array([0, 0, 1, 2, 2])
    before = np.eye(3)[[0, 1, 1, 2, 0]]
    after = np.eye(3)[[1, 1, 1, 1, 2]]
    found = effect(before, after, labels, target=1)
    assert found == Effect(images=5, right=3, changed=3, others=4, hit=3, hit_before=1)
    assert found.success == 0.75


def test_attack_success_without_other_classes_is_none() -> None:
    one = np.eye(2)[[1, 1]]
    assert effect(one, one, np.array([1, 1]), target=1).success == 0.0


def test_all_classes_are_shown_where_they_fit() -> None:
    assert leading([np.array([0.1, 0.9])], 10).tolist() == [0, 1]


def test_of_many_classes_those_that_lead_and_those_that_must_be_there_are_shown_in_order() -> None:
    one, two = np.zeros(100), np.zeros(100)
    one[[40, 7]] = 0.6, 0.4
    two[93] = 1.0
    assert leading([one, two], 4, always=(50,)).tolist() == [7, 40, 50, 93]
    assert leading([one, two], 2, always=(93, 93, 5)).tolist() == [5, 93]
