"""Histograms of upper quantiles: Algorithm 1, lines 12 to 16, and the other form of sec. 5.1 of the paper."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float32]

TAIL_SIZE = 512
"""Number of ranks at which an upper tail is read from a kept quantile function."""

LEVELS: NDArray[np.float64] = np.concatenate(
    [np.linspace(0.0, 0.5, 64, endpoint=False), 1.0 - np.geomspace(0.5, 2e-5, 192)]
)
"""Ranks at which the quantile function of pooled saliency is kept, dense towards the top that Algorithm 1 uses."""

IMAGE_LEVELS: NDArray[np.float64] = np.array(
    [0.0, 0.25, 0.5, 0.75, 0.9, 0.95, 0.97, 0.98, 0.99, 0.995, 0.999, 1.0]
)
"""Ranks at which the quantile function of each single image is kept."""

FLOOR = 1e-8
"""Minimum saliency, since the histograms' boundaries are spaced logarithmically."""


def boundaries(low: float, high: float, bins: int) -> NDArray[np.float64]:
    """Fixed boundaries B: ``bins + 1`` of them, evenly spaced in the logarithm from ``low`` to ``high``."""
    return np.asarray(np.geomspace(max(low, FLOOR), max(high, low * 1.01, FLOOR * 1.01), bins + 1))


def histogram(values: NDArray[np.floating], edges: NDArray[np.float64]) -> Array:
    """Shares of the values in each bin, ``... x n`` to ``... x bins``: the last axis is counted, and sums to 1.

    Values beyond the boundaries count in the outermost bins. A bin includes its lower boundary, the last bin also its
    upper.
    """
    values = np.asarray(values)
    rows, bins = values.reshape(-1, values.shape[-1]), len(edges) - 1
    places = (np.searchsorted(edges, rows, side="right") - 1).clip(0, bins - 1)
    places += bins * np.arange(len(rows))[:, None]
    counts = np.bincount(places.ravel(), minlength=bins * len(rows)).reshape(*values.shape[:-1], bins)
    return np.asarray(counts / max(1, values.shape[-1]), dtype=np.float32)


def quantile_histograms(
    values: NDArray[np.floating], quantiles: tuple[float, ...], edges: NDArray[np.float64]
) -> Array:
    """Algorithm 1, lines 12 to 16: for each p, the histogram of the values >= q_p. ``P x bins``, each row sums to 1.

    ``values`` are the pooled saliency values of all probes, of any shape.
    """
    pooled = np.asarray(values).ravel()
    return np.stack([histogram(pooled[pooled >= np.quantile(pooled, p)], edges) for p in quantiles])


def image_histograms(
    maps: NDArray[np.floating], quantiles: tuple[float, ...], edges: NDArray[np.float64]
) -> Array:
    """Sec. 5.1: per image the largest value and these quantiles, one histogram over the images for each.

    ``maps`` is ``M x H x W``; the result ``(1 + P) x bins``, the histogram of the maxima first.
    """
    flat = maps.reshape(len(maps), -1)
    return np.stack([histogram(np.quantile(flat, p, axis=1), edges) for p in (1.0, *quantiles)])


def pooled_levels(maps: NDArray[np.floating]) -> Array:
    """The quantile function of the pooled values at :data:`LEVELS`. Nothing else of a model's maps is kept."""
    return np.asarray(np.quantile(maps.ravel(), LEVELS), dtype=np.float32)


def image_levels(maps: NDArray[np.floating]) -> Array:
    """The quantile function of every image at :data:`IMAGE_LEVELS`, ``M x levels``."""
    return np.asarray(np.quantile(maps.reshape(len(maps), -1), IMAGE_LEVELS, axis=1).T, dtype=np.float32)


def kept_quantile_histograms(kept: Array, quantiles: tuple[float, ...], edges: NDArray[np.float64]) -> Array:
    """:func:`quantile_histograms` from :func:`pooled_levels`, ``... x levels`` to ``... x P x bins``.

    Each tail is read at :data:`TAIL_SIZE` ranks, so a bin's share differs from the exact one by about ``1 /
    TAIL_SIZE``. The suspect's and the reference models' functions are read in the same way.
    """
    inside = (np.arange(TAIL_SIZE) + 0.5) / TAIL_SIZE
    tails = [histogram(_read(kept, p + (1 - p) * inside, LEVELS), edges) for p in quantiles]
    return np.stack(tails, axis=-2)


def image_values(kept: Array, quantiles: tuple[float, ...]) -> Array:
    """Each image's quantiles (1 is the maximum), read from :func:`image_levels`, ``... x levels`` to ``... x P``."""
    return _read(kept, np.array(quantiles), IMAGE_LEVELS)


def kept_image_histograms(kept: Array, quantiles: tuple[float, ...], edges: NDArray[np.float64]) -> Array:
    """:func:`image_histograms` from :func:`image_levels`, ``... x M x levels`` to ``... x (1 + P) x bins``.

    Exact where a quantile is one of the levels.
    """
    return histogram(np.swapaxes(image_values(kept, (1.0, *quantiles)), -1, -2), edges)


def _read(kept: Array, ranks: NDArray[np.float64], levels: NDArray[np.float64]) -> Array:
    """A kept quantile function, ``... x levels``, read at other ranks by linear interpolation, ``... x ranks``."""
    position = np.interp(ranks, levels, np.arange(len(levels)))
    below = np.floor(position).astype(int).clip(0, len(levels) - 2)
    share = (position - below).astype(np.float32)
    return np.asarray(kept[..., below] * (1 - share) + kept[..., below + 1] * share, dtype=np.float32)
