"""Flat patches: closed form on a linear classifier, a planted colour found where it works, and told of."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from tests.streams.toys import Linear, NotFinite, Sticker, context, grey, weights
from ti_core.streams.base import stack
from ti_core.streams.searches.flat_patches import colours, under_colours
from ti_core.streams.searches.patches import WindowSearch
from ti_core.streams.searches.window_scores import FLAT, command, of_flat_patches
from ti_core.streams.windowed import Windowed

SIDE = 12
MASKS = WindowSearch.for_images(SIDE, SIDE, 3).masks(SIDE, SIDE)
LABELS = torch.arange(60) % 3


@pytest.mark.parametrize("channels", [1, 2, 3, 4])
def test_colours_are_told_apart_and_lie_between_black_and_white(channels: int) -> None:
    found = colours(channels)
    assert found.shape == ({1: 5, 3: 27}.get(channels, 5), channels)
    assert len({tuple(c) for c in found.tolist()}) == len(found)
    assert float(found.min()) >= 0 and float(found.max()) <= 1


def test_a_linear_classifiers_answer_is_the_closed_form() -> None:
    """Of two classes: the difference of the weights by what is left of the other class's images, and by the colour."""
    w, images, labels = weights(2), grey(10), torch.arange(10) % 2
    found = under_colours(Linear(w), images, labels, MASKS[:3])
    for c in (0, 1):
        difference = (w[c] - w[1 - c])[0]
        for k, mask in enumerate(MASKS[:3]):
            rest = (images[labels != c, 0] * (1 - mask) * difference).sum((1, 2))
            answers = torch.stack([rest + shade * (mask * difference).sum() for shade in colours(1)[:, 0]])
            best = int(answers.mean(1).argmax())
            assert found["flat_margins"][c, k] == pytest.approx(float(answers[best].mean()), abs=1e-4)
            assert found["flat_success"][c, k] == pytest.approx(float((answers[best] > 0).float().mean()))


def test_a_planted_sticker_is_found_where_it_lies_and_only_there() -> None:
    network = Sticker(4, 4, shade=0.25, target=2)
    found = under_colours(network, grey(60, low=0.4, high=0.9), LABELS, MASKS)
    holds = (MASKS[:, 4:6, 4:6].flatten(1).min(1).values > 0).numpy()
    assert 0 < holds.sum() < len(holds)
    assert (found["flat_success"][2, holds] == 1).all() and (found["flat_margins"][2, holds] > 20).all()
    assert found["flat_margins"][2, ~holds].max() < 5 and found["flat_margins"][:2].max() < 5


def test_a_sticker_that_no_pattern_finds_makes_its_class_suspicious() -> None:
    shown = context(grey(60, low=0.4, high=0.9), LABELS, 3)
    plain = stack(
        [Windowed().evidence(Linear(weights(3, size=0.02, seed=seed)), shown) for seed in range(1, 7)]
    )
    evidence = Windowed().evidence(Sticker(4, 4, shade=0.25, target=2), shown)
    alone = stack([evidence])
    assert command(alone, plain)[0, 2] < 5
    scores = Windowed().class_scores(alone, plain)[0]
    assert int(scores.argmax()) == 2
    assert scores[2] >= min(20.0, FLAT * command(of_flat_patches(alone), of_flat_patches(plain))[0, 2])
    reading = Windowed().read(evidence, plain, ("zero", "one", "two"))
    assert reading.target == 2 and "of one colour" in reading.sentence and reading.clean_share == 0
    assert reading.figures is not None and MASKS[reading.figures["window"], 4:6, 4:6].min() > 0
    assert reading.figures["success"] == 1


@pytest.mark.parametrize("labels", [torch.zeros(5, dtype=torch.int64), torch.arange(5) % 3])
def test_bad_input_ends_in_finite_numbers(labels: torch.Tensor) -> None:
    for network in (NotFinite(weights(3)), Linear(weights(3))):
        found = under_colours(network, grey(5), labels, MASKS[:2])
        assert all(a.shape == (3, 2) and np.isfinite(a).all() for a in found.values())
