"""The benchmark of the numbers set by hand computes distances as the detector does."""

from __future__ import annotations

import numpy as np

from benchmarks import constants
from benchmarks.constants import Judged, momentum, shares
from ti_core.detector.detector import OUTSIDE, fit_detector
from ti_core.detector.metamodels import Anchored
from ti_core.streams.searches import perturbations, search


def test_at_the_detectors_own_numbers_the_distances_are_its_own() -> None:
    rng = np.random.default_rng(0)
    labels = np.array(["clean"] * 12 + ["blend"] * 6 + ["patch"] * 6)
    matrix = rng.normal(size=(24, 3)) + 4.0 * (labels != "clean")[:, None]
    fitted = fit_detector(
        ("a", "b", "c"), matrix, labels, np.arange(24).astype(str), fitter=Anchored(calibrated=True)
    )
    rows = np.concatenate([matrix[:3], np.array([[-9.0, -9.0, -9.0], [-50.0, 0.0, 0.0]])])
    judged = Judged(
        fitted, rows, fitted.calibration.probability(fitted.logit(rows)), np.array([False] * 4 + [True])
    )
    own = [fitted.assess(row) for row in rows]
    assert judged.distance(0.02, 0.1).tolist() == [one.distance for one in own]
    assert judged.distance(9.0, 0.5).tolist() != [one.distance for one in own]
    clean, missed, doubtful, rescued = shares([judged], (0.02, 0.1), OUTSIDE)
    assert clean == sum(one.verdict == "clean" for one in own[:4])
    assert missed == (own[4].verdict == "clean")
    far = [one.distance > OUTSIDE for one in own]
    assert doubtful + rescued == sum(far[i] and judged.clean()[i] for i in range(5)) > 0


def test_the_momentum_is_changed_in_every_search_and_put_back() -> None:
    before = search.MOMENTUM
    with momentum(0.25):
        assert {m.MOMENTUM for m in (search, perturbations)} == {0.25}
    assert search.MOMENTUM == perturbations.MOMENTUM == before


def test_members_are_spread_evenly() -> None:
    assert constants.spread_over(list("abcdefg"), 3) == ["a", "d", "g"]  # type: ignore[arg-type,comparison-overlap]
