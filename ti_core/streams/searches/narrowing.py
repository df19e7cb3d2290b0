"""Smaller windows within the best ones: how far a class's pattern can shrink and still command it.

On any network a free patch of two sevenths of the image's side draws some class. A trigger keeps its hold in a window
that is half as wide, and what a clean network gives way to does not.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import torch
from numpy.typing import NDArray

from ti_core.classifier.fast.copying import fast_copy
from ti_core.streams.base import Array, Context, Evidence, Progress
from ti_core.streams.passes import Passes
from ti_core.streams.searches.patches import WindowSearch, standing_cells, standing_out
from ti_core.streams.searches.screening import SEARCHED, among_searched
from ti_core.streams.searches.search import Effort, pools, seek, unseen_margins
from ti_core.streams.searches.sparing import Sparing
from ti_core.streams.statistics import as_array, mean_margins

SIZES = ((0.7, 2), (0.5, 3))
"""Sizes of the smaller windows: the side as a share of a window's, and their number along it. The outer ones touch its
edges."""
EFFORT = Effort(steps=12, images_a_step=8, unseen=32)


@dataclass(frozen=True)
class Narrowing:
    """How smaller windows are searched.

    Parameters
    ----------
    classes : number of classes that are searched: those that stand out most in windows.
    windows : number of windows of each of them: those with the largest margins and those where it stands out most, in
        turn.
    sizes : of the smaller windows, as :data:`SIZES`.
    effort : of the search for each pattern.
    """

    classes: int = 3
    windows: int = 2
    sizes: tuple[tuple[float, int], ...] = SIZES
    effort: Effort = EFFORT

    def spared(self, sparing: Sparing) -> Narrowing:
        """Without reference models only the smallest windows tell something.

        A shortened search takes one window of each of two classes.
        """
        search = replace(self, sizes=self.sizes[-1:]) if sparing.alone else self
        if sparing.halving is None:
            return search
        return replace(search, classes=2, windows=1, effort=self.effort.further(sparing.halving))

    def passes(self, classes: int, height: int, width: int) -> Passes:
        """The images that the search sends through a network of so many classes."""
        windows = len(WindowSearch.for_images(height, width, 0).windows(height, width))
        each = min(self.windows, windows) * sum(n**2 for _, n in self.sizes)
        return self.effort.passes(min(self.classes, classes) * each)

    def chosen(self, windowed: Evidence) -> NDArray[np.intp]:
        """The classes to search, by the evidence of the stream "windowed"; those that stand out most first."""
        standing = among_searched(standing_out(windowed["margins"]), windowed)
        return np.argsort(-standing, kind="stable")[: self.classes]

    def find(
        self, scores: torch.nn.Module, context: Context, windowed: Evidence, progress: Progress
    ) -> dict[str, Array]:
        """Search smaller windows within the best ones of the classes that stand out.

        Returns
        -------
        ``margins``, ``K x sizes``: the largest mean margin on unseen images, minus the median of the margins in
        windows, in units of their interquartile range. ``success``, ``K x sizes``: the largest flip share. Both are
        0 for a class that was not searched, and ``searched`` (``K``) is.
        """
        images, count = context.images.float(), context.classes
        chosen = self.chosen(windowed)
        masks, owners, sizes = self._candidates(images, windowed["margins"], chosen)
        classes = torch.from_numpy(owners).to(images.device)
        network, pool = (
            fast_copy(scores, images, context.rounded),
            pools(context.labels, count, self.effort.unseen),
        )
        patterns = seek(network, images, pool, classes, masks, self.effort, progress)
        found = unseen_margins(network, images, pool, classes, masks, patterns, self.effort)
        progress(1.0)
        margins, flips = as_array(mean_margins(found)), as_array((found > 0).float().mean(1))
        low, middle, high = np.quantile(windowed["margins"], (0.25, 0.5, 0.75))
        margins = (margins - middle) / (high - low if high - low > 1e-9 else 1.0)
        tables = {
            name: np.zeros((count, len(self.sizes)), dtype=np.float32) for name in ("margins", "success")
        }
        for c in chosen:
            for size in range(len(self.sizes)):
                own = (owners == c) & (sizes == size)
                tables["margins"][c, size], tables["success"][c, size] = margins[own].max(), flips[own].max()
        searched = np.zeros(count, dtype=np.float32)
        searched[chosen] = 1.0
        return tables | {SEARCHED: searched}

    def _candidates(
        self, images: torch.Tensor, margins: Array, chosen: NDArray[np.intp]
    ) -> tuple[torch.Tensor, NDArray[np.intp], NDArray[np.intp]]:
        """Masks ``J x H x W`` of all smaller windows, with their class and the place of their size, ``J``."""
        height, width = (int(n) for n in images.shape[2:])
        whole = WindowSearch.for_images(height, width, 0)
        corners, standing = whole.windows(height, width), standing_cells(margins)
        found = []
        for c in chosen:
            best = [corners[w] for w in _in_turn(margins[c], standing[c])[: self.windows]]
            for size, (share, places) in enumerate(self.sizes):
                side = max(1, round(share * whole.side))
                within = np.linspace(0, whole.side - side, places).round().astype(int)
                found += [
                    (int(c), size, side, top + int(y), left + int(x))
                    for top, left in best
                    for y in within
                    for x in within
                ]
        masks = torch.zeros(len(found), height, width, device=images.device)
        for mask, (_, _, side, top, left) in zip(masks, found, strict=True):
            mask[top : top + side, left : left + side] = 1.0
        return masks, np.array([row[0] for row in found]), np.array([row[1] for row in found])


def _in_turn(*views: Array) -> list[int]:
    """The places of all entries: the largest of each view, then the second largest of each, and so on."""
    order = np.stack([np.argsort(-view, kind="stable") for view in views], axis=1).ravel()
    return list(dict.fromkeys(order.tolist()))
