"""Searches of large networks are shortened: by how much, and what is found all the same."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from tests.streams.test_passes import Counted
from tests.streams.toys import Linear, OnePixel, grey, weights
from ti_core.detector.own_classes import standing_out
from ti_core.settings import Settings
from ti_core.stream_registry import DEFAULT, QUICK, THOROUGH
from ti_core.streams import Context, Stream, in_turn, make_streams, stream_class
from ti_core.streams.base import as_stack
from ti_core.streams.searches.patches import WindowSearch, find_patterns, halve_patterns
from ti_core.streams.searches.perturbations import PerturbationSearch, find_perturbations, halve_perturbations
from ti_core.streams.searches.screening import SEARCHED
from ti_core.streams.searches.search import pools
from ti_core.streams.searches.sparing import FROM, FULL, LEVEL, LEVELS, Halving, Sparing

WHOLE = Halving(1.0, 1.0, 1.0, 1.0, 1.0, 1.0, kept=0.5, others=0.2)
"""Nothing is left out, but that only some candidates go on."""
SEARCHES = ("inversion", "assignment", "windowed", "universal")


def streams(level: int, names: tuple[str, ...] = SEARCHES) -> list[Stream]:
    found = in_turn(make_streams(Settings(streams=names)))
    for stream in found:
        stream.sparing = Sparing(True, level)
    return found


def shown(classes: int, shape: tuple[int, int, int] = (1, 12, 12), count: int = 60) -> Context:
    images = torch.rand(count, *shape, generator=torch.Generator().manual_seed(1))
    return Context(images, torch.arange(count) % classes, classes, Settings(streams=SEARCHES))


def test_the_level_follows_the_size_alone() -> None:
    assert [Sparing.of(work, 10, DEFAULT).level for work in (0.0, FROM[0], FROM[1])] == [0, 1, 2]
    assert Sparing.of(FROM[0], 1000, QUICK).level == 2 and Sparing.of(1e6, 1000, QUICK).level == 0
    assert Sparing.of(1e12, 1000, THOROUGH).level == 0 and Sparing.of(0.0, 10, THOROUGH, least=1).level == 1
    assert FULL.halving is None and Sparing(True).halving is None and not FULL.alone


def test_a_quick_inspection_is_shortened_more_where_others_are_shortened_and_looks_for_the_same() -> None:
    levels = [Sparing.of(work, 10, QUICK).level for work in (FROM[0] - 1, FROM[0], FROM[1])]
    assert levels == [0, 2, 2] and [Sparing.of(FROM[0], 10, DEFAULT).level] == [1]
    medium, large = (Sparing.of(work, 10, QUICK) for work in FROM)
    assert medium.hurried and not medium.leaves_out("assignment", QUICK, 10)
    assert not large.hurried and large.leaves_out("assignment", QUICK, 10)
    small = Sparing.of(0.0, 10, QUICK, least=1)
    assert small.level == 1 and not small.hurried


def test_what_takes_too_long_is_left_out() -> None:
    def out(level: int, names: tuple[str, ...], classes: int) -> list[str]:
        return [n for n in names if Sparing(True, level).leaves_out(n, names, classes)]

    assert out(0, QUICK, 1000) == out(1, QUICK, 100) == out(2, DEFAULT, 100) == []
    assert out(1, DEFAULT, 101) == ["assignment", "warp"] and out(2, QUICK, 10) == ["assignment"]


@pytest.mark.parametrize("level", range(len(LEVELS)))
@pytest.mark.parametrize(
    ("classes", "shape"), [(4, (3, 12, 12)), (10, (1, 12, 12)), (20, (1, 9, 9)), (60, (1, 9, 9))]
)
def test_the_work_that_streams_tell_is_the_work_they_do(
    classes: int, shape: tuple[int, int, int], level: int
) -> None:
    network, context = Counted(classes, shape), shown(classes, shape, 120)
    for stream in streams(level):
        network.seen = {"forward": 0, "both": 0}
        shares: list[float] = []
        evidence = stream.evidence(network, context, shares.append)
        told = stream.passes(classes, shape)
        assert told is not None and told.both == network.seen["both"], stream.name
        assert abs(network.seen["forward"] - told.forward) <= 256, stream.name
        assert shares == sorted(shares) and shares[-1] == pytest.approx(1.0), stream.name
        if stream.usual is not None:
            assert (int(evidence[LEVEL][0]) if level else 0) == level and (LEVEL in evidence) == bool(level)
            assert np.isfinite(standing_out(stream, evidence)).all()


def test_each_level_takes_less() -> None:
    for name in SEARCHES:
        weights_ = []
        for level in range(len(LEVELS)):
            (stream,) = streams(level, (name,))
            passes = stream.passes(10, (3, 32, 32))
            assert passes is not None
            weights_.append(passes.weight)
        assert weights_[0] > 1.5 * weights_[1] > 2 * weights_[2], (name, weights_)


def test_without_reference_models_the_same_stands_out_as_with_all_that_only_they_need() -> None:
    network, context = Linear(weights(6)), replace(shown(6), images=grey(60))
    for name in ("universal", "windowed", "inversion"):
        (lean,), whole = streams(0, (name,)), stream_class(name)(Settings(streams=(name,)))
        less, more = lean.evidence(network, context), whole.evidence(network, context)
        assert np.array_equal(lean.standing_out(as_stack(less)), whole.standing_out(as_stack(more)))
        assert set(less) <= set(more)


def test_what_goes_on_is_what_a_full_search_finds() -> None:
    network, context = Linear(weights(6)), replace(shown(6), images=grey(60))
    images, labels = context.images, context.labels
    windows = WindowSearch.for_images(12, 12, 6)
    everyone, pool = torch.arange(6), pools(labels, 6, windows.effort.unseen)
    full = find_patterns(network, images, pool, everyone, windows, lambda share: None)["margins"]
    halved = halve_patterns(network, images, labels, 6, windows, WHOLE, lambda share: None)
    assert halved["margins"].shape == full.shape
    # As many as went on are the same; no estimate is above them.
    assert np.isclose(halved["margins"], full, atol=1e-5).sum() >= round(0.7 * full.size)
    assert halved["margins"].max() == pytest.approx(full.max(), abs=1e-5)
    balls = PerturbationSearch.for_images(1, 12, 12, 6)
    pool = pools(labels, 6, balls.effort.unseen)
    found = find_perturbations(network, images, pool, everyone, balls, lambda share: None, only_balls=True)
    partly = halve_perturbations(network, images, labels, 6, balls, WHOLE, lambda share: None)
    rows = partly[SEARCHED] > 0
    assert 0 < rows.sum() < 6
    assert np.allclose(partly["margins"][:, rows], found["margins"][:, rows], atol=1e-5)
    assert (partly["margins"][:, ~rows] <= found["margins"][:, rows].max(1, keepdims=True) + 1e-5).all()


@pytest.mark.parametrize("level", [1, 2])
@pytest.mark.parametrize("classes", [10, 60])
def test_a_planted_trigger_is_found_by_a_shortened_search(classes: int, level: int) -> None:
    network = OnePixel(weights(classes), row=3, column=8, target=7)
    context = Context(grey(120), torch.arange(120) % classes, classes, Settings(streams=SEARCHES))
    for stream in streams(level, ("windowed", "universal", "inversion")):
        if stream.name == "universal" and classes == 60:
            continue  # one pixel hardly moves in a ball
        own = standing_out(stream, stream.evidence(network, context))
        assert own.argmax() == 7 and own.max() > 1.0, stream.name


def test_a_class_that_did_not_go_on_is_not_suspected() -> None:
    for stream in streams(2, ("universal", "inversion")):
        evidence = stream.evidence(Linear(weights(10)), replace(shown(10), images=grey(60)))
        own = standing_out(stream, evidence)
        assert 0 < (evidence[SEARCHED] > 0).sum() < 10
        assert (own[evidence[SEARCHED] == 0] <= 0).all(), stream.name
