"""From log-odds to a verdict: Platt scaling, and the two thresholds on the probability of a backdoor."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit, logit

from ti_core.detector.metamodels import Floats
from ti_core.kinds import ENOUGH

FALSE_ALARMS = 0.025
"""Maximum false positive rate on the clean members. At .05, 2 more of the 118 clean fitted members of mnist are
called backdoored, and 4 more of 168 backdoors that lead all images to one class are found."""
MISSES = 0.05
"""Maximum share of the trojaned members that may be called clean."""
FEW_MISSES, FEW = 0.1, 3
"""With few trojaned members the share may be as large as the first number, up to the third member. Otherwise one
network that no stream sees would leave hardly any clean model a verdict."""
LEAST_SURE = 0.6
"""Minimum probability of a verdict: odds of three to two. A stranger's network resembles the members less than they do
each other. ``benchmarks.strangers`` showed clean networks called backdoored at little more than even odds."""


@dataclass(frozen=True)
class Calibration:
    """``P(backdoor) = sigmoid(slope * logit + intercept)`` (J. Platt, 1999), and the two thresholds on it."""

    slope: float
    intercept: float
    low: float
    high: float

    def probability(self, logit: Floats | float) -> Floats:
        return np.asarray(expit(self.slope * np.asarray(logit, dtype=np.float64) + self.intercept))

    def verdict(self, probability: float) -> str:
        """ "clean" below ``low``, "backdoored" from ``high`` on, "inconclusive" between."""
        return (
            "backdoored"
            if probability >= self.high
            else "clean"
            if probability < self.low
            else "inconclusive"
        )


def calibrate(logits: Floats, trojaned: NDArray[np.bool_], scaled: bool = True) -> Calibration:
    """Platt scaling, unless the log-odds are to stay as they are, and the two thresholds, from members' log-odds."""
    slope, intercept = 1.0, 0.0
    if scaled:
        from sklearn.linear_model import LogisticRegression

        fitted = LogisticRegression(C=1.0, class_weight="balanced").fit(logits[:, None], trojaned)
        slope, intercept = max(float(fitted.coef_[0, 0]), 1e-6), float(fitted.intercept_[0])
    return Calibration(slope, intercept, *bounds(logits, trojaned, slope, intercept))


def bounds(
    logits: Floats, trojaned: NDArray[np.bool_], slope: float = 1.0, intercept: float = 0.0
) -> tuple[float, float]:
    """The lower and the upper threshold on the probability, from members' log-odds and their scaling.

    One bound is the quantile that :data:`FALSE_ALARMS` of the clean members lie above, the other the one that
    :data:`MISSES` of the trojaned ones lie below; whichever is higher is the upper threshold. Where the two kinds
    overlap, what lies between is doubtful; where there is a gap between them, so is what falls into it.
    Shares are counted with one member more on the wrong side, as in conformal prediction, so that few members make
    for wide bounds (V. Vovk et al., 2005): of n the k-th largest is the quantile of ``k / (n + 1)``, with straight
    lines between and nothing beyond the largest (R. Hyndman and Y. Fan, 1996, type 6). With fewer than 60 trojaned
    members up to :data:`FEW_MISSES` may lie below. Nothing is called so at less than :data:`LEAST_SURE`.
    """
    clean, bad = logits[~trojaned], logits[trojaned]
    missed = max(MISSES, min(FEW_MISSES, FEW / (len(bad) + 1)))
    both = [
        np.quantile(own, share, method="weibull") for own, share in ((clean, 1 - FALSE_ALARMS), (bad, missed))
    ]
    alarms, misses = map(float, Calibration(slope, intercept, 0.0, 1.0).probability(np.array(both)))
    low, high = sorted((float(np.nextafter(alarms, 1.0)), misses))
    return min(low, 1 - LEAST_SURE), max(high, LEAST_SURE)


def bounds_by_kind(logits: Floats, labels: NDArray[np.str_]) -> tuple[float, float]:
    """The two thresholds of :func:`bounds`; a kind of trigger that is mostly missed does not lower the lower one.

    Such a kind is one that less than :data:`ENOUGH` of the members reach the upper threshold with. A verdict of "clean"
    says of it that the search is weak. Otherwise a kind that no stream sees would leave few clean models a verdict.

    Parameters
    ----------
    logits, labels : log-odds of the members and their labels, "clean" or the kind of trigger, ``R``.
    """
    low, high = bounds(logits, labels != "clean")
    probability = expit(logits)
    kinds = set(labels) - {"clean"}
    seen = [kind for kind in kinds if (probability[labels == kind] >= high).mean() >= ENOUGH]
    if seen:
        counted = np.isin(labels, ["clean", *seen])
        low = max(low, min(high, bounds(logits[counted], labels[counted] != "clean")[0]))
    return low, high


def log_odds(p: Floats | float) -> Floats:
    """``log(p / (1 - p))``, held finite."""
    return np.asarray(logit(np.clip(np.asarray(p, dtype=np.float64), 1e-9, 1 - 1e-9)))
