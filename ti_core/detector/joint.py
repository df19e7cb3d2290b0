"""The streams together: a class that several streams suspect, or one of them strongly, is the most suspicious."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from ti_core.streams.base import Array, Features
from ti_core.streams.statistics import best_and_lead

STRENGTH = "all streams: most suspicious class and its lead"
"""The feature that the meta-model goes by."""
EASE = "accuracy: fewer mistakes than the reference models"
"""The feature that tells what of that to expect of a network that has learnt as much."""
LEAST_ERROR = 0.005
"""Fewer mistakes than this are not told apart: a few hundred images do not show them."""


def combined(scores: list[Array]) -> Array:
    """Class scores of several streams (each ``R x K``) as one: the length of what they find above the usual, 0 or more.

    The root of the sum of squares, in deviations like its parts. A plain sum lets two streams that see nothing drown
    the one that can see a trigger of its kind, and lets a clean network's easy class collect a little from each.
    """
    above = [np.maximum(own, 0.0) ** 2 for own in scores]
    return np.asarray(np.sqrt(np.sum(above, axis=0)), dtype=np.float32)


def fewer_mistakes(accuracy: Sequence[float], among: Sequence[float]) -> Array:
    """How many times fewer mistakes than usual, ``R``: 0 for as many, 1 for half as many, -1 for twice as many.

    Parameters
    ----------
    accuracy : clean accuracies of the models, ``R`` in [0, 1].
    among : those of the reference models, whose median error is the usual one.
    """
    error = np.maximum(1 - np.asarray(accuracy), LEAST_ERROR)
    usual = max(1 - float(np.median(among)), LEAST_ERROR)
    return np.asarray(np.where(error < usual, usual / error - 1, 1 - error / usual), dtype=np.float32)


def joint_features(scores: dict[str, Array], ease: Array) -> Features:
    """Few features, each the more suspicious the larger: two of the model, and what each stream gives to its class.

    The first is the mean of the largest class and its lead over the second. In a clean network that resembles none of
    the reference models many classes seem unusual; a backdoor has one target. The second is how few mistakes the model
    makes: in a network that has learnt little some class gives way as it would to a trigger.

    Parameters
    ----------
    scores : by stream name, class scores ``R x K``.
    ease : ``R``, from :func:`fewer_mistakes`.
    """
    total = combined(list(scores.values()))
    largest, lead = best_and_lead(total)
    at = total.argmax(axis=1)[:, None]
    names = (STRENGTH, EASE, *(f"{name}: at that class" for name in scores))
    given = (np.take_along_axis(own, at, axis=1)[:, 0] for own in scores.values())
    strength = np.asarray((largest + lead) / 2)
    return Features(names, np.stack([strength, ease, *given], axis=1).astype(np.float32))


def suspected(scores: dict[str, Array]) -> NDArray[np.int_]:
    """The most suspicious class of each model, ``R``."""
    return np.asarray(combined(list(scores.values())).argmax(axis=1))
