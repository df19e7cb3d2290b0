"""Areas under the ROC curve and shares, each with its 95 % interval.

scikit-learn and scipy are imported when they are needed, since they take about a second.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

Z95 = 1.959963984540054
"""Two-sided 95 % quantile of the standard normal distribution."""
INSIDE = 1e-12
"""Distance from the AUC, as a share of the bracket, at which the search for an end of the interval begins."""


def auc(clean: NDArray[np.floating], trojaned: NDArray[np.floating]) -> float:
    """Area under the ROC curve: how often a trojaned model scores above a clean one, ties counting half."""
    from sklearn.metrics import roc_auc_score

    truth = np.repeat([False, True], [len(clean), len(trojaned)])
    return float(roc_auc_score(truth, np.concatenate([clean, trojaned])))


def auc_interval(value: float, clean: int, trojaned: int) -> tuple[float, float]:
    """95 % interval of an AUC, sensible also at 1 (R. Newcombe, Statistics in Medicine 2006, method 5).

    Its ends are the areas ``theta`` whose distance to ``value`` is ``Z95`` standard errors at ``theta``.

    Parameters
    ----------
    value : the AUC.
    clean, trojaned : numbers of models.
    """
    return _end(value, 0.0, clean, trojaned), _end(value, 1.0, clean, trojaned)


def _end(value: float, bound: float, clean: int, trojaned: int) -> float:
    """The end of the interval between ``value`` and ``bound``, which is 0 or 1."""
    from scipy.optimize import brentq

    half = (clean + trojaned) / 2

    def beyond(theta: float) -> float:
        """Distance of ``theta`` to the AUC, less ``Z95`` standard errors."""
        spread = theta * (1 - theta) * (1 + (half - 1) * ((1 - theta) / (2 - theta) + theta / (1 + theta)))
        return abs(theta - value) - Z95 * math.sqrt(max(spread, 0.0) / (clean * trojaned))

    if value == bound:
        return bound
    # At an AUC of 0 or 1 the standard error is 0, so that the AUC itself is a root, too.
    return float(brentq(beyond, value + INSIDE * (bound - value), bound, xtol=1e-15))


def share_interval(share: float, count: int) -> tuple[float, float]:
    """95 % interval of a share of ``count`` cases (E. Wilson, JASA 1927)."""
    from scipy.stats import binomtest

    found = binomtest(round(share * count), count).proportion_ci(method="wilson")
    return float(found.low), float(found.high)
