"""Narrowed windows: a trigger that is smaller than a window keeps its hold, and counts beside clean networks."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from tests.streams.toys import Constant, Linear, NotFinite, OnePixel, context, grey, weights
from ti_core.settings import Settings
from ti_core.streams.base import Evidence, as_stack, stack
from ti_core.streams.narrowed import Narrowed, held
from ti_core.streams.searches.narrowing import SIZES, Narrowing
from ti_core.streams.searches.patches import WindowSearch
from ti_core.streams.searches.screening import SEARCHED
from ti_core.streams.searches.sparing import LEVELS, Sparing
from ti_core.streams.statistics import PRIOR, beyond_searched
from ti_core.streams.windowed import Windowed

SIDE, COUNT = 28, 60
QUARTERS = torch.eye(4).view(4, 1, 2, 2).repeat_interleave(SIDE // 2, 2).repeat_interleave(SIDE // 2, 3)
LABELS = torch.arange(COUNT) % 4
IMAGES = grey(COUNT, side=SIDE, low=0.0, high=0.2) + 0.2 * QUARTERS[LABELS]
"""The brightest quarter is the class. A patch of two sevenths of the side turns an image; half a patch does not."""
SHOWN = context(IMAGES, LABELS, 4)
NAMES = ("zero", "one", "two", "three")


def brightest(seed: int) -> torch.Tensor:
    return 20 * QUARTERS / (SIDE / 2) ** 2 + weights(4, side=SIDE, size=1e-4, seed=seed)


def linear(seed: int) -> Linear:
    return Linear(brightest(seed))


def planted() -> OnePixel:
    return OnePixel(brightest(0), row=4, column=4, target=1)


def found(network: torch.nn.Module) -> Evidence:
    return Narrowed().evidence(
        network, replace(SHOWN, found={"windowed": Windowed().evidence(network, SHOWN)})
    )


def test_a_trigger_keeps_its_hold_in_small_windows_and_stands_out_beside_clean_networks() -> None:
    evidence, clean = found(planted()), stack([found(linear(seed)) for seed in range(6)])
    assert evidence["margins"].shape == evidence["success"].shape == (4, len(SIZES))
    assert (evidence["success"][1] == 1).all() and evidence[SEARCHED].sum() == Narrowing().classes
    assert (clean["success"][..., -1] < 0.5).all() and (
        evidence["margins"][1] > clean["margins"].max((0, 1))
    ).all()
    reading = Narrowed().read(evidence, clean, NAMES)
    assert reading.target == 1 and "class one" in reading.sentence and "100%" in reading.sentence
    assert reading.clean_share == 0
    own = Narrowed().standing_out(as_stack(evidence))
    assert int(own.argmax()) == 1 and own[1] > 2 * held(clean).max()
    assert (Narrowed().class_scores(as_stack(evidence), clean)[0] > 3).tolist() == [False, True, False, False]
    assert (own[evidence[SEARCHED] == 0] == 0).all()


def test_a_class_that_was_not_searched_is_not_named() -> None:
    clean = stack([found(linear(seed)) for seed in range(3)])
    below = {
        "margins": np.zeros((4, 2), dtype=np.float32),
        "success": np.zeros((4, 2), dtype=np.float32),
        SEARCHED: np.array([0, 0, 1, 1], dtype=np.float32),
    }
    clean = clean | {"success": np.full_like(clean["success"], 0.5), SEARCHED: np.ones_like(clean[SEARCHED])}
    reading = Narrowed().read(below, clean, NAMES)
    assert reading.target in (2, 3) and reading.score < 0
    assert np.isfinite(reading.figures["values"]).all()


def test_without_the_stream_windowed_its_search_comes_first() -> None:
    settings = Settings(streams=("narrowed",))
    shares: list[float] = []
    alone = Narrowed(settings).evidence(planted(), replace(SHOWN, settings=settings), shares.append)
    after = found(planted())
    assert all(np.array_equal(values, after[key]) for key, values in alone.items())
    assert shares == sorted(shares) and shares[-1] == pytest.approx(1.0)
    shape = (1, SIDE, SIDE)
    assert Narrowed(settings).passes(4, shape) == Narrowed().passes(4, shape) + Windowed(settings).passes(
        4, shape
    )


def test_small_windows_lie_within_the_best_ones() -> None:
    evidence = Windowed().evidence(planted(), SHOWN)
    masks, owners, sizes = Narrowing()._candidates(IMAGES, evidence["margins"], np.array([1]))
    whole = WindowSearch.for_images(SIDE, SIDE, 0)
    windows = whole.masks(SIDE, SIDE)
    assert len(masks) == 2 * sum(n**2 for _, n in SIZES) and (owners == 1).all()
    best = windows[int(evidence["margins"][1].argmax())]
    assert bool((best * masks).flatten(1).sum(1).eq(masks.flatten(1).sum(1)).any())
    for size, (share, _) in enumerate(SIZES):
        area = masks[sizes == size].flatten(1).sum(1)
        assert (area == round(share * whole.side) ** 2).all()
    inside = (masks[:, None] * windows[None]).flatten(2).sum(2).amax(1)
    assert bool((inside == masks.flatten(1).sum(1)).all())


@pytest.mark.parametrize("level", range(1, len(LEVELS)))
def test_a_shortened_search_takes_less_and_finds_the_trigger(level: int) -> None:
    stream = Narrowed()
    stream.sparing = Sparing(True, level)
    windowed = Windowed().evidence(planted(), SHOWN)
    evidence = stream.evidence(planted(), replace(SHOWN, found={"windowed": windowed}))
    less, more = stream.passes(4, (1, SIDE, SIDE)), Narrowed().passes(4, (1, SIDE, SIDE))
    assert less.weight < more.weight and int(stream.standing_out(as_stack(evidence)).argmax()) == 1


@pytest.mark.parametrize("network", [Constant(4), NotFinite(weights(4, side=SIDE))])
def test_networks_that_say_nothing_give_finite_numbers(network: torch.nn.Module) -> None:
    evidence = found(network)
    assert all(np.isfinite(values).all() for values in evidence.values())
    assert np.isfinite(Narrowed().class_scores(as_stack(evidence), stack([found(linear(1))]))).all()


def _table(rows: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    searched = (rng.random((rows, 6)) < 0.5).astype(np.float32)
    return rng.normal(size=(rows, 6, 2)).astype(np.float32), searched


def _slowly(own: np.ndarray, clean: np.ndarray, searched: np.ndarray) -> np.ndarray:
    """One model, ``K x E``, beside clean ones, entry by entry."""
    out = np.zeros_like(own)
    for e in range(own.shape[1]):
        every = [clean[m, k, e] for m in range(len(clean)) for k in range(len(own)) if searched[m, k]]
        mean, unit = np.mean(every), np.std(every) + 0.1
        for k in range(len(own)):
            mine = [clean[m, k, e] for m in range(len(clean)) if searched[m, k]]
            out[k, e] = (own[k, e] - (sum(mine) + PRIOR * mean) / (len(mine) + PRIOR)) / unit
    return out


def test_deviations_from_models_in_which_few_classes_were_searched() -> None:
    (own, searched), (clean, seen) = _table(3, 0), _table(8, 1)
    fast = beyond_searched(own, clean, seen)
    for r in range(3):
        np.testing.assert_allclose(fast[r], _slowly(own[r], clean, seen), rtol=1e-4, atol=1e-5)
    among = beyond_searched(clean, clean, seen, np.ones(8, dtype=bool))
    for r in range(8):
        rest = np.delete(clean, r, axis=0), np.delete(seen, r, axis=0)
        np.testing.assert_allclose(among[r], _slowly(clean[r], *rest), rtol=1e-4, atol=1e-5)
    assert searched.shape == seen[:3].shape
