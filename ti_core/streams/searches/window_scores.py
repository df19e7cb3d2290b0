"""Scores of a class from its windows: how far small patches move images to it, beyond clean models."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from ti_core.streams.base import Array, Evidence
from ti_core.streams.statistics import deviations, scale_free

WEIGHT = 0.8
"""Weight of the windowed score in the joint score. Chosen by ``evaluate --shift`` on fitted members."""

FLAT = 0.5
"""Weight of flat patches beside patterns, which find most triggers. Chosen by ``evaluate --shift`` likewise."""


def command(stack: Evidence, clean: Evidence, among_clean: NDArray[np.bool_] | None = None) -> Array:
    """How far small patches move images to each class beyond clean models, ``R x K``, 0 or more, in deviations.

    The score is :data:`WEIGHT` times the root of the sum of two squares: what windows about one place find
    (:func:`places`, :func:`about_one_place`), and how far the class stands out in its median window. A network that
    pools over places obeys its trigger anywhere, so its target is raised in every window. A clean network's easy class
    is raised too, but less.

    Parameters
    ----------
    stack, clean, among_clean : evidence of the models and of the clean reference models; see :func:`deviations`.
    """
    views = _views(stack, clean)
    middles = [(np.median(own, axis=2), np.median(others, axis=2)) for own, others in views]
    anywhere = _mean_square([deviations(*pair, among_clean, pooled=True) for pair in middles])
    somewhere = about_one_place(_at_places(views, among_clean))
    return np.asarray(WEIGHT * np.sqrt(somewhere**2 + anywhere), dtype=np.float32)


def places(stack: Evidence, clean: Evidence, among_clean: NDArray[np.bool_] | None = None) -> Array:
    """How far a patch at each place moves images to each class beyond clean models, ``R x K x windows``, 0 or more.

    It is the root mean square of two views in deviations, each minus the class's value in its median window. Margins
    say how far images are moved. The log-odds of the flip share say how many are moved, on the same scale for every
    network.

    Parameters
    ----------
    stack, clean, among_clean : as for :func:`command`.
    """
    return _at_places(_views(stack, clean), among_clean)


_Views = list[tuple[Array, Array]]
"""The models' and the clean models' margins, and their log-odds: ``R x K x windows`` and ``M x K x windows`` each."""


def _views(stack: Evidence, clean: Evidence) -> _Views:
    return [
        (scale_free(stack["margins"]), scale_free(clean["margins"])),
        (flip_odds(stack["success"]), flip_odds(clean["success"])),
    ]


def _at_places(views: _Views, among_clean: NDArray[np.bool_] | None) -> Array:
    found = [deviations(own, others, among_clean, pooled=True) for own, others in views]
    own = _mean_square([z - np.median(z, axis=2, keepdims=True) for z in found])
    return np.asarray(np.sqrt(own), dtype=np.float32)


def _mean_square(found: list[Array]) -> Array:
    """Mean square of the positive parts."""
    return np.asarray(np.mean([np.maximum(z, 0.0) ** 2 for z in found], axis=0))


def about_one_place(found: Array) -> Array:
    """For each class, the largest root of the sum of squares over four neighbouring windows, ``R x K``.

    A patch seldom lies in one window. The windows that overlap it hold parts of it, and each part works. Noise in one
    window is independent of the next.

    Parameters
    ----------
    found : scores of every window, ``R x K x windows``, 0 or more, row by row of a square grid. If their number is no
        square, windows that follow each other are neighbours.
    """
    side = math.isqrt(found.shape[2])
    rows = side if side * side == found.shape[2] else 1
    square = np.pad(found.reshape(*found.shape[:2], rows, -1) ** 2, ((0, 0), (0, 0), (0, 1), (0, 1)))
    beside = square[..., :-1] + square[..., 1:]
    four = beside[:, :, :-1] + beside[:, :, 1:]
    return np.asarray(np.sqrt(four.max(axis=(2, 3))), dtype=np.float32)


def of_flat_patches(stack: Evidence) -> Evidence:
    """The evidence of flat patches, named as that of patterns is."""
    return {"margins": stack["flat_margins"], "success": stack["flat_success"]}


def flip_odds(shares: Array) -> Array:
    """Log-odds of flip shares ``R x K x windows``, minus the network's median."""
    found = odds(shares)
    return np.asarray(found - np.median(found, axis=(1, 2), keepdims=True), dtype=np.float32)


def odds(shares: Array) -> Array:
    """Log-odds of shares, of the same shape. Those of 0 and 1 stay finite."""
    return np.asarray(np.log((shares + 0.02) / (1.02 - shares)), dtype=np.float32)
