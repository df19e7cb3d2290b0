"""Areas under the ROC curve and shares, each with its 95 % interval."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

Z95 = 1.959964


def auc(clean: NDArray[np.floating], trojaned: NDArray[np.floating]) -> float:
    """Area under the ROC curve: how often a trojaned model scores above a clean one, ties counting half."""
    above = (trojaned[:, None] > clean[None]).mean()
    return float(above + 0.5 * (trojaned[:, None] == clean[None]).mean())


def auc_interval(value: float, clean: int, trojaned: int) -> tuple[float, float]:
    """95 % interval of an AUC, sensible also at 1 (R. Newcombe, Statistics in Medicine 2006, method 5)."""
    half = (clean + trojaned) / 2

    def distance(theta: float) -> float:
        spread = theta * (1 - theta) * (1 + (half - 1) * ((1 - theta) / (2 - theta) + theta / (1 + theta)))
        return abs(theta - value) - Z95 * float(np.sqrt(max(spread, 0.0) / (clean * trojaned)))

    return _crossing(distance, value, 0.0), _crossing(distance, value, 1.0)


def _crossing(distance: Callable[[float], float], inside: float, outside: float) -> float:
    """Where ``distance`` turns positive between ``inside`` and ``outside``, by bisection."""
    if distance(outside) <= 0:
        return outside
    for _ in range(60):
        middle = (inside + outside) / 2
        inside, outside = (middle, outside) if distance(middle) <= 0 else (inside, middle)
    return outside


def share_interval(share: float, count: int) -> tuple[float, float]:
    """95 % interval of a share of ``count`` cases (E. Wilson, JASA 1927)."""
    middle = (share + Z95**2 / (2 * count)) / (1 + Z95**2 / count)
    half = Z95 * np.sqrt(share * (1 - share) / count + Z95**2 / (4 * count**2)) / (1 + Z95**2 / count)
    return float(max(0.0, middle - half)), float(min(1.0, middle + half))
