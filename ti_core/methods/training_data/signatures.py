"""Spectral Signatures: B. Tran, J. Li, A. Madry, "Spectral signatures in backdoor attacks", 2018."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

MARGIN = 1.5
"""How many more images are removed than may be poisoned, as published."""


def outlier_scores(activations: NDArray[np.float32], seed: int = 0) -> NDArray[np.float64]:
    """The spectral score of each image of one class: ``((r_i - mean) . v)^2``, ``n``.

    Parameters
    ----------
    activations : ``n x D``. The vector v is the top right singular vector of the centred activations.
    """
    from sklearn.utils.extmath import randomized_svd

    centred = activations.astype(np.float64) - activations.mean(axis=0, dtype=np.float64)
    if not np.any(centred):
        return np.zeros(len(centred))
    _, _, right = randomized_svd(centred, 1, random_state=seed)
    return np.asarray((centred @ right[0]) ** 2)


def removed(scores: NDArray[np.float64], rate: float) -> NDArray[np.bool_]:
    """Which images the method removes: those with the largest scores, 1.5 times as many as ``rate`` of the class."""
    count = min(len(scores), int(np.ceil(round(MARGIN * rate * len(scores), 6))))
    found = np.zeros(len(scores), dtype=bool)
    found[np.argsort(-scores, kind="stable")[:count]] = True
    return found
