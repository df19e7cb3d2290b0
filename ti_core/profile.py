"""Histograms of upper quantiles: Algorithm 1, lines 12 to 16, and the other form of sec. 5.1 of the paper."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float32]

TAIL_SIZE = 512
"""Points at which an upper tail is read off a kept quantile function."""

LEVELS: NDArray[np.float64] = np.concatenate(
    [np.linspace(0.0, 0.5, 64, endpoint=False), 1.0 - np.geomspace(0.5, 2e-5, 192)]
)
"""Ranks at which the quantile function of pooled saliency is kept: dense towards the top, which Algorithm 1 asks of."""

IMAGE_LEVELS: NDArray[np.float64] = np.array(
    [0.0, 0.25, 0.5, 0.75, 0.9, 0.95, 0.97, 0.98, 0.99, 0.995, 0.999, 1.0]
)
"""Ranks at which the quantile function of each single image is kept."""

FLOOR = 1e-8
"""Saliency below this counts as this: the histograms' boundaries are spaced logarithmically."""


def boundaries(low: float, high: float, bins: int) -> NDArray[np.float64]:
    """Fixed boundaries B: ``bins + 1`` of them, evenly spaced in the logarithm from ``low`` to ``high``."""
    return np.asarray(np.geomspace(max(low, FLOOR), max(high, low * 1.01, FLOOR * 1.01), bins + 1))


def histogram(values: NDArray[np.floating], edges: NDArray[np.float64]) -> Array:
    """Shares of the values in each bin; values beyond the boundaries count in the outermost bins. Sums to 1."""
    inside = np.clip(values, edges[0], edges[-1])
    counts, _ = np.histogram(inside, bins=edges)
    return np.asarray(counts / max(1, values.size), dtype=np.float32)


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
    """The quantile function of the pooled values at :data:`LEVELS`: all that is kept of a model's maps."""
    return np.asarray(np.quantile(maps.ravel(), LEVELS), dtype=np.float32)


def image_levels(maps: NDArray[np.floating]) -> Array:
    """The quantile function of every image at :data:`IMAGE_LEVELS`, ``M x levels``."""
    return np.asarray(np.quantile(maps.reshape(len(maps), -1), IMAGE_LEVELS, axis=1).T, dtype=np.float32)


def kept_quantile_histograms(kept: Array, quantiles: tuple[float, ...], edges: NDArray[np.float64]) -> Array:
    """:func:`quantile_histograms` from :func:`pooled_levels`, read at :data:`TAIL_SIZE` ranks of each tail.

    A bin's share differs from the exact one by about ``1 / TAIL_SIZE``, and a suspect's and the reference models'
    are always read alike.
    """
    rows = []
    for p in quantiles:
        ranks = p + (1 - p) * (np.arange(TAIL_SIZE) + 0.5) / TAIL_SIZE
        rows.append(histogram(np.interp(ranks, LEVELS, kept), edges))
    return np.stack(rows)


def image_values(kept: Array, quantiles: tuple[float, ...]) -> Array:
    """Each image's quantiles (1 is its largest) read off :func:`image_levels`, ``... x levels`` to ``... x P``."""
    position = np.interp(np.array(quantiles), IMAGE_LEVELS, np.arange(len(IMAGE_LEVELS)))
    below = np.floor(position).astype(int).clip(0, len(IMAGE_LEVELS) - 2)
    share = position - below
    return np.asarray(kept[..., below] * (1 - share) + kept[..., below + 1] * share, dtype=np.float32)


def kept_image_histograms(kept: Array, quantiles: tuple[float, ...], edges: NDArray[np.float64]) -> Array:
    """:func:`image_histograms` from :func:`image_levels`; exact where a quantile is one of the levels."""
    return np.stack([histogram(row, edges) for row in image_values(kept, (1.0, *quantiles)).T])
