"""The joint score: the streams' class scores combined, and the features of the joint meta-model."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from ti_core.streams.base import Array, Features
from ti_core.streams.statistics import best_and_lead

STRENGTH = "all streams: most suspicious class and its lead"
"""Name of the feature that the meta-model mainly uses."""
EASE = "accuracy: fewer mistakes than the reference models"
"""Name of the feature that says how well the network is trained."""
LEAST_ERROR = 0.005
"""Minimum error rate. A few hundred images do not tell smaller ones apart."""


def combined(scores: list[Array]) -> Array:
    """Class scores of several streams (each ``R x K``) as one: root of the sum of squares of their positive parts.

    It is in deviations like its parts. In a plain sum, two streams that see nothing would outweigh the one that sees
    the trigger, and a clean network's easy class would gather a little from each stream.
    """
    above = [np.maximum(own, 0.0) ** 2 for own in scores]
    return np.asarray(np.sqrt(np.sum(above, axis=0)), dtype=np.float32)


def fewer_mistakes(accuracy: Sequence[float], among: Sequence[float]) -> Array:
    """Mistakes compared with the median reference model, ``R``: 0 for as many, 1 for half, -1 for twice as many.

    Parameters
    ----------
    accuracy : clean accuracies of the models, ``R`` in [0, 1].
    among : clean accuracies of the reference models.
    """
    error = np.maximum(1 - np.asarray(accuracy), LEAST_ERROR)
    usual = max(1 - float(np.median(among)), LEAST_ERROR)
    return np.asarray(np.where(error < usual, usual / error - 1, 1 - error / usual), dtype=np.float32)


def joint_features(scores: dict[str, Array], ease: Array) -> Features:
    """The features of the joint meta-model. A larger value is more suspicious.

    The first is the mean of the largest joint class score and its lead over the second class. In a clean network unlike
    the reference models many classes seem unusual, but a backdoor has one target. The second is how few mistakes the
    model makes: in a weakly trained network some class gives way without a trigger. The others are the streams' scores
    of the most suspicious class.

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
