"""How far one class stands out among a network's own classes."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

NORMAL = 1.4826
"""Factor from the median absolute deviation to the standard deviation, for normally distributed values."""
LEAST = 1e-9


def anomaly_indices(values: ArrayLike) -> NDArray[np.float64]:
    """How many median absolute deviations (times 1.4826) each value lies above the median; ``K``.

    Infinite values count as the largest finite one. Where all are equal, the indices are 0.
    """
    x = np.asarray(values, dtype=np.float64)
    finite = x[np.isfinite(x)]
    x = np.nan_to_num(x, nan=0.0, posinf=finite.max(initial=0.0), neginf=finite.min(initial=0.0))
    away = x - np.median(x)
    return np.asarray(away / max(NORMAL * float(np.median(np.abs(away))), LEAST))
