from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from ti_core.detector.detector import FOLDS, fit_detector, folds, load_detector
from ti_core.detector.metamodels import Anchored, Boosting, Linear, logarithmic
from ti_core.detector.thresholds import (
    FALSE_ALARMS,
    MISSES,
    Calibration,
    bounds,
    bounds_by_kind,
    calibrate,
    log_odds,
)

QUICK = Boosting(iterations=40)
NAMES = ("height", "noise", "width")


def members(count: int = 60, gap: float = 4.0) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Clean members at 0; blend ones high in "height", patch ones in "width"."""
    rng = np.random.default_rng(0)
    labels = np.array(["clean", "blend", "clean", "patch"])[np.arange(count) % 4]
    matrix = rng.normal(size=(count, 3))
    matrix[labels == "blend", 0] += gap
    matrix[labels == "patch", 2] += gap
    return matrix, labels, np.array([f"g{i // 2}" for i in range(count)])


def test_it_tells_clean_from_trojaned_and_the_kinds_apart() -> None:
    detector = fit_detector(NAMES, *members(), fitter=QUICK)
    clean, blend, patch = (detector.assess(np.array(r)) for r in ([0.0, 0, 0], [5.0, 0, 0], [0.0, 0, 5]))
    assert (clean.verdict, clean.trigger_kind) == ("clean", None)
    assert (blend.verdict, blend.trigger_kind) == ("backdoored", "blend")
    assert (patch.verdict, patch.trigger_kind) == ("backdoored", "patch")
    assert 0 <= clean.probability < 0.2 < 0.8 < blend.probability <= 1


def test_evidence_far_from_every_reference_model_is_not_called_clean() -> None:
    detector = fit_detector(NAMES, *members(), fitter=QUICK)
    far = detector.assess(np.array([0.0, 500.0, 0.0]))
    assert far.outside and far.verdict != "clean"
    assert not detector.assess(np.array([0.0, 0.0, 0.0])).outside


def test_useless_features_give_no_verdict() -> None:
    """With nothing to tell the members apart by, most of them fall between the thresholds."""
    detector = fit_detector(NAMES, *members(gap=0.0), fitter=QUICK)
    verdicts = [detector.calibration.verdict(float(p)) for p in detector.oof]
    assert verdicts.count("inconclusive") > len(verdicts) / 2


def test_the_same_seed_fits_the_same_detector() -> None:
    one, two = (fit_detector(NAMES, *members(), seed=1, fitter=QUICK) for _ in range(2))
    rows = members()[0]
    assert np.array_equal(one.logit(rows), two.logit(rows))
    assert np.array_equal(one.oof, two.oof)


def test_it_survives_saving(tmp_path: Path) -> None:
    matrix, labels, groups = members()
    detector = fit_detector(NAMES, matrix, labels, groups, fitter=QUICK)
    record = detector.save(tmp_path, "d")
    loaded = load_detector(tmp_path, "d", record, matrix)
    for row in matrix[:8]:
        assert loaded.assess(row) == detector.assess(row)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["d-kind.cbm", "d.cbm"]


def test_a_monotone_detector_never_falls_as_a_feature_rises() -> None:
    detector = fit_detector(NAMES, *members(gap=1.0), fitter=Boosting(iterations=40, monotone=True))
    rows = np.zeros((50, 3))
    rows[:, 0] = np.linspace(-4, 8, 50)
    assert bool((np.diff(detector.logit(rows)) >= -1e-9).all())


def test_contributions_add_up_to_the_log_odds() -> None:
    """Shapley values sum to the prediction less its mean (here: less the sum for a fixed row)."""
    detector = fit_detector(NAMES, *members(), fitter=QUICK)
    a, b = np.array([0.0, 0, 0]), np.array([5.0, 0, 0])
    rise = sum(v for _, v in detector.contributions(b)) - sum(v for _, v in detector.contributions(a))
    assert rise == pytest.approx(float(detector.logit(b[None])[0] - detector.logit(a[None])[0]), abs=1e-6)
    assert detector.contributions(b)[0][0] == "height"


def test_without_an_anchor_the_weighted_sum_is_scikit_learns_where_no_weight_is_held_at_zero() -> None:
    """scikit-learn does not penalise the intercept; a constant feature that it does penalise stands for ours."""
    from sklearn.linear_model import LogisticRegression

    matrix, labels, _ = members()
    matrix = matrix[:, [0, 2]]
    trojaned = labels != "clean"
    model = Anchored(weight=0.0, firm=5.0, loose=(), penalty=5.0).fit(matrix, trojaned, 0)
    x = np.column_stack([logarithmic(matrix), np.ones(len(matrix))])
    plain = LogisticRegression(
        C=1 / 5.0, class_weight="balanced", fit_intercept=False, tol=1e-10, max_iter=1000
    )
    other = plain.fit(x, trojaned)
    np.testing.assert_allclose(model.logit(matrix), other.decision_function(x), atol=1e-3)
    assert min(model.weights) > 0


def test_held_firmly_the_weighted_sum_is_its_anchor() -> None:
    """At the threshold both answers are as likely, and each unit of a logarithm adds its weight."""
    matrix, labels, _ = members()
    firm = Anchored(weight=4.0, threshold=2.0, firm=1e9, loose=(), penalty=1e9)
    model = firm.fit(matrix, labels != "clean", 0)
    rows = np.array([[2.0, 7.0, -3.0], [3 * np.e - 1, 0.0, 0.0]])
    np.testing.assert_allclose(model.logit(rows), [0.0, 4.0], atol=1e-5)


def test_a_feature_that_is_held_loosely_weighs_more_than_one_that_is_not() -> None:
    matrix, labels, _ = members()
    matrix = np.column_stack([np.zeros(len(matrix)), matrix[:, 0], matrix[:, 0]])
    _, loose, held = Anchored(loose=(1.0,), penalty=4.0).fit(matrix, labels != "clean", 0).weights
    assert loose == pytest.approx(4 * held, rel=1e-3) and held > 0, "of equal figures, in inverse proportion"


def test_the_more_members_the_farther_from_the_anchor() -> None:
    matrix, labels, _ = members()
    few, many = (
        Anchored(threshold=50.0).fit(np.tile(matrix, (n, 1)), np.tile(labels != "clean", n), 0)
        for n in (1, 40)
    )
    row = np.zeros((1, 3))
    assert few.logit(row)[0] < many.logit(row)[0]


def test_log_odds_that_are_calibrated_stay_as_they_are() -> None:
    matrix, labels, groups = members()
    c = fit_detector(NAMES, matrix, labels, groups, fitter=Anchored()).calibration
    assert (c.slope, c.intercept) == (1.0, 0.0) and c.low <= c.high


def test_a_feature_that_speaks_against_a_backdoor_weighs_nothing() -> None:
    matrix, labels, _ = members()
    model = Anchored().fit(matrix * (-1, 1, 1), labels != "clean", 0)
    assert model.weights[0] == 0.0 < model.weights[2]
    rows = np.zeros((50, 3))
    rows[:, 2] = np.linspace(-40, 800, 50)
    assert bool((np.diff(model.logit(rows)) > 0).all()), "what lies beyond the members keeps its order"


def test_logarithms_keep_sign_and_order() -> None:
    np.testing.assert_allclose(logarithmic(np.array([-(np.e - 1), 0.0, np.e**3 - 1])), [-1.0, 0.0, 3.0])


def test_a_weighted_sum_survives_saving_and_leaves_no_trees_behind(tmp_path: Path) -> None:
    matrix, labels, groups = members()
    (tmp_path / "d.cbm").write_bytes(b"of an earlier fit")
    detector = fit_detector(NAMES, matrix, labels, groups, fitter=Anchored())
    record = json.loads(json.dumps(detector.save(tmp_path, "d")))
    loaded = load_detector(tmp_path, "d", record, matrix)
    assert loaded.backdoor == detector.backdoor and isinstance(loaded.backdoor, Linear)
    for row in matrix[:8]:
        assert loaded.assess(row) == detector.assess(row)
        total = sum(v for _, v in detector.contributions(row)) + loaded.backdoor.intercept
        assert total == pytest.approx(float(detector.logit(row[None])[0]))
    assert [p.name for p in tmp_path.iterdir()] == ["d-kind.cbm"]


def test_groups_are_never_split_between_folds() -> None:
    _, labels, groups = members()
    for train, test in folds(labels, groups, 0):
        assert not set(groups[train]) & set(groups[test])
        assert len(train) + len(test) == len(labels)


def test_thresholds_keep_their_promises_out_of_fold() -> None:
    rng = np.random.default_rng(1)
    trojaned = np.arange(400) % 2 == 0
    logits = rng.normal(size=400) + 1.5 * trojaned
    c = calibrate(logits, trojaned)
    p = c.probability(logits)
    assert np.mean(p[~trojaned] >= c.high) <= FALSE_ALARMS
    assert np.mean(p[trojaned] < c.low) <= MISSES
    assert c.low <= c.high


def test_few_members_make_for_wide_bounds() -> None:
    """One clean member in ten above the threshold is no 5 %, so none may be."""
    trojaned = np.array([False] * 10 + [True] * 10)
    logits = np.concatenate([np.linspace(-3, 0, 9), [2.5], np.linspace(1, 4, 10)])
    c = calibrate(logits, trojaned)
    assert c.high > c.probability(2.5)
    assert c.verdict(float(c.probability(1.5))) == "inconclusive"


def test_the_bound_of_false_alarms_moves_on_with_every_clean_member() -> None:
    """From the largest of 39 to the second largest of 79, by a fortieth of the way with each."""
    for count in (5, 39, 44, 79):
        logits = np.concatenate([np.zeros(count - 2), [1.0, 2.0], np.full(20, -3.0)])
        bound = log_odds(calibrate(logits, np.arange(len(logits)) >= count, scaled=False).high)
        assert float(bound) == pytest.approx(2.0 - max(0, count - 39) / 40, abs=1e-6)


@pytest.mark.parametrize(
    ("count", "place"), [(5, 1.0), (9, 1.0), (19, 2.0), (24, 2.5), (29, 3.0), (50, 3.0), (59, 3.0), (99, 5.0)]
)
def test_the_bound_of_misses_is_the_tenth_as_far_as_the_third_member_then_the_twentieth(
    count: int, place: float
) -> None:
    """Of count values at even distances the k-th smallest is the quantile of ``k / (count + 1)``."""
    trojaned = np.arange(200 + count) >= 200
    logits = np.concatenate([np.full(200, -9.0), 1 + np.arange(1, count + 1) / 10])
    c = calibrate(logits, trojaned, scaled=False)
    assert float(log_odds(c.high)) == pytest.approx(1 + place / 10, abs=1e-6)


def test_what_falls_into_a_gap_between_the_kinds_is_inconclusive() -> None:
    trojaned = np.array([False] * 10 + [True] * 10)
    logits = np.where(trojaned, 2.0, -2.0) + np.linspace(-0.5, 0.5, 20)
    c = calibrate(logits, trojaned)
    assert c.verdict(float(c.probability(0.0))) == "inconclusive"
    assert {c.verdict(float(c.probability(z))) for z in logits[:9]} == {"clean"}
    assert {c.verdict(float(c.probability(z))) for z in logits[11:]} == {"backdoored"}


@pytest.mark.parametrize("shift", [-8.0, 8.0])
def test_no_verdict_is_given_at_less_than_three_to_two(shift: float) -> None:
    trojaned = np.arange(80) >= 40
    c = calibrate(np.where(trojaned, 1.0, -1.0) + shift, trojaned, scaled=False)
    assert c.low <= 0.4 and c.high >= 0.6


def test_calibrated_probabilities_are_about_right() -> None:
    rng = np.random.default_rng(2)
    truth = rng.random(4000)
    trojaned = rng.random(4000) < truth
    p = calibrate(3 * log_odds(truth), trojaned).probability(3 * log_odds(truth))
    for low in (0.1, 0.4, 0.7):
        chosen = (p > low) & (p < low + 0.2)
        assert abs(trojaned[chosen].mean() - p[chosen].mean()) < 0.06


def test_the_probability_is_platts_formula() -> None:
    c = Calibration(2.0, -1.0, 0.0, 1.0)
    assert c.probability(np.array([0.5, 1.0])) == pytest.approx([0.5, 1 / (1 + np.exp(-1.0))])
    assert c.probability(0.0) == pytest.approx(1 / (1 + np.exp(1.0)))
    assert c.probability(-1e9) < 1e-20 and c.probability(1e9) == 1.0


def test_verdicts_at_the_thresholds() -> None:
    c = Calibration(1.0, 0.0, 0.3, 0.7)
    assert [c.verdict(p) for p in (0.0, 0.299, 0.3, 0.5, 0.699, 0.7, 1.0)] == [
        "clean",
        "clean",
        "inconclusive",
        "inconclusive",
        "inconclusive",
        "backdoored",
        "backdoored",
    ]


def test_backdoors_of_other_mappings_take_no_part_in_the_fit() -> None:
    """Members that are left out change neither the model nor the thresholds, but have log-odds of their own."""
    matrix, labels, groups = members()
    strange = np.full((6, matrix.shape[1]), -9.0)
    more = np.concatenate([matrix, strange])
    among = np.arange(len(more)) < len(matrix)
    both = np.concatenate([labels, ["blend"] * 6]), np.concatenate([groups, [f"other{i}" for i in range(6)]])
    alone = fit_detector(NAMES, matrix, labels, groups, fitter=Anchored())
    found = fit_detector(NAMES, more, *both, fitter=Anchored(), among=among)
    assert found.backdoor.logit(matrix) == pytest.approx(alone.backdoor.logit(matrix))
    assert found.calibration.high == pytest.approx(alone.calibration.high)
    assert len(found.oof) == len(more) and (found.oof[~among] < 0.5).all()


def test_thresholds_are_set_on_the_probability_of_any_backdoor() -> None:
    """Where clean members look like another backdoor, the threshold rises above them."""
    matrix, labels, groups = members()
    clean = np.flatnonzero(labels == "clean")

    def added(p: NDArray[np.floating]) -> NDArray[np.floating]:
        raised = np.asarray(p, dtype=float).copy()
        raised[clean] = np.linspace(0.5, 0.95, len(clean))
        return raised

    before = fit_detector(NAMES, matrix, labels, groups, fitter=Anchored()).calibration
    after = fit_detector(NAMES, matrix, labels, groups, fitter=Anchored(), added=added).calibration
    assert after.high > 0.9 > before.high and after.slope == before.slope


def test_a_kind_that_is_mostly_missed_does_not_lower_the_bound_of_clean() -> None:
    """Without it 20 unseen warps among 100 trojaned members would leave no clean member a verdict."""
    rng = np.random.default_rng(3)
    clean, patches = rng.normal(-3, 1, 80), rng.normal(4, 1, 80)
    unseen = rng.normal(-4, 0.5, 20)
    labels = np.array(["clean"] * 80 + ["patch"] * 80 + ["warp"] * 20)
    logits = np.concatenate([clean, patches, unseen])
    whole = bounds(logits, labels != "clean")
    low, high = bounds_by_kind(logits, labels)
    assert whole[0] < low <= high == whole[1]
    seen = bounds_by_kind(logits[:160], labels[:160])
    assert low == pytest.approx(min(seen[0], high)), "as if the unseen kind were not there"
    only = np.concatenate([clean, unseen])
    names = np.array(["clean"] * 80 + ["warp"] * 20)
    assert bounds_by_kind(only, names) == bounds(only, names != "clean"), "where none is seen, all count"


def test_a_rare_kind_does_not_make_for_few_folds() -> None:
    labels = np.array(["clean"] * 10 + ["patch"] * 10 + ["warp"] * 2)
    groups = np.array([f"g{i}" for i in range(22)])
    found = folds(labels, groups, 0)
    assert len(found) == FOLDS
    assert sorted(i for _, test in found for i in test) == list(range(22))
    for train, _ in found:
        assert set(labels[train] != "clean") == {True, False}
    few = np.array(["clean"] * 10 + ["patch"] * 3 + ["warp"] * 2)
    assert len(folds(few, groups[:15], 0)) == 2
