"""What images show of one candidate, and which candidates are tried beside the best."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import pytest
import torch

from tests.classifier.test_reconstruct import Plain, digits
from ti_core.classifier import decide
from ti_core.classifier.reconstruct import LAYOUTS, MOST_USUAL, Reconstructor
from ti_core.classifier.trial import Tried, loss_of, losses_of, merit_of
from ti_core.reconstruction.candidates import Candidate, candidates
from ti_core.reconstruction.layers.file_layers import file_layers
from ti_core.reconstruction.model import Model, Proposal
from ti_core.reconstruction.sketch import Layer
from ti_core.reconstruction.usual import ACT, ACTIVATIONS

COUNT = 100


def tried(cost: float, losses: torch.Tensor, answers: torch.Tensor, candidate: Candidate) -> Tried:
    return Tried(candidate, "none", 0.5, cost, answers, candidate.cost, losses)


def likeliest() -> Candidate:
    return candidates(file_layers(Plain().state_dict()))[0]


def test_chance_is_two_standard_errors_of_the_paired_losses() -> None:
    base, answers, one = torch.rand(COUNT), torch.zeros(COUNT), likeliest()
    scatter = torch.tensor([0.3, -0.3]).repeat(COUNT // 2)
    best = tried(0, base, answers, one)
    assert best.chance(tried(5, base + 0.2, answers, one)) == pytest.approx(0, abs=1e-5)
    expected = 2 * 0.3 * math.sqrt(COUNT / (COUNT - 1)) * math.sqrt(COUNT)
    assert best.chance(tried(5, base + scatter, answers, one)) == pytest.approx(expected, rel=1e-4)
    assert best.chance(tried(5, torch.zeros(0), answers, one)) == 0


@pytest.mark.parametrize(
    ("cost", "scatter", "agreeing", "doubt"),
    [
        (9, 0.0, 0.8, True),
        (15, 0.0, 0.8, False),
        (15, 1.0, 0.8, True),
        (25, 1.0, 0.8, False),
        (15, 1.0, 0.98, False),
    ],
)
def test_costs_that_differ_by_chance_rule_no_network_out(
    cost: float, scatter: float, agreeing: float, doubt: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The losses of 100 images that scatter by 1 make a difference of 20 by chance."""
    one = likeliest()
    other = replace(one.with_(Layer("tanh"), "avgpool"), cost=one.cost)
    same, losses = torch.ones(COUNT), torch.rand(COUNT)
    answers = same.clone()
    answers[: round(COUNT * (1 - agreeing))] = 2
    apart = losses + scatter * torch.tensor([1.0, -1.0]).repeat(COUNT // 2)
    found = [tried(0, losses, same, one), tried(cost, apart, answers, other)]
    monkeypatch.setattr(Reconstructor, "best", lambda self: found)
    layers = tuple(file_layers(Plain().state_dict()))
    model = Model(Plain().eval(), "m.pt", "0" * 64, "torch", "reconstructed", 1, proposal=Proposal(layers))
    sure = decide.decided(model, *digits()).reconstructed
    assert sure is not None and bool(sure.doubt) is doubt
    if doubt:
        assert "about as good" in sure.doubt and "80% of the images" in sure.doubt


def test_losses_of_images() -> None:
    z, labels = torch.tensor([[2.0, 0.0], [0.0, 1.0]]), torch.tensor([0, 0])
    expected = torch.tensor([math.log1p(math.exp(-2)), math.log1p(math.exp(1))])
    torch.testing.assert_close(losses_of(z, labels), expected)
    torch.testing.assert_close(losses_of(z.softmax(1), labels), expected)
    assert len(losses_of(z, labels + 2)) == len(losses_of(z, None)) == 0
    assert loss_of(z, labels + 2) == math.log(2)
    assert merit_of(z, labels) == 0.5 and merit_of(10 * z, None) > merit_of(z, None) > 0
    assert merit_of(z * math.nan, None) == 0


class Asked(Reconstructor):
    """Says which candidates are tried; those of one activation and normalisation do best."""

    def __init__(self, best: tuple[Layer, str] | None = None) -> None:
        super().__init__(file_layers(Plain().state_dict()), *digits())
        self.best_of, self.asked = best, list[tuple[Layer | None, str | None]]()

    def _ranked(self, found: Any, count: int | None, norms: int, before: Sequence[Tried] = ()) -> list[Tried]:
        made = list(before)
        for one in found:
            self.asked.append((one.act, one.norm))
            cost = 0.0 if (one.act, one.norm) == self.best_of else one.cost
            made.append(replace(tried(cost, torch.zeros(0), torch.zeros(1), one), norm=one.norm or "none"))
        return sorted(made, key=lambda one: one.cost)


RELU, GELU, TANH, ELU = (Layer(word) for word in ("relu", "gelu", "tanh", "elu"))


def test_the_best_layers_are_tried_under_further_normalisations_and_their_activations_there() -> None:
    one = replace(likeliest(), act=RELU, pool="maxpool", norm="none", cost=5.0)
    pairs = ((RELU, "none"), (GELU, "none"), (TANH, "none"), (ELU, "none"))
    pairs += ((RELU, "half"), (GELU, "half"), (RELU, "mnist"), (RELU, "cifar10"))
    pinned = [replace(one, act=act, norm=norm, cost=5.0 + at) for at, (act, norm) in enumerate(pairs)]
    elsewhere = replace(pinned[4], items=one.items[1:])
    asked = Asked((RELU, "half"))
    begun = [tried(5.0, torch.zeros(0), torch.zeros(1), pinned[0])]
    last = asked._closest(begun, [elsewhere, *pinned])
    assert asked.asked[:4] == [(GELU, "none"), (TANH, "none"), (RELU, "half"), (RELU, "mnist")]
    assert asked.asked[4:6] == [(GELU, "half"), (RELU, "cifar10")], "the normalisation has changed"
    assert (last[0].candidate.act, last[0].norm) == (RELU, "half")
    settled = Asked((RELU, "none"))
    settled._closest(begun, pinned)
    assert len(settled.asked) == 4


def test_further_layers_are_tried_with_the_usual_activations() -> None:
    asked = Asked()
    layouts = [replace(likeliest(), items=(Layer("dropout", (at / 10,)), ACT), act=RELU) for at in range(12)]
    sample = [tried(float(at), torch.zeros(0), torch.zeros(1), one) for at, one in enumerate(layouts)]
    made = asked._acted(sample, layouts[:2])
    usual = {act for act, cost in ACTIVATIONS.items() if cost <= MOST_USUAL and act != RELU}
    assert GELU in usual and {one.act for one in made} == usual
    assert [one.items for one in made[:: len(usual)]] == [one.items for one in layouts[2:LAYOUTS]]
    assert all(one.cost == layouts[0].cost + ACTIVATIONS[one.act] for one in made if one.act is not None)
    asked.stated = replace(asked.stated, acts=(GELU,))
    assert not asked._acted(sample, layouts[:2]), "a module that registers its activation"
