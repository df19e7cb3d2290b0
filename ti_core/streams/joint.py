"""The streams together: a class that several streams suspect counts more than several classes that one suspects."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from ti_core.streams.base import Array, Features
from ti_core.streams.statistics import best_and_lead


def summed(scores: list[Array]) -> Array:
    """Class scores of several streams (each ``R x K``) added up."""
    return np.asarray(np.sum(scores, axis=0), dtype=np.float32)


def joint_features(scores: dict[str, Array]) -> Features:
    """Few features, each the more suspicious the larger: the largest sum, its lead, and what each stream gives to it.

    Parameters
    ----------
    scores : by stream name, class scores ``R x K``.
    """
    total = summed(list(scores.values()))
    largest, lead = best_and_lead(total)
    at = total.argmax(axis=1)[:, None]
    names = (
        "all streams: largest class",
        "all streams: lead",
        *(f"{name}: at that class" for name in scores),
    )
    columns = (largest, lead, *(np.take_along_axis(own, at, axis=1)[:, 0] for own in scores.values()))
    return Features(names, np.stack(columns, axis=1).astype(np.float32))


def suspected(scores: dict[str, Array]) -> NDArray[np.int_]:
    """The most suspicious class of each model, ``R``."""
    return np.asarray(summed(list(scores.values())).argmax(axis=1))
