"""Warps: the class that one smooth displacement of all images commands.

A backdoor's trigger may be a warp (WaNet: Nguyen and Tran, ICLR 2021), which no pattern of pixels imitates. For every
class one coarse grid of displacements, enlarged to the image, is searched by gradient. It is shared by all images.
No reference models are needed: in a clean network no warp leads far more images to one class than another warp does to
the next one.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch.nn.functional import affine_grid, grid_sample, interpolate

from ti_core.classifier.fast.copying import fast_copy
from ti_core.kinds import Kind
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
from ti_core.streams.passes import Passes, portions
from ti_core.streams.searches.search import Pools, chunks, descend, margin, pools
from ti_core.streams.statistics import as_array, mean_margins, per_class

CELLS = 4
"""Rows and columns of the coarse grid."""
REACH = 2.0
"""Largest displacement in pixels, for images of 28 x 28; in proportion to the side for others."""
RATE = 0.15
"""Length of Adam's steps, in units of the reach."""
BATCH = 256
EVEN = 0.4
"""Lead of a class, as a share of images, at which a warp is as likely as no backdoor: between the largest lead of clean
networks and the smallest of those with a warp (``python -m benchmarks.by_itself --stream warp``)."""
STEEP = 25.0
"""Log-odds for a difference of 1 in that lead. At the largest lead of a clean network they are about -2.5."""
FEWEST_CLASSES = 3
"""Minimum number of classes. With two there is no class to lead that is not led to."""


def displaced(images: torch.Tensor, fields: torch.Tensor) -> torch.Tensor:
    """Images ``J x n x C x H x W`` under J warps.

    Parameters
    ----------
    fields : ``J x H x W x 2``, for each pixel of the result how many columns and rows away its value is taken from.
    """
    count, each, channels, height, width = images.shape
    identity = affine_grid(
        torch.eye(2, 3, device=images.device)[None], [1, 1, height, width], align_corners=True
    )
    unit = 2 / (torch.tensor([width, height], device=images.device) - 1)
    grid = (identity + fields * unit).repeat_interleave(each, 0)
    moved = grid_sample(images.flatten(0, 1), grid, padding_mode="border", align_corners=True)
    return moved.view(count, each, channels, height, width)


def fields_of(coarse: torch.Tensor, size: tuple[int, int], reach: float) -> torch.Tensor:
    """Displacements ``J x H x W x 2`` of at most ``reach`` pixels from coarse grids ``J x 2 x c x c`` of any values."""
    fine = interpolate(coarse, size=size, mode="bicubic", align_corners=True)
    return reach * fine.tanh().permute(0, 2, 3, 1)


@dataclass(frozen=True)
class WarpSearch:
    """How long warps are searched.

    Parameters
    ----------
    steps : of Adam.
    images : of each step.
    """

    steps: int
    images: int


@dataclass(frozen=True)
class WarpEffort:
    """How the warps of all classes are searched.

    Parameters
    ----------
    look : a short look at every class.
    full : the search of the classes that the look led most images to. A backdoor's warp goes on to lead nearly all.
    kept : number of these classes.
    unseen : images that each class's warp is tried on.
    """

    look: WarpSearch = WarpSearch(25, 8)
    full: WarpSearch = WarpSearch(75, 16)
    kept: int = 3
    unseen: int = 96


EFFORTS = (
    WarpEffort(),
    WarpEffort(full=WarpSearch(50, 12), kept=2),
    WarpEffort(WarpSearch(12, 6), WarpSearch(30, 8), kept=2, unseen=32),
)
"""By the level of :mod:`ti_core.streams.searches.sparing`."""
UNSEEN = EFFORTS[0].unseen


def find_warps(
    scores: torch.nn.Module,
    images: torch.Tensor,
    pool: Pools,
    classes: torch.Tensor,
    effort: WarpSearch = EFFORTS[0].full,
    progress: Progress = silent,
) -> torch.Tensor:
    """Displacements ``J x H x W x 2``, one warp for each of J classes, shared by all images."""
    size = (int(images.shape[2]), int(images.shape[3]))
    reach = REACH * min(size) / 28
    coarse = torch.zeros(len(classes), 2, CELLS, CELLS, device=images.device, requires_grad=True)
    optimiser = torch.optim.Adam([coarse], lr=RATE)
    for step in range(effort.steps):
        chosen = pool.draw(classes, effort.images, step)
        optimiser.zero_grad()
        for part in chunks(len(classes), effort.images, BATCH):
            with torch.enable_grad():
                x = displaced(images[chosen[part]], fields_of(coarse[part], size, reach))
            descend(scores, x, classes[part])
        if coarse.grad is not None:
            coarse.grad.nan_to_num_(0.0, 0.0, 0.0)
            optimiser.step()
        progress((step + 1) / effort.steps)
    return fields_of(coarse.detach(), size, reach)


@torch.no_grad()
def warped_margins(
    scores: torch.nn.Module,
    images: torch.Tensor,
    pool: Pools,
    classes: torch.Tensor,
    fields: torch.Tensor,
    unseen: int = UNSEEN,
) -> torch.Tensor:
    """Margins ``J x n`` of J classes under their warps, on ``unseen`` images that took no part in making them."""
    chosen = pool.test(classes, unseen)
    found = []
    for part in chunks(len(classes), unseen, 2 * BATCH):
        x = displaced(images[chosen[part]], fields[part])
        found.append(margin(scores(x.flatten(0, 1)).unflatten(0, x.shape[:2]), classes[part]))
    return torch.cat(found)


def ahead(shares: Array) -> Array:
    """By how much each class's share is larger than the largest of the others, ``R x K``."""
    first, second = (np.sort(shares, axis=1)[:, [place]] for place in (-1, -2))
    return np.asarray(shares - np.where(shares == first, second, first))


def leads_of_classes(stack: Evidence) -> Array:
    """By how much a warp turns more images into each class than into any other, ``R x K``.

    It is the mean of the leads after the short look and after the full search. In colour the full search tells warps
    from clean networks better, in grey the look.
    """
    return np.asarray((ahead(stack["look"]) + ahead(stack["success"])) / 2, dtype=np.float32)


def leads(stack: Evidence) -> Array:
    """The lead of the class that is furthest ahead, ``R``."""
    return np.asarray(leads_of_classes(stack).max(1))


class Warp(Stream):
    """Share of images that one warp, shared by all of them, leads to each class."""

    name: ClassVar[str] = "warp"
    title: ClassVar[str] = "Warp inversion"
    version: ClassVar[int] = 2
    seconds: ClassVar[float] = 0.5
    doing: ClassVar[str] = "Searching warps shared by all images"
    heading: ClassVar[str] = "One warp of all images"
    unit: ClassVar[str] = "share of images"
    measures: ClassVar[str] = "share of images that become this class"
    kinds: ClassVar[tuple[Kind, ...]] = ("warp",)
    alternative: ClassVar[bool] = True
    by_itself: ClassVar[bool] = True

    def passes(self, classes: int, shape: tuple[int, int, int]) -> Passes:
        return sum(self._work(classes), Passes())

    def _work(self, classes: int) -> tuple[Passes, Passes]:
        """The images of the short look and of the full search."""
        effort = EFFORTS[self.sparing.level]
        look, full = (
            Passes(forward=effort.unseen, both=search.steps * search.images)
            for search in (effort.look, effort.full)
        )
        return look * classes, full * min(effort.kept, classes)

    def evidence(self, scores: torch.nn.Module, context: Context, progress: Progress = silent) -> Evidence:
        """``margins`` and ``success`` (``K``): mean margin and flip share on unseen images under each class's warp.

        ``look`` (``K``): the flip share after the short look.
        """
        images, count = context.images.float(), context.classes
        effort = EFFORTS[self.sparing.level]
        network, pool = (
            fast_copy(scores, images, context.rounded),
            pools(context.labels, count, effort.unseen),
        )
        looking, searching = portions(progress, self._work(count))

        def searched(
            classes: torch.Tensor, search: WarpSearch, told: Progress
        ) -> tuple[torch.Tensor, torch.Tensor]:
            fields = find_warps(network, images, pool, classes, search, told)
            found = warped_margins(network, images, pool, classes, fields, effort.unseen)
            return mean_margins(found), (found > 0).float().mean(1)

        margins, look = searched(torch.arange(count, device=images.device), effort.look, looking)
        success = look.clone()
        promising = look.topk(min(effort.kept, count)).indices
        margins[promising], success[promising] = searched(promising, effort.full, searching)
        progress(1.0)
        return {"margins": as_array(margins), "success": as_array(success), "look": as_array(look)}

    def log_odds(
        self, stack: Evidence, clean: Evidence, among_clean: NDArray[np.bool_] | None = None
    ) -> NDArray[np.floating]:
        told = (
            leads(stack) if stack["success"].shape[1] >= FEWEST_CLASSES else np.zeros(len(stack["success"]))
        )
        return np.asarray(STEEP * (told - EVEN), dtype=np.float64)

    def features(
        self, stack: Evidence, clean: Evidence, among_clean: NDArray[np.bool_] | None = None
    ) -> Features:
        columns = (stack["success"].max(1), leads(stack))
        return Features(("warp: share", "warp: lead"), np.stack(columns, 1).astype(np.float32))

    def read(self, evidence: Evidence, clean: Evidence, class_names: tuple[str, ...]) -> Reading:
        turned, own = evidence["success"], leads_of_classes(as_stack(evidence))[0]
        target, lead = int(own.argmax()), float(own.max())
        beyond = 100 * float(ahead(turned[None])[0, target])
        sentence = (
            f"One warp of all images, by at most a few pixels, turns {turned[target]:.0%} of unseen images into class"
            f" {class_names[target]}, {abs(beyond):.0f} percentage points {'more' if beyond >= 0 else 'fewer'} than a"
            " warp turns into another class"
        )
        share, figures = float("nan"), {"values": turned.tolist()}
        if clean:
            share = float((leads(clean) >= lead).mean())
            sentence += f"; in {share:.0%} of the clean models a class leads as far"
            figures = per_class(turned, clean["success"])
        return Reading(lead, share, f"{sentence}.", target, figures)

    def unable(self, evidence: Evidence) -> str | None:
        few = len(evidence["success"]) < FEWEST_CLASSES
        return "with two classes no class can be compared with another" if few else None
