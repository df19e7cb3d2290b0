"""Windowed trigger inversion: which class does a small patch at one place command?

For every class and every window of a grid, one pattern shared by all images is made inside that window so that the
margin of the class grows, and the margin is measured on images that took no part. On any network a free patch over
the object can draw another object, so a margin says little by itself; but a place that commands a class in the
suspect and in no clean network does.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import torch
from numpy.typing import NDArray

from ti_core.settings import Settings
from ti_core.streams.base import Array, Context, Evidence, Features, Progress, Reading, Stream, silent
from ti_core.streams.search import Effort, fast_copy, pools, seek, unseen_margins
from ti_core.streams.statistics import as_array, best_and_lead, capped, deviations, per_class, scale_free


@dataclass(frozen=True)
class Protocol:
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
    def for_images(cls, height: int, width: int, classes: int) -> Protocol:
        """Windows of two sevenths of the image's side, as dense as eleven places to a side allow.

        The work grows with the class count only up to twelve classes: from there on each pattern gets fewer images
        and steps.
        """
        short = min(height, width)
        share = min(1.0, 12 / max(1, classes))
        effort = Effort(
            steps=max(5, round(10 * share**0.3)), images_a_step=max(2, round(5 * share**0.7)), unseen=16
        )
        return cls(side=max(1, round(short * 8 / 28)), stride=max(1, round(short * 5 / 28)), effort=effort)

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


class Windowed(Stream):
    """Margin of every class under the best pattern in every window, beside the clean reference models'."""

    name: ClassVar[str] = "windowed"
    title: ClassVar[str] = "Windowed trigger inversion"
    version: ClassVar[int] = 1

    def __init__(self, settings: Settings | None = None) -> None:
        self.settings = settings or Settings()

    def evidence(self, scores: torch.nn.Module, context: Context, progress: Progress = silent) -> Evidence:
        """``margins`` and ``success``, both ``K x windows``: mean margin and flip share on unseen images."""
        images, count = context.images.float(), context.classes
        height, width = images.shape[2:]
        p = Protocol.for_images(height, width, count)
        network = fast_copy(scores)
        masks = p.masks(height, width).to(images.device)
        shape = (count, len(masks))
        classes = torch.arange(count, device=images.device).repeat_interleave(shape[1])
        everywhere = masks.repeat(count, 1, 1)
        pool = pools(context.labels, count, p.effort.unseen)
        patterns = seek(network, images, pool, classes, everywhere, p.effort, progress)
        found = unseen_margins(network, images, pool, classes, everywhere, patterns, p.effort).view(
            *shape, -1
        )
        progress(1.0)
        return {
            "margins": as_array(torch.nan_to_num(found, 0.0, 0.0, 0.0).mean(2)),
            "success": as_array((found > 0).float().mean(2)),
        }

    def features(
        self, stack: Evidence, clean: Evidence, among_clean: NDArray[np.bool_] | None = None
    ) -> Features:
        own = scale_free(stack["margins"])
        z = deviations(own, scale_free(clean["margins"]), among_clean)
        highest, lead = best_and_lead(z.max(2))
        _, outlier = best_and_lead(own.max(2))
        names = ("windowed: deviations", "windowed: lead", "windowed: outlier")
        return Features(names, np.stack((highest, lead, outlier), 1).astype(np.float32))

    def class_scores(
        self, stack: Evidence, clean: Evidence, among_clean: NDArray[np.bool_] | None = None
    ) -> Array:
        z = deviations(scale_free(stack["margins"]), scale_free(clean["margins"]), among_clean)
        return np.asarray(capped(z.max(2)), dtype=np.float32)

    def read(self, evidence: Evidence, clean: Evidence, class_names: tuple[str, ...]) -> Reading:
        own, reference = scale_free(evidence["margins"][None]), scale_free(clean["margins"])
        z = deviations(own, reference)[0]
        others = deviations(reference, reference, np.ones(len(reference), dtype=bool)).max(2)
        target, window = (int(i) for i in np.unravel_index(int(z.argmax()), z.shape))
        score = float(z.max())
        share = float((others.max(1) >= score).mean())
        sentence = (
            f"A patch at one place moves images towards class {class_names[target]} by {score:.1f} deviations"
            f" more than in clean models; {share:.0%} of the clean models reach as much anywhere."
        )
        figures = per_class(z.max(1), others) | {
            "window": window,
            "success": float(evidence["success"][target, window]),
        }
        return Reading(score, share, sentence, target, figures)
