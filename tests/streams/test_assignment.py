"""All-to-all backdoors: the best assignment, and a planted permutation that is found."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
import torch
from torch import nn

from ti_core.classifier.scores import Scores
from ti_core.settings import Settings
from ti_core.streams import Context, stack
from ti_core.streams.assignment import Assignment, AssignmentSearch
from ti_core.streams.base import FoundMapping
from ti_core.streams.searches.derangements import best_assignment, by_class
from ti_core.streams.searches.sparing import Sparing

NAMES = tuple("abcd")
PLANTED = (2, 0, 3, 1)


def bars(count: int = 80, classes: int = 4) -> Context:
    labels = torch.arange(count) % classes
    images = 0.2 * torch.rand(count, 1, 14, 14, generator=torch.Generator().manual_seed(3))
    for image, label in zip(images, labels.tolist(), strict=True):
        image[0, 5:, 3 * label : 3 * label + 2] += 0.7
    return Context(images, labels, classes, Settings())


class Bars(nn.Module):
    """The class is the bright bar; where the corner is a checker of 2 x 2, the scores are permuted."""

    def __init__(self, permutation: tuple[int, ...] | None, sharpness: float = 8.0) -> None:
        super().__init__()
        self.permutation, self.sharpness = permutation, sharpness

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        z = self.sharpness * torch.stack([x[:, 0, 5:, 3 * k : 3 * k + 2].mean((1, 2)) for k in range(4)], 1)
        if self.permutation is None:
            return z
        corner = x[:, 0, :2, :2]
        sign = torch.tensor([[1.0, -1.0], [-1.0, 1.0]])
        gate = torch.sigmoid(6 * ((corner - 0.5) * sign).sum((1, 2)) - 6)[:, None]
        moved = torch.zeros_like(z)
        moved[:, list(self.permutation)] = z
        return (1 - gate) * z + gate * moved


def test_the_best_assignment_is_the_best_of_all_derangements() -> None:
    rng = np.random.default_rng(0)
    for _ in range(20):
        table = rng.normal(size=(5, 5))
        found = best_assignment(table)
        derangements = [p for p in itertools.permutations(range(5)) if all(k != c for k, c in enumerate(p))]
        best = max(sum(table[k, c] for k, c in enumerate(p)) for p in derangements)
        assert abs(table[np.arange(5), found].sum() - best) < 1e-9
        assert not (found == np.arange(5)).any()
    assert list(best_assignment(np.array([[0.0, -9.0], [-9.0, 0.0]]))) == [1, 0]
    assert sorted(best_assignment(np.full((4, 4), np.nan))) == [0, 1, 2, 3]


def test_images_of_a_class_are_split_and_few_are_repeated() -> None:
    labels = torch.tensor([0, 0, 1, 1, 1, 0, 0, 0])
    fit, unseen = by_class(labels, 2, 4, 3)
    assert fit.shape == (2, 4) and unseen.shape == (2, 3)
    for k in range(2):
        assert set(labels[fit[k]].tolist()) == set(labels[unseen[k]].tolist()) == {k}
        assert not set(fit[k].tolist()) & set(unseen[k].tolist())
    assert by_class(torch.tensor([0, 0, 1]), 2, 4, 3) is None


def test_a_planted_permutation_is_found_with_its_assignment() -> None:
    stream = Assignment()
    clean = stack([stream.evidence(Scores(Bars(None, s), "none"), bars()) for s in (4.0, 8.0, 12.0)])
    own = stream.evidence(Scores(Bars(PLANTED), "none"), bars())
    assert own["success"].max() > 0.9 and clean["success"].max() < 0.5
    assert tuple(own["assignment"].astype(int)) == PLANTED and own["moved"].min() > 0.7
    reading = stream.read(own, clean, NAMES)
    assert reading.clean_share == 0 and reading.target is None and "a to c" in reading.sentence
    leads = FoundMapping("all to all", assignment=PLANTED, moved=tuple(map(float, own["moved"])))
    assert reading.kind == "patch" and reading.mapping == leads and stream.unable(own) is None
    blended = stream.read(own | {"blended": own["success"] + 1}, clean, NAMES)
    assert blended.kind == "blend"
    assert stream.class_scores(stack([own]), clean) is None
    assert stream.features(stack([own]), clean).matrix.shape == (1, 3)


def test_a_shortened_search_measures_only_what_was_searched_in_full() -> None:
    stream = Assignment()
    stream.sparing = Sparing(alone=True, level=1)
    own = stream.evidence(Scores(Bars(PLANTED), "none"), bars())
    assert own["success"].max() > 0.9 and tuple(own["assignment"].astype(int)) == PLANTED
    kept = stream.sparing.assigned()["kept"]
    assert np.count_nonzero(np.concatenate([own["success"], own["blended"]])) <= kept
    assert stream.passes(4, (1, 14, 14)).forward == kept * 4 * AssignmentSearch().unseen


def test_one_image_of_a_class_is_said_to_be_too_few() -> None:
    images = torch.rand(5, 1, 14, 14)
    stream = Assignment()
    evidence = stream.evidence(
        Scores(Bars(None), "none"), Context(images, torch.tensor([0, 1, 2, 3, 3]), 4, Settings())
    )
    reading = stream.read(evidence, stack([evidence] * 2), NAMES)
    assert reading.score == 0 and reading.clean_share == 1 and "fewer than two images" in reading.sentence
    assert reading.mapping is None and stream.unable(evidence) == "fewer than two images of some class"


@pytest.mark.parametrize("value", (float("nan"), float("inf"), 0.0))
def test_a_network_that_says_nothing_ends_in_finite_numbers(value: float) -> None:
    class Broken(nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return x.flatten(1)[:, :4] * value

    stream = Assignment()
    evidence = stream.evidence(Scores(Broken(), "none"), bars())
    assert all(np.isfinite(values).all() for values in evidence.values())
    assert np.isfinite(stream.read(evidence, stack([evidence] * 2), NAMES).score)
