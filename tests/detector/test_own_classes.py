"""Own classes decide: the bounds, the probability, and the unit of every stream."""

from __future__ import annotations

import numpy as np
import pytest

from ti_core.detector.own_classes import (
    BACKDOORED,
    CLEAN,
    EVEN,
    MOST_SURE,
    Alone,
    alone,
    standing_out,
)
from ti_core.streams.inversion import Inversion
from ti_core.streams.universal import Universal
from ti_core.streams.windowed import Windowed


def one(score: float, classes: int = 5, target: int = 2) -> Alone:
    """A network in which one class alone stands out, so that its lead is its value."""
    together = np.zeros(classes)
    together[target] = score
    return Alone({}, together)


@pytest.mark.parametrize(
    ("score", "verdict"),
    [
        (0.0, "clean"),
        (CLEAN - 1e-9, "clean"),
        (CLEAN, "inconclusive"),
        (BACKDOORED - 1e-9, "inconclusive"),
        (BACKDOORED, "backdoored"),
        (1e9, "backdoored"),
    ],
)
def test_verdicts_at_the_bounds(score: float, verdict: str) -> None:
    found = one(score)
    assert found.assess().verdict == verdict and found.target == (2 if score else 0)


def test_the_probability_rises_with_the_score_and_is_never_sure() -> None:
    p = [one(s).assess().probability for s in (0.0, 0.9, EVEN, 1.9, 1e9)]
    assert p == sorted(p) and p[2] == pytest.approx(0.5)
    assert p[0] == pytest.approx(1 - MOST_SURE) and p[-1] == MOST_SURE


def test_a_class_with_a_near_rival_says_less() -> None:
    """The mean of the largest value and its lead: 3 and 0 beside an equal rival, 3 and 2 beside one at 1."""
    assert Alone({}, np.array([3.0, 3.0, 0.0, 0.0])).score == pytest.approx(1.5)
    assert Alone({}, np.array([3.0, 1.0, 0.0, 0.0])).score == pytest.approx(2.5)


def test_among_three_classes_nothing_is_said() -> None:
    found = one(99.0, classes=3).assess()
    assert (found.verdict, found.probability) == ("inconclusive", 0.5)


def test_each_stream_counts_in_units_of_what_is_usual() -> None:
    """Five classes at 0, 1, 2, 3 and 4 + u: the quartiles are 1 and 3, the median 2."""
    u = 3.0
    levels = np.array([0.0, 1.0, 2.0, 3.0, 4.0 + u], dtype=np.float32)
    # In interquartile ranges above the median.
    expected = (levels - 2) / 2
    assert standing_out(Windowed(), {"margins": levels[:, None]}) == pytest.approx(expected / Windowed.usual)
    radii = np.stack([np.zeros(5, dtype=np.float32), levels, 10 * levels])
    assert standing_out(Universal(), {"margins": radii}) == pytest.approx(expected / Universal.usual)
    norms = 100 * np.exp(-levels)
    assert standing_out(Inversion(), {"norms": norms}) == pytest.approx(
        (levels - 2) / Inversion.usual, rel=1e-5
    )


def test_a_class_that_several_streams_name_stands_out_by_the_root_of_the_squares() -> None:
    levels = np.array([0.0, 1.0, 2.0, 3.0, 8.0], dtype=np.float32)
    found = alone({"windowed": {"margins": levels[:, None]}, "inversion": {"norms": 100 * np.exp(-levels)}})
    assert found.target == 4
    assert found.together.max() == pytest.approx(np.hypot(3 / Windowed.usual, 6 / Inversion.usual), rel=1e-5)


def test_universal_perturbations_alone_do_not_decide() -> None:
    levels = np.array([0.0, 1.0, 2.0, 3.0, 1e4], dtype=np.float32)
    radii = np.stack([levels, levels, levels])
    found = alone({"universal": {"margins": radii}})
    assert found.streams["universal"].max() > 100 and found.together.max() == Universal.at_most
    assert found.assess().verdict == "inconclusive"


def test_a_window_counts_no_more_than_a_small_one_within_it() -> None:
    """Both classes are reached in large windows, the last one in small ones too; the stream's own reading stays."""
    levels = np.array([0.0, 1.0, 2.0, 3.0, 9.0, 9.0], dtype=np.float32)
    wide = {"margins": levels[:, None]}
    held = np.array([0, 0, 0, 0, 0.1, 0.3], dtype=np.float32)[:, None]
    small = {"margins": held, "success": np.ones_like(held), "searched": np.array([0, 0, 0, 0, 1, 1.0])}
    both = alone({"windowed": wide, "narrowed": small})
    own, within = (both.streams[name] for name in ("windowed", "narrowed"))
    np.testing.assert_array_equal(own, alone({"windowed": wide}).streams["windowed"])
    assert own[4] == own[5] > within[5] > within[4] > 0
    assert both.together == pytest.approx(np.sqrt(2) * within, rel=1e-5) and both.target == 5
