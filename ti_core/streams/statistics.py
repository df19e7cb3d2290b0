"""Comparing a model's table of numbers with the clean reference models', independent of each network's scale."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
import torch
from numpy.typing import NDArray

from ti_core.streams.base import Array, Evidence, Features


def scale_free(tables: Array) -> Array:
    """Each model's numbers ``R x ...``, centred on its own median, in units of its own interquartile range.

    Networks differ in the size of their scores. After this only the pattern within a network is left.
    """
    flat = tables.reshape(len(tables), -1)
    low, middle, high = np.quantile(flat, (0.25, 0.5, 0.75), axis=1)
    spread = np.where(high - low > 1e-9, high - low, 1.0)
    shape = (-1,) + (1,) * (tables.ndim - 1)
    return np.asarray((tables - middle.reshape(shape)) / spread.reshape(shape), dtype=np.float32)


def in_usual_margins(stack: Evidence) -> Array:
    """The ``margins``, ``R x K``, in units of each network's usual margin on clean images, ``scale`` (``R x 1``)."""
    return np.asarray(stack["margins"] / np.maximum(stack["scale"], 1e-6), dtype=np.float32)


def deviations(
    own: Array,
    clean: Array,
    among_clean: NDArray[np.bool_] | None = None,
    floor: float = 0.1,
    pooled: bool = False,
    least: float = 0.0,
) -> Array:
    """How many standard deviations of the clean models every entry of ``own`` (``R x ...``) lies above their mean.

    Parameters
    ----------
    clean : the clean reference models' tables, ``M x ...``.
    among_clean : marks the rows of ``own`` that are the clean models themselves, in the same order. Each is compared
        with the other clean models only (leave-one-out).
    floor : added to the standard deviations, so that an entry that hardly varies among few models decides nothing.
    pooled : use one standard deviation for all entries, the root mean square of theirs. With few clean models the
        largest of many deviations is often one whose own standard deviation is small by chance.
    least : minimum variance of an entry, as a share of the mean variance.
    """
    mean, variance = clean.mean(0), clean.var(0)
    out = (own - mean) / _unit(variance[None], floor, pooled, least)
    if among_clean is not None and among_clean.any() and len(clean) > 1:
        n = len(clean)
        rest = (n * mean - clean) / (n - 1)
        square = (n * (variance + mean**2) - clean**2) / (n - 1)
        out[among_clean] = (clean - rest) / _unit(np.maximum(square - rest**2, 0.0), floor, pooled, least)
    return np.asarray(out, dtype=np.float32)


def _unit(variance: Array, floor: float, pooled: bool, least: float) -> Array:
    """The unit of the deviations, for variances ``R x ...``."""
    if not variance.size:
        return variance
    mean = variance.mean(axis=tuple(range(1, variance.ndim)), keepdims=True)
    return np.asarray(np.sqrt(mean if pooled else np.maximum(variance, least * mean)) + floor)


LEAST = 0.5
"""Minimum variance of a class, as a share of the classes' mean variance. In a class where a few dozen clean models
happen to agree, every model would stand out."""

CAP = 20.0
"""Maximum deviation, so that no stream outweighs the others by the size of its number alone."""


def capped(z: Array) -> Array:
    """Deviations kept within :data:`CAP`, for a sum over streams."""
    return np.clip(z, -CAP, CAP)


def mean_deviations(
    forms: Iterable[tuple[Array, Array]], among_clean: NDArray[np.bool_] | None, least: float
) -> Array:
    """The mean over several tables of their scale-free, capped deviations.

    Parameters
    ----------
    forms : pairs of tables, the models' own ``R x ...`` and the clean reference models' ``M x ...``.
    among_clean, least : see :func:`deviations`.
    """
    z = [
        capped(deviations(scale_free(own), scale_free(clean), among_clean, least=least))
        for own, clean in forms
    ]
    return np.asarray(np.mean(z, axis=0), dtype=np.float32)


def best_and_lead(values: Array) -> tuple[Array, Array]:
    """The largest of each row (``R x K``), and its lead over the second largest (0 where K is 1)."""
    ordered = np.sort(values, axis=1)
    lead = ordered[:, -1] - ordered[:, -2] if values.shape[1] > 1 else np.zeros(len(values), dtype=np.float32)
    return ordered[:, -1], lead


def outlier_features(stream: str, within: Array, beyond: Array) -> Features:
    """Four features of R models: the largest class and its lead, within the network and beyond clean models.

    Parameters
    ----------
    stream : begins the names.
    within, beyond : ``R x K``, how far each class stands out among the network's own, and above clean models.
    """
    names = ("outlier", "lead", "deviations", "lead in deviations")
    columns = (*best_and_lead(within), *best_and_lead(beyond))
    return Features(tuple(f"{stream}: {n}" for n in names), np.stack(columns, 1).astype(np.float32))


def per_class(own: Array, clean: Array) -> dict[str, list[float]]:
    """The suspect's value of each class, and the clean models' 5 %, 50 % and 95 % quantiles of it, for a chart."""
    low, middle, high = np.quantile(clean, (0.05, 0.5, 0.95), axis=0)
    return {"values": own.tolist(), "low": low.tolist(), "middle": middle.tolist(), "high": high.tolist()}


def mean_margins(margins: torch.Tensor) -> torch.Tensor:
    """Mean of the finite margins over the last axis.

    Parameters
    ----------
    margins : ``K x ... x n``, one row a class. An entry without a finite margin gets the median of the other classes,
        which is neither suspicious nor the opposite. Without one there either, it gets the median of the whole
        table, or 0.
    """
    finite = margins.isfinite()
    if bool(finite.all()):
        return margins.mean(-1)
    found = torch.where(finite, margins, torch.nan).nanmean(-1)
    usual = found.nanmedian(0, keepdim=True).values.expand_as(found)
    usual = torch.where(usual.isfinite(), usual, found.nanmedian())
    return torch.nan_to_num(torch.where(found.isfinite(), found, usual), 0.0, 0.0, 0.0)


def as_array(values: torch.Tensor) -> Array:
    """A tensor on any device as a float32 array."""
    return np.asarray(values.detach().cpu().numpy(), dtype=np.float32)


PRIOR = 4.0
"""Clean models that the mean over all classes counts as, beside those in which a class was searched."""


def beyond_searched(
    own: Array,
    clean: Array,
    clean_searched: Array,
    among_clean: NDArray[np.bool_] | None = None,
    floor: float = 0.1,
) -> Array:
    """Deviations from clean models, ``R x K x E``, where in each model only a few classes were searched.

    A class's mean over the clean models in which it was searched is drawn towards the mean over all classes, as if
    :data:`PRIOR` more models had that. All classes have one standard deviation.

    Parameters
    ----------
    own, clean : ``R x K x E`` and ``M x K x E``.
    clean_searched : 1 where a class of a clean model was searched, ``M x K``.
    among_clean : as for :func:`deviations`.
    floor : added to the standard deviation.
    """
    count = (clean_searched > 0).astype(np.float64)
    values = clean * count[..., None]
    sums = np.stack((values, values * clean)).astype(np.float64)
    rest, others = (
        np.repeat(sums.sum(1)[:, None], len(own), axis=1),
        np.repeat(count.sum(0)[None], len(own), axis=0),
    )
    if among_clean is not None and among_clean.any():
        rest[:, among_clean] -= sums
        others[among_clean] -= count
    number = np.maximum(others.sum(1), 1.0)[:, None]
    mean, square = rest.sum(2) / number
    unit = np.sqrt(np.maximum(square - mean**2, 0.0)) + floor
    middle = (rest[0] + PRIOR * mean[:, None]) / (others + PRIOR)[..., None]
    return np.asarray((own - middle) / unit[:, None], dtype=np.float32)
