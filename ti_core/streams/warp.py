"""Warps: the class that one smooth displacement of all images commands.

A backdoor's trigger may be a warp (WaNet: Nguyen and Tran, ICLR 2021), which no pattern of pixels imitates. For every
class one coarse grid of displacements, enlarged to the image, is searched by gradient. It is shared by all images.
"""

from __future__ import annotations

from typing import ClassVar

import torch
from torch.nn.functional import affine_grid, grid_sample, interpolate

from ti_core.classifier.fast.copying import fast_copy
from ti_core.kinds import Kind
from ti_core.streams.base import (
    Context,
    Evidence,
    Progress,
    Reading,
    silent,
)
from ti_core.streams.passes import Passes
from ti_core.streams.searches.class_margins import ClassMargins
from ti_core.streams.searches.search import Pools, chunks, margin, pools
from ti_core.streams.statistics import (
    as_array,
    mean_margins,
    per_class,
)

CELLS = 4
"""Rows and columns of the coarse grid."""
REACH = 2.0
"""Largest displacement in pixels, for images of 28 x 28; in proportion to the side for others."""
STEPS, RATE = 25, 0.15
"""Steps of Adam, and their length in units of the reach."""
IMAGES_A_STEP, UNSEEN = 8, 48
BATCH = 256


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


def find_warps(
    scores: torch.nn.Module,
    images: torch.Tensor,
    pool: Pools,
    classes: torch.Tensor,
    progress: Progress = silent,
) -> torch.Tensor:
    """Displacements ``J x H x W x 2``, one warp for each of J classes, shared by all images."""
    size = (int(images.shape[2]), int(images.shape[3]))
    reach = REACH * min(size) / 28
    coarse = torch.zeros(len(classes), 2, CELLS, CELLS, device=images.device, requires_grad=True)
    optimiser = torch.optim.Adam([coarse], lr=RATE)
    for step in range(STEPS):
        chosen = pool.draw(classes, IMAGES_A_STEP, step)
        optimiser.zero_grad()
        for part in chunks(len(classes), IMAGES_A_STEP, BATCH):
            with torch.enable_grad():
                x = displaced(images[chosen[part]], fields_of(coarse[part], size, reach))
                z = scores(x.flatten(0, 1)).unflatten(0, x.shape[:2])
                loss = -margin(z, classes[part]).mean(1)
                # One class's scale of margins, or a broken one, must not stop another's search: Adam is scale-free.
                torch.where(loss.isfinite(), loss, torch.zeros_like(loss)).sum().backward()
        if coarse.grad is not None:
            coarse.grad.nan_to_num_(0.0, 0.0, 0.0)
            optimiser.step()
        progress((step + 1) / (STEPS + 1))
    return fields_of(coarse.detach(), size, reach)


@torch.no_grad()
def warped_margins(
    scores: torch.nn.Module, images: torch.Tensor, pool: Pools, classes: torch.Tensor, fields: torch.Tensor
) -> torch.Tensor:
    """Margins ``J x n`` of J classes under their warps, on images that took no part in making them."""
    chosen = pool.test(classes, UNSEEN)
    found = []
    for part in chunks(len(classes), UNSEEN, 2 * BATCH):
        x = displaced(images[chosen[part]], fields[part])
        found.append(margin(scores(x.flatten(0, 1)).unflatten(0, x.shape[:2]), classes[part]))
    return torch.cat(found)


class Warp(ClassMargins):
    """Margin of every class under the best warp shared by all images."""

    name: ClassVar[str] = "warp"
    title: ClassVar[str] = "Warp inversion"
    version: ClassVar[int] = 1
    seconds: ClassVar[float] = 0.5
    doing: ClassVar[str] = "Searching warps shared by all images"
    heading: ClassVar[str] = "One warp of all images"
    unit: ClassVar[str] = "deviations"
    measures: ClassVar[str] = "deviations by class"
    kinds: ClassVar[tuple[Kind, ...]] = ("warp",)

    def passes(self, classes: int, shape: tuple[int, int, int]) -> Passes:
        return Passes(forward=UNSEEN, both=STEPS * IMAGES_A_STEP) * classes

    def evidence(self, scores: torch.nn.Module, context: Context, progress: Progress = silent) -> Evidence:
        """``margins`` and ``success`` (``K``): mean margin and flip share on unseen images under each class's warp."""
        images, count = context.images.float(), context.classes
        network, pool = fast_copy(scores, images, context.rounded), pools(context.labels, count, UNSEEN)
        everyone = torch.arange(count, device=images.device)
        fields = find_warps(network, images, pool, everyone, progress)
        margins = warped_margins(network, images, pool, everyone, fields)
        progress(1.0)
        return {
            "margins": as_array(mean_margins(margins)),
            "success": as_array((margins > 0).float().mean(1)),
        }

    def read(self, evidence: Evidence, clean: Evidence, class_names: tuple[str, ...]) -> Reading:
        found = self.beside(evidence, clean)
        turned = float(evidence["success"][found.target])
        sentence = (
            f"One warp of all images, by at most a few pixels, turns {turned:.0%} of unseen images into class"
            f" {class_names[found.target]}: {found.score:.1f} deviations more than in clean models;"
            f" {found.clean_share:.0%} of the clean models have a class that goes as far."
        )
        return Reading(
            found.score, found.clean_share, sentence, found.target, per_class(found.own, found.others)
        )
