"""Patterns inside windows: per class and window one pattern, shared by all images, that raises the class's margin."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import torch

from ti_core.streams.base import (
    Array,
    Progress,
)
from ti_core.streams.passes import Passes, portions
from ti_core.streams.searches.screening import SEARCHED, Screening, completed
from ti_core.streams.searches.search import Effort, Pools, pools, seek, unseen_margins
from ti_core.streams.searches.sparing import Halving
from ti_core.streams.statistics import (
    as_array,
    mean_margins,
)


@dataclass(frozen=True)
class WindowSearch:
    """How windows are searched.

    Parameters
    ----------
    side, stride : of the square windows, in pixels.
    effort : of the search for each pattern.
    """

    side: int
    stride: int
    effort: Effort

    @classmethod
    def for_images(cls, height: int, width: int, classes: int) -> WindowSearch:
        """Windows of two sevenths of the image's side, as dense as eleven places to a side allow.

        The work for each class falls with the class count between 12 classes and 43: each pattern gets fewer images
        and steps.
        """
        short = min(height, width)
        share = min(1.0, 12 / min(43, max(1, classes)))
        effort = Effort(
            steps=max(5, round(10 * share**0.3)), images_a_step=max(2, round(5 * share**0.7)), unseen=16
        )
        return cls(side=max(1, round(short * 8 / 28)), stride=max(1, round(short * 5 / 28)), effort=effort)

    def short(self) -> WindowSearch:
        """Windows a third larger, two thirds as many, and fewer steps: enough to tell which classes stand out."""
        return WindowSearch(round(4 * self.side / 3), max(1, round(7 * self.stride / 6)), Effort(4, 2, 8))

    def closer(self) -> WindowSearch:
        """For the few classes that stand out among many: more steps and images than any class gets among few."""
        return replace(self, effort=Effort(steps=12, images_a_step=6, unseen=32))

    def halved(self, classes: int, height: int, width: int, halving: Halving) -> Passes:
        """The images that :func:`halve_patterns` sends through the network for this many classes."""
        cells = classes * len(self.windows(height, width))
        further = Screening.of_cells(halving, cells).going_on(cells)
        return self.effort.first(halving).passes(cells) + self.effort.further(halving).passes(further)

    def passes(self, classes: int, height: int, width: int) -> Passes:
        """The images that a search of this many classes sends through the network."""
        return self.effort.passes(classes * len(self.windows(height, width)))

    def windows(self, height: int, width: int) -> list[tuple[int, int]]:
        """Top left corners of the windows, row by row; the outer ones touch the edges."""
        rows, columns = (_places(length, self.side, self.stride) for length in (height, width))
        return [(top, left) for top in rows for left in columns]

    def masks(self, height: int, width: int) -> torch.Tensor:
        """Masks ``windows x H x W``, 1 inside the window and 0 elsewhere."""
        corners = self.windows(height, width)
        masks = torch.zeros(len(corners), height, width)
        for mask, (top, left) in zip(masks, corners, strict=True):
            mask[top : top + self.side, left : left + self.side] = 1.0
        return masks


def _places(length: int, side: int, stride: int) -> list[int]:
    last = max(0, length - side)
    count = -(-last // stride) + 1
    return sorted({round(i * last / max(1, count - 1)) for i in range(count)})


def find_patterns(
    scores: torch.nn.Module,
    images: torch.Tensor,
    pool: Pools,
    classes: torch.Tensor,
    protocol: WindowSearch,
    progress: Progress,
) -> dict[str, Array]:
    """``margins`` and ``success``, both ``J x windows``, of J classes."""
    masks = protocol.masks(*images.shape[2:]).to(images.device)
    own = classes.repeat_interleave(len(masks))
    everywhere = masks.repeat(len(classes), 1, 1)
    patterns = seek(scores, images, pool, own, everywhere, protocol.effort, progress)
    found = unseen_margins(scores, images, pool, own, everywhere, patterns, protocol.effort)
    found = found.view(len(classes), len(masks), -1)
    progress(1.0)
    return {"margins": as_array(mean_margins(found)), "success": as_array((found > 0).float().mean(2))}


def halve_patterns(
    scores: torch.nn.Module,
    images: torch.Tensor,
    labels: torch.Tensor,
    count: int,
    protocol: WindowSearch,
    halving: Halving,
    progress: Progress,
) -> dict[str, Array]:
    """``margins`` and ``success``, both ``K x windows``, by successive halving over all pairs of class and window.

    The pairs that did not go on get an estimate. ``searched`` (``K``) is 1 for a class of which some pair went on.
    """
    masks = protocol.masks(*images.shape[2:]).to(images.device)
    classes = torch.arange(count, device=images.device).repeat_interleave(len(masks))
    everywhere = masks.repeat(count, 1, 1)
    wanted = Screening.of_cells(halving, len(classes))

    def look(cells: torch.Tensor, effort: Effort, told: Progress) -> tuple[Array, Array]:
        pool = pools(labels, count, effort.unseen)
        own, weights = classes[cells], everywhere[cells]
        patterns = seek(scores, images, pool, own, weights, effort, told)
        found = unseen_margins(scores, images, pool, own, weights, patterns, effort)
        return as_array(mean_margins(found)), as_array((found > 0).float().mean(1))

    one, two = protocol.effort.first(halving), protocol.effort.further(halving)
    parts = portions(progress, (one.passes(len(classes)), two.passes(wanted.going_on(len(classes)))))
    short = look(torch.arange(len(classes), device=images.device), one, parts[0])
    chosen = wanted.choose(standing_cells(short[0].reshape(count, -1)).ravel())
    full = look(torch.from_numpy(chosen).to(images.device), two, parts[1])
    margins, success = (
        completed(before, after, chosen).reshape(count, -1) for before, after in zip(short, full, strict=True)
    )
    searched = np.zeros(count, dtype=np.float32)
    searched[np.unique(chosen // len(masks))] = 1.0
    progress(1.0)
    return {"margins": margins, "success": success.clip(0, 1), SEARCHED: searched}


def standing_out(margins: Array) -> Array:
    """How far each class, ``K``, stands above the median class of the same window, at the window where it does most.

    Parameters
    ----------
    margins : ``K x windows``.
    """
    return np.asarray(standing_cells(margins).max(1))


def standing_cells(margins: Array) -> Array:
    """The same for every pair of class and window, ``K x windows``."""
    low, middle, high = np.quantile(margins, (0.25, 0.5, 0.75), axis=0)
    spread = high - low
    # Where classes hardly differ a small difference is no ground.
    unit = spread + 0.3 * spread.mean() + 1e-9
    return np.asarray((margins - middle) / unit, dtype=np.float32)


def shared_by(wide: torch.Tensor, narrow: torch.Tensor) -> Array:
    """Of the part of every narrow window that lies in wide ones, the share in each: ``narrow x wide``, rows sum to 1.

    Parameters
    ----------
    wide, narrow : masks ``windows x H x W``; the wide ones cover the image.
    """
    overlap = narrow.flatten(1) @ wide.flatten(1).T
    return as_array(overlap / overlap.sum(1, keepdim=True))
