"""Trigger inversion: which class does a small patch at one place command, and what else does that class yield to?

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
from ti_core.streams.inversion import invert, smallness
from ti_core.streams.search import Effort, fast_copy, pools, seek, unseen_margins
from ti_core.streams.statistics import as_array, best_and_lead, deviations, per_class, scale_free
from ti_core.streams.universal import Universal


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
    """What each class yields to: a patch in a window, a free mask, and a change spread over the image.

    A trigger shows in all three on the same class, a clean network's easy class rarely does: their deviations from
    the clean reference models are added class by class before the largest is taken.
    """

    name: ClassVar[str] = "windowed"
    title: ClassVar[str] = "Trigger inversion"
    version: ClassVar[int] = 1

    def __init__(self, settings: Settings | None = None) -> None:
        self.settings = settings or Settings()

    def evidence(self, scores: torch.nn.Module, context: Context, progress: Progress = silent) -> Evidence:
        """What the searches found, measured on images that took no part in them.

        ``margins`` and ``success``, both ``K x windows``: mean margin and flip share under each window's pattern;
        ``norms`` in pixels and ``free_success``, both ``K``: the smallest free mask, and its flip share;
        ``spread``, ``K``: mean margin under the universal perturbation of the largest radius.
        """
        images, labels, count = context.images.float(), context.labels, context.classes
        height, width = images.shape[2:]
        p = Protocol.for_images(height, width, count)
        network = fast_copy(scores)
        masks = p.masks(height, width).to(images.device)
        shape = (count, len(masks))
        classes = torch.arange(count, device=images.device)
        each, everywhere = classes.repeat_interleave(shape[1]), masks.repeat(count, 1, 1)
        pool = pools(labels, count, p.effort.unseen)
        patterns = seek(network, images, pool, each, everywhere, p.effort, _part(progress, 0.0, 0.4))
        found = unseen_margins(network, images, pool, each, everywhere, patterns, p.effort).view(*shape, -1)
        free = invert(scores, images, labels, count, progress=_part(progress, 0.4, 0.9))
        spread = Universal(self.settings).evidence(scores, context, _part(progress, 0.9, 1.0))
        progress(1.0)
        return {
            "margins": as_array(torch.nan_to_num(found, 0.0, 0.0, 0.0).mean(2)),
            "success": as_array((found > 0).float().mean(2)),
            "norms": as_array(free.norms),
            "free_success": as_array(free.success),
            "spread": spread["margins"][-1],
        }

    def features(
        self, stack: Evidence, clean: Evidence, among_clean: NDArray[np.bool_] | None = None
    ) -> Features:
        votes = class_votes(stack, clean, among_clean)
        columns = {f"windowed: {name}": table.max(1) for name, table in votes.items()}
        _, columns["windowed: lead"] = best_and_lead(votes["joint"])
        return Features(tuple(columns), np.stack(list(columns.values()), 1).astype(np.float32))

    def read(self, evidence: Evidence, clean: Evidence, class_names: tuple[str, ...]) -> Reading:
        own = {k: v[0] for k, v in class_votes({k: v[None] for k, v in evidence.items()}, clean).items()}
        among = np.ones(len(clean["norms"]), dtype=bool)
        others = class_votes(clean, clean, among)["joint"]
        target, score = int(own["joint"].argmax()), float(own["joint"].max())
        share = float((others.max(1) >= score).mean())
        sentence = (
            f"Class {class_names[target]} yields to triggers {score:.1f} deviations beyond clean models, of which "
            f"{share:.0%} have a class that goes as far: its smallest mask covers {evidence['norms'][target]:.0f} "
            f"pixels, against {np.median(evidence['norms']):.0f} for the usual class, and its best window flips "
            f"{evidence['success'][target].max():.0%} of unseen images."
        )
        window = int(
            deviations(scale_free(evidence["margins"][None]), scale_free(clean["margins"]))[
                0, target
            ].argmax()
        )
        figures = per_class(own["joint"], others) | {
            "window": window,
            "norms": evidence["norms"].tolist(),
            "votes": {name: float(table[target]) for name, table in own.items()},
        }
        return Reading(score, share, sentence, target, figures)


WEIGHTS = {"mask": 1.0, "window": 0.5, "spread": 1.0}
"""The window's vote is the largest of many windows', and counts half for it."""

CAP = 20.0
"""Deviations beyond this say no more: none of the three may decide against the two others by its size alone."""


def class_votes(
    stack: Evidence, clean: Evidence, among_clean: NDArray[np.bool_] | None = None
) -> dict[str, Array]:
    """Deviations of every class beyond the clean models', ``R x K``: by kind of evidence, and their joint vote."""
    votes = {
        "mask": deviations(smallness(stack), smallness(clean), among_clean),
        "window": deviations(scale_free(stack["margins"]), scale_free(clean["margins"]), among_clean).max(2),
        "spread": deviations(scale_free(stack["spread"]), scale_free(clean["spread"]), among_clean),
    }
    joint = sum(WEIGHTS[name] * np.clip(table, -CAP, CAP) for name, table in votes.items())
    votes["joint"] = np.asarray(joint, dtype=np.float32)
    return votes


def _part(progress: Progress, start: float, end: float) -> Progress:
    """Tells ``progress`` that its share of the whole work lies between ``start`` and ``end``."""
    return lambda share: progress(start + (end - start) * share)
