"""Waves: the margin of each class under waves of every low frequency, laid over all images.

A trigger may be a faint wave (Barni et al., 2019: vertical stripes). It covers the whole image, too far for a small L2
ball. The network answers to hardly any other frequency or phase, so that no gradient leads there. But there are only
some hundreds of waves of low frequency. All are tried, without a gradient, for all classes at once (the Fourier heat
maps of Yin et al., 2019, by class). Some wave moves some class in a clean network too. What counts is a class that
moves much more than others, and than in clean models.
"""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray

from ti_core.streams.base import Array, Evidence, Progress, silent
from ti_core.streams.passes import Passes
from ti_core.streams.searches.search import Pools, chunks, for_every_class, measure, shifted
from ti_core.streams.statistics import as_array, mean_deviations, mean_margins

STRENGTHS = (0.12, 0.2)
"""Amplitudes of the waves, in pixel units of [0, 1]."""
REACH = 8
"""Highest frequency, in cycles over the image."""
PHASES = 4
TRIED_ON, AT_ONCE = 16, 16
"""Images that every wave is tried on, and waves that go through the network at once."""
REACHED = 0.975
"""Quantile over the clean models of their most suspicious class. Only what exceeds it counts."""


def waves(height: int, width: int, reach: int = REACH, phases: int = PHASES) -> torch.Tensor:
    """Sinusoids ``P x H x W`` of amplitude 1, of every direction and all frequencies up to ``reach`` cycles.

    Small images have a lower limit: a cycle has more than two pixels.
    """
    rows, columns = torch.meshgrid(torch.arange(height) / height, torch.arange(width) / width, indexing="ij")
    found = []
    for u, v in frequencies(height, width, reach):
        turns = u * rows + v * columns
        found += [torch.sin(2 * torch.pi * (turns + k / phases)) for k in range(phases)]
    return torch.stack(found) if found else torch.zeros(1, height, width)


def frequencies(height: int, width: int, reach: int = REACH) -> list[tuple[int, int]]:
    """Cycles over the image's height and width of the waves of :func:`waves`, each of which has several phases."""
    reach = min(reach, (min(height, width) - 1) // 2)
    return [
        (u, v)
        for u in range(-reach, reach + 1)
        for v in range(reach + 1)
        # A frequency and its opposite are the same wave; 0 is none.
        if u * u + v * v <= reach * reach and (v > 0 or u > 0)
    ]


def passes(classes: int, height: int, width: int, unseen: int) -> Passes:
    """The images that :func:`under_stripes` sends through the network."""
    count = max(1, PHASES * len(frequencies(height, width)))
    return Passes(forward=len(STRENGTHS) * (TRIED_ON * count + classes * unseen))


@torch.no_grad()
def answers(
    scores: torch.nn.Module,
    images: torch.Tensor,
    labels: torch.Tensor,
    shapes: torch.Tensor,
    progress: Progress = silent,
) -> torch.Tensor:
    """Mean margins ``P x K`` of all classes under P changes ``P x H x W``, the same in every channel.

    Images ``n x C x H x W`` of a class do not count for that class, unless all images are of it.
    """
    rows: list[torch.Tensor] = []
    parts = shapes.split(AT_ONCE)
    for part in parts:
        rows.append(for_every_class(scores, shifted(images, part[:, None]), labels)[0])
        progress(len(rows) / len(parts))
    return torch.cat(rows)


def under_stripes(
    scores: torch.nn.Module,
    images: torch.Tensor,
    labels: torch.Tensor,
    pool: Pools,
    unseen: int,
    progress: Progress = silent,
) -> Array:
    """Margins ``strengths x K`` of every class under the wave that raises it most.

    Parameters
    ----------
    images, labels : ``N x C x H x W`` in [0, 1], of which the first few choose the waves.
    pool, unseen : which images of other classes the margins are measured on, and how many.
    """
    classes = torch.arange(len(pool.unseen), device=images.device)
    shapes, tried = waves(*images.shape[2:]).to(images.device), slice(0, TRIED_ON)
    chosen = pool.test(classes, unseen)
    found = []
    for done, strength in enumerate(STRENGTHS):

        def told(share: float, done: int = done) -> None:
            progress((done + share) / len(STRENGTHS))

        best = answers(scores, images[tried], labels[tried], strength * shapes, told).argmax(0)
        laid = strength * shapes[best][:, None]
        margins = [
            measure(scores, shifted(images[chosen[part]], laid[part]), classes[part])
            for part in chunks(len(classes), unseen, 2 * TRIED_ON * AT_ONCE)
        ]
        found.append(mean_margins(torch.cat(margins)))
    return as_array(torch.stack(found))


def standing(
    stack: Evidence, clean: Evidence, least: float, among_clean: NDArray[np.bool_] | None = None
) -> Array:
    """How far each class, ``R x K``, stands out under waves beyond what clean models reach, in deviations.

    It is the mean over the strengths. A clean model has 0 or less, but for a share of ``1 - REACHED``.

    Parameters
    ----------
    stack, clean, least, among_clean : as for :func:`ti_core.streams.statistics.deviations`, with ``stripes``.
    """
    own = _deviations(stack, clean, least, among_clean)
    usual = _deviations(clean, clean, least, np.ones(len(clean["stripes"]), dtype=bool))
    return np.asarray(own - np.quantile(usual.max(axis=1), REACHED), dtype=np.float32)


def _deviations(
    stack: Evidence, clean: Evidence, least: float, among_clean: NDArray[np.bool_] | None
) -> Array:
    tables = ((stack["stripes"][:, i], clean["stripes"][:, i]) for i in range(stack["stripes"].shape[1]))
    return mean_deviations(tables, among_clean, least)
