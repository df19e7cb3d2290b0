from __future__ import annotations

import numpy as np
import pytest
from sklearn.metrics import brier_score_loss, roc_curve

from ti_core.evaluation import share_interval
from ti_core.evaluation.curves import calibration_bins, curves, roc
from ti_core.reference.pack import Member, Pack
from ti_core.settings import Settings


def test_the_roc_curve_agrees_with_scikit_learn() -> None:
    rng = np.random.default_rng(0)
    clean, bad = rng.integers(0, 9, 40) / 10, rng.integers(2, 11, 30) / 10
    found = roc("blend", clean, bad)
    alarms, hits, thresholds = roc_curve(
        np.r_[np.zeros(40), np.ones(30)], np.r_[clean, bad], drop_intermediate=False
    )
    np.testing.assert_allclose(found.false_alarms, alarms)
    np.testing.assert_allclose(found.found, hits)
    np.testing.assert_allclose(found.threshold, thresholds)
    assert found.threshold[0] == np.inf and set(found.threshold[1:]) == {*clean, *bad}
    np.testing.assert_allclose(found.false_alarms, [(clean >= t).mean() for t in found.threshold])
    np.testing.assert_allclose(found.found, [(bad >= t).mean() for t in found.threshold])
    assert found.auc == pytest.approx(np.trapezoid(found.found, found.false_alarms))


def test_calibration_bins_hold_every_member_once() -> None:
    rng = np.random.default_rng(1)
    p = rng.uniform(size=50)
    truth = rng.uniform(size=50) < p
    bins = calibration_bins(p, truth, 6)
    assert bins.count.sum() == 50 and set(bins.count.tolist()) <= {8, 9}
    assert np.average(bins.predicted, weights=bins.count) == pytest.approx(p.mean())
    assert np.average(bins.observed, weights=bins.count) == pytest.approx(truth.mean())
    assert (np.diff(bins.predicted) > 0).all()
    assert ((bins.low <= bins.observed) & (bins.observed <= bins.high)).all()
    assert bins.brier == pytest.approx(brier_score_loss(truth, p))
    assert bins.brier == pytest.approx(np.mean((p - truth) ** 2))


def test_the_interval_of_a_share_is_wilsons() -> None:
    """The example of the textbooks: none in ten leaves up to 28 %."""
    low, high = share_interval(0.0, 10)
    assert low == 0 and high == pytest.approx(0.2775, abs=1e-4)
    assert share_interval(0.5, 100) == pytest.approx((0.4038, 0.5962), abs=1e-4)


def test_curves_come_from_the_baseline_and_agree_with_the_table(
    tiny_pack: Pack, monkeypatch: pytest.MonkeyPatch
) -> None:
    def never(self: Pack, member: Member) -> None:
        raise AssertionError("a model was run")

    monkeypatch.setattr(Pack, "scores", never)
    found = curves(tiny_pack)
    held_out = [m for m in tiny_pack.members if m.held_out]
    assert set(found) == {"saliency", "joint"}
    for which, own in found.items():
        assert own.ids == tuple(m.id for m in held_out) and len(own.probability) == len(held_out)
        assert own.lower <= own.upper
        for curve in own.roc:
            assert curve.auc == tiny_pack.performance(which)[curve.kind]["auc"]
    assert all(t is None for t in found["saliency"].target)
    assert all(t is not None for t in found["joint"].target)


def test_other_settings_than_the_packs_give_other_curves(tiny_pack: Pack, tiny_settings: Settings) -> None:
    own = curves(tiny_pack, tiny_settings.with_(streams=("saliency",), bins=20))
    assert set(own) == {"saliency"}
