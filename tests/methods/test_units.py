"""ABS, FreeEagle and both TrojanNet detectors on a trigger that one unit holds, planted by hand."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from tests.methods.toys import one_unit
from ti_core.methods.layers import activations
from ti_core.methods.published.abs_units import Stimulation, UnitStimulation, candidates
from ti_core.methods.published.free_eagle import (
    DummySearch,
    FreeEagle,
    above_quartile,
    answers_to_dummies,
    cut_of,
)
from ti_core.methods.published.trojannet_free import NoisePush, TrojanNetFree, on_simplex, rises_of_scores
from ti_core.methods.published.trojannet_limited import TrojanNetLimited


def test_abs_finds_the_planted_unit_and_its_class() -> None:
    planted = one_unit(2)
    first = candidates(planted, Stimulation())[0]
    assert (first.unit, first.target) == (6, 2)
    # Set to twice the layer's largest activation, the unit adds four times that to class 2, and to no other class.
    (relu,) = activations(planted.scores, planted.images[:1])
    top = planted.scores.network.first(planted.images[:6].flatten(1)).max()
    assert first.place.module is relu.module and first.elevation == pytest.approx(4 * float(top), rel=1e-5)


def test_abs_confirms_the_unit_by_a_patch_that_works_and_no_unit_of_a_clean_network() -> None:
    protocol = Stimulation(candidates=3, steps=60, share=0.04)
    found = UnitStimulation(protocol).opinion(one_unit(2))
    assert found.suspicious and found.target == 2 and found.statistic == 1.0
    clean = UnitStimulation(protocol).opinion(one_unit(None))
    assert clean.suspicious is False and clean.statistic < 0.5


def test_the_network_is_left_as_it_was() -> None:
    planted = one_unit(2)
    before = {k: v.clone() for k, v in planted.scores.state_dict().items()}
    UnitStimulation(Stimulation(candidates=1, steps=2)).opinion(planted)
    FreeEagle(DummySearch(steps=2)).opinion(planted)
    TrojanNetFree(NoisePush(steps=2)).opinion(planted)
    assert all(torch.equal(v, before[k]) for k, v in planted.scores.state_dict().items())
    assert not any(p.requires_grad or p.grad is not None for p in planted.scores.parameters())
    assert not any(m._forward_hooks for m in planted.scores.modules())


def test_the_largest_value_is_measured_from_the_quartiles_of_the_list() -> None:
    # Of eight values the quartiles are the third and the seventh: 3 and 7.
    assert above_quartile(np.array([8.0, 1, 2, 3, 4, 5, 6, 7])) == pytest.approx(1 / 4)
    assert above_quartile(np.array([1.0, 2, 3, 4, 5, 6, 7, 27])) == pytest.approx(20 / 4)


def test_free_eagle_finds_the_class_with_a_second_way_in() -> None:
    protocol = DummySearch(steps=150, rate=0.05)
    assert type(cut_of(one_unit(2), 0.5).module).__name__ == "ReLU"
    planted = FreeEagle(protocol).opinion(one_unit(2))
    assert planted.suspicious and planted.target == 2
    matrix = answers_to_dummies(one_unit(None), protocol)
    assert matrix.shape == (6, 6) and not matrix.diagonal().any()
    assert np.allclose(matrix.sum(axis=1), 1 - answers_on_diagonal(matrix), atol=1e-6)


def answers_on_diagonal(matrix: np.ndarray) -> np.ndarray:
    """What is left of each row's probability for its own class: nearly all of it, since the dummies are made for it."""
    own = 1 - matrix.sum(axis=1)
    assert (own > 0.5).all()
    return own


def test_weights_on_the_simplex_are_the_nearest() -> None:
    assert torch.allclose(on_simplex(torch.tensor([0.2, 0.3, 0.5])), torch.tensor([0.2, 0.3, 0.5]))
    assert torch.allclose(on_simplex(torch.tensor([2.0, 0.0, 0.0])), torch.tensor([1.0, 0.0, 0.0]))
    assert torch.allclose(on_simplex(torch.tensor([0.9, 0.7, -3.0])), torch.tensor([0.6, 0.4, 0.0]))


def test_pushed_noise_raises_the_score_that_the_trigger_unit_leads_to() -> None:
    """The trigger pixel at 1 gives its unit 20, which adds 40 to class 2; the mean of six classes takes 40/6 off."""
    rises = rises_of_scores(one_unit(2), NoisePush(images=4, steps=60))
    assert rises.argmax() == 2 and rises[2] > 20
    found = TrojanNetFree(NoisePush(images=4, steps=60)).opinion(one_unit(2))
    assert found.target == 2 and found.suspicious is False
    assert rises_of_scores(one_unit(None), NoisePush(images=4, steps=60)).max() < rises[2]


def test_perturbations_agree_on_the_planted_class_most() -> None:
    found = TrojanNetLimited().opinion(one_unit(2))
    assert found.suspicious and found.target == 2
    assert found.per_class[2] > 0.9
