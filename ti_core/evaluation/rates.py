"""Areas under the ROC curve and cross-entropies, each with its 95 % interval.

scikit-learn and scipy are imported inside the functions, because their import takes about a second.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

Z95 = 1.959963984540054
"""Two-sided 95 % quantile of the standard normal distribution."""
CERTAIN = 1e-12
"""Distance from 0 and 1 that a probability keeps in a logarithm."""
INSIDE = 1e-12
"""Distance from the AUC at which the search for an end begins, as a share of the searched range."""


def auc(clean: NDArray[np.floating], trojaned: NDArray[np.floating]) -> float:
    """Area under the ROC curve: the probability that a trojaned model scores above a clean one. Ties count half."""
    from sklearn.metrics import roc_auc_score

    truth = np.repeat([False, True], [len(clean), len(trojaned)])
    return float(roc_auc_score(truth, np.concatenate([clean, trojaned])))


def auc_interval(value: float, clean: int, trojaned: int) -> tuple[float, float]:
    """95 % interval of an AUC (R. Newcombe, Statistics in Medicine 2006, method 5). It has a width at 0 and 1, too.

    The ends are the areas ``theta`` at a distance of ``Z95`` standard errors at ``theta`` from ``value``.

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
        """The distance of ``theta`` from the AUC minus ``Z95`` standard errors."""
        spread = theta * (1 - theta) * (1 + (half - 1) * ((1 - theta) / (2 - theta) + theta / (1 + theta)))
        return abs(theta - value) - Z95 * math.sqrt(max(spread, 0.0) / (clean * trojaned))

    if value == bound:
        return bound
    # At an AUC of 0 or 1 the standard error is 0, so the AUC itself is a root. The search must not begin there.
    return float(brentq(beyond, value + INSIDE * (bound - value), bound, xtol=1e-15))


def cross_entropy(clean: NDArray[np.floating], trojaned: NDArray[np.floating]) -> tuple[float, float, float]:
    """Mean binary cross-entropy of probabilities of a backdoor, in nats, and its 95 % interval.

    A network costs -ln p if it is backdoored and -ln(1 - p) if it is clean, so that "one half" costs ln 2. The interval
    is the mean and :data:`Z95` standard errors to either side. It says little of fewer than about 30 networks.
    """
    p = np.clip(np.concatenate([1 - clean, trojaned]).astype(np.float64), CERTAIN, 1.0)
    losses = -np.log(p)
    mean = float(losses.mean())
    half = Z95 * float(losses.std()) / math.sqrt(len(losses))
    return mean, max(0.0, mean - half), mean + half
