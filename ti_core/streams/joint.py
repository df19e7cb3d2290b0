"""The streams together: a class that several streams suspect, or one of them strongly, is the most suspicious."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from ti_core.streams.base import Array, Features
from ti_core.streams.statistics import best_and_lead


def combined(scores: list[Array]) -> Array:
    """Class scores of several streams (each ``R x K``) as one: the length of what they find above the usual, 0 or more.

    The root of the sum of squares, in deviations like its parts. A plain sum lets two streams that see nothing drown
    the one that can see a trigger of its kind, and lets a clean network's easy class collect a little from each.
    """
    above = [np.maximum(own, 0.0) ** 2 for own in scores]
    return np.asarray(np.sqrt(np.sum(above, axis=0)), dtype=np.float32)


def joint_features(scores: dict[str, Array]) -> Features:
    """Few features, each the more suspicious the larger: the largest class, its lead, and what each stream gives to it.

    Parameters
    ----------
    scores : by stream name, class scores ``R x K``.
    """
    total = combined(list(scores.values()))
    largest, lead = best_and_lead(total)
    at = total.argmax(axis=1)[:, None]
    names = (
        "all streams: largest class, root of squares",
        "all streams: lead, root of squares",
        *(f"{name}: at that class" for name in scores),
    )
    columns = (largest, lead, *(np.take_along_axis(own, at, axis=1)[:, 0] for own in scores.values()))
    return Features(names, np.stack(columns, axis=1).astype(np.float32))


def suspected(scores: dict[str, Array]) -> NDArray[np.int_]:
    """The most suspicious class of each model, ``R``."""
    return np.asarray(combined(list(scores.values())).argmax(axis=1))
