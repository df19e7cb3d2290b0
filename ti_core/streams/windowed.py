"""Windowed trigger inversion: which class does a small patch at one place command?

For every class and every window of a grid, one pattern shared by all images is made inside that window so that the
margin of the class grows, and the margin is measured on images that took no part. On any network a free patch over
the object can draw another object, so a margin says little by itself; but a place that commands a class in the
suspect and in no clean network does.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import ClassVar

import numpy as np
import torch
from numpy.typing import NDArray

from ti_core.settings import Settings
from ti_core.streams.base import (
    Array,
    Context,
    Evidence,
    Features,
    Progress,
    Reading,
    Stream,
    as_stack,
    silent,
)
from ti_core.streams.searches.flat_patches import under_colours
from ti_core.streams.searches.screening import SEARCHED, Screening, completed, unsuspected
from ti_core.streams.searches.search import Effort, Pools, fast_copy, pools, seek, unseen_margins
from ti_core.streams.statistics import (
    as_array,
    best_and_lead,
    capped,
    mean_margins,
    per_class,
    scale_free,
)
from ti_core.streams.window_scores import FLAT, command, of_flat_patches, places


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

        The work for each class falls with the class count between 12 classes and 43: each pattern gets fewer images
        and steps.
        """
        short = min(height, width)
        share = min(1.0, 12 / min(43, max(1, classes)))
        effort = Effort(
            steps=max(5, round(10 * share**0.3)), images_a_step=max(2, round(5 * share**0.7)), unseen=16
        )
        return cls(side=max(1, round(short * 8 / 28)), stride=max(1, round(short * 5 / 28)), effort=effort)

    def short(self) -> Protocol:
        """Windows a third larger, two thirds as many, and fewer steps: enough to tell which classes stand out."""
        return Protocol(round(4 * self.side / 3), max(1, round(7 * self.stride / 6)), Effort(4, 2, 8))

    def closer(self) -> Protocol:
        """For the few classes that stand out among many: more steps and images than any class gets among few."""
        return replace(self, effort=Effort(steps=12, images_a_step=6, unseen=32))

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
    protocol: Protocol,
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


def standing_out(margins: Array) -> Array:
    """How far each class, ``K``, stands above the median class of the same window, at the window where it does most.

    Parameters
    ----------
    margins : ``K x windows``.
    """
    low, middle, high = np.quantile(margins, (0.25, 0.5, 0.75), axis=0)
    spread = high - low
    # Where classes hardly differ a small difference is no ground.
    unit = spread + 0.3 * spread.mean() + 1e-9
    return np.asarray(((margins - middle) / unit).max(1), dtype=np.float32)


def shared_by(wide: torch.Tensor, narrow: torch.Tensor) -> Array:
    """Of the part of every narrow window that lies in wide ones, the share in each: ``narrow x wide``, rows sum to 1.

    Parameters
    ----------
    wide, narrow : masks ``windows x H x W``; the wide ones cover the image.
    """
    overlap = narrow.flatten(1) @ wide.flatten(1).T
    return as_array(overlap / overlap.sum(1, keepdim=True))


class Windowed(Stream):
    """Margin of every class under the best pattern in every window, beside the clean reference models'.

    Parameters
    ----------
    screening : from how many classes on only those that stand out get full effort, after a first look at every window;
        a shorter one at fewer, larger windows where there are very many classes.
    """

    name: ClassVar[str] = "windowed"
    title: ClassVar[str] = "Windowed trigger inversion"
    version: ClassVar[int] = 3

    def __init__(self, settings: Settings | None = None, screening: Screening | None = None) -> None:
        self.settings = settings or Settings()
        self.screening = screening or Screening()

    def evidence(self, scores: torch.nn.Module, context: Context, progress: Progress = silent) -> Evidence:
        """``margins`` and ``success``, both ``K x windows``: mean margin and flip share on unseen images; with many
        classes ``searched`` too (``K``). ``flat_margins`` and ``flat_success``, those under one colour."""
        images, count = context.images.float(), context.classes
        size = (int(images.shape[2]), int(images.shape[3]))
        p = Protocol.for_images(*size, count)
        network = fast_copy(scores)

        def search(classes: NDArray[np.intp], protocol: Protocol, told: Progress) -> dict[str, Array]:
            own = torch.from_numpy(classes).to(images.device)
            pool = pools(context.labels, count, protocol.effort.unseen)
            return find_patterns(network, images, pool, own, protocol, told)

        flat = under_colours(network, images, context.labels, p.masks(*size).to(images.device))
        if not self.screening.applies(count):
            return search(np.arange(count), p, progress) | flat
        # It is made of this stream's own search, among others.
        from ti_core.streams.searches.shortlist import shortlist

        first = shortlist(scores, context, self.screening, lambda share: progress(0.4 * share)).windowed
        # Those that the other streams suspect need no window; a patch is seen best by a second look at windows.
        chosen = self.screening.foremost(standing_out(first["margins"]))
        if self.screening.shortens_windows(count):
            shares = shared_by(p.short().masks(*size), p.masks(*size))
            first = {key: table @ shares.T for key, table in first.items()}
        full = search(chosen, p.closer(), lambda share: progress(0.4 + 0.6 * share))
        return self.complete(first, full, chosen) | flat

    def complete(
        self, first: Mapping[str, Array], full: Evidence, chosen: NDArray[np.intp]
    ) -> dict[str, Array]:
        """All classes' arrays, ``K x windows``, from the first look at them and those of the classes chosen by it."""
        found = {key: completed(first[key], full[key], chosen) for key in first}
        found["success"] = found["success"].clip(0, 1)
        return found | {SEARCHED: self.screening.searched(len(first["margins"]), chosen)}

    def features(
        self, stack: Evidence, clean: Evidence, among_clean: NDArray[np.bool_] | None = None
    ) -> Features:
        own = scale_free(stack["margins"])
        highest, lead = best_and_lead(self.class_scores(stack, clean, among_clean))
        _, outlier = best_and_lead(own.max(2))
        names = ("windowed: deviations", "windowed: lead", "windowed: outlier")
        return Features(names, np.stack((highest, lead, outlier), 1).astype(np.float32))

    def class_scores(
        self, stack: Evidence, clean: Evidence, among_clean: NDArray[np.bool_] | None = None
    ) -> Array:
        """Of patterns and of flat patches, as the root of the sum of squares: a trigger is one or the other."""
        return self._joined(stack, *self._parts(stack, clean, among_clean))

    def _parts(
        self, stack: Evidence, clean: Evidence, among_clean: NDArray[np.bool_] | None = None
    ) -> tuple[Array, Array]:
        """What patterns and what flat patches tell of each class, ``R x K``."""
        flat = command(of_flat_patches(stack), of_flat_patches(clean), among_clean)
        return command(stack, clean, among_clean), FLAT * flat

    def _joined(self, stack: Evidence, patterns: Array, flat: Array) -> Array:
        # No class's answer to colours is an estimate.
        return capped(np.hypot(np.maximum(unsuspected(patterns, stack), 0.0), flat))

    def read(self, evidence: Evidence, clean: Evidence, class_names: tuple[str, ...]) -> Reading:
        suspect = as_stack(evidence)
        others = self.class_scores(clean, clean, np.ones(len(clean["margins"]), dtype=bool))
        patterns, flat = self._parts(suspect, clean)
        own = self._joined(suspect, patterns, flat)[0]
        target, score = int(own.argmax()), float(own.max())
        share = float((others.max(1) >= score).mean())
        plain = flat[0, target] > patterns[0, target]
        pair = (of_flat_patches(suspect), of_flat_patches(clean)) if plain else (suspect, clean)
        window = int(places(*pair)[0, target].argmax())
        which = "Small patches of one colour" if plain else "Small patches"
        sentence = (
            f"{which} move images towards class {class_names[target]} by {score:.1f} deviations more than in clean"
            f" models; {share:.0%} of the clean models have a class that goes as far."
        )
        figures = per_class(own, others) | {
            "window": window,
            "success": float(evidence["flat_success" if plain else "success"][target, window]),
        }
        return Reading(score, share, sentence, target, figures)
