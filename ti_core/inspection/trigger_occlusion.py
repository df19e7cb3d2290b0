"""Occlusion sensitivity on stamped images: which place of the image the backdoor depends on.

One rectangle after another is covered with the mean of the clean images. The loss of the target class's margin is
measured (M. Zeiler and R. Fergus, ECCV 2014; the paper suggests this method for finding the trigger's place). On a
stamped image the answer depends on the trigger, wherever the object is.

A rectangle that is smaller than the trigger leaves a part of it, and a part may be enough. So the rectangle is as large
as the recovered trigger. A trigger that covers most of the image has no such rectangle. There a small square is tried,
and then one of half the image's height and width.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from ti_core.classifier.fast.portions import InPortions
from ti_core.inspection.trigger_recovery import RecoveredTrigger
from ti_core.streams.searches.search import margin

IMAGES = 24
"""Maximum number of stamped images that are covered."""
FINE = 5
"""The smallest rectangle that is tried has an n-th of the image's shorter side, with this n."""
SPREAD = 0.5
"""Share of the image from which on the trigger's own extent is no place in it."""
PARTLY, WHOLLY = 0.5, 0.9
"""Shares of the images that must turn back before the decision is said to hang on a place, in part or wholly."""

Margins = Callable[[torch.Tensor], torch.Tensor]


@dataclass(frozen=True)
class Occlusion:
    """What covering one rectangle of stamped images does, by place of the rectangle.

    Parameters
    ----------
    fall : ``H x W``, share of the target's margin that is lost, averaged over the rectangles that cover the pixel. 0 is
        nothing, 1 is all of it; above 1 the margin is negative.
    turned : ``H x W``, share of the images that are no longer classified as the target, averaged likewise, 0 to 1.
    height, width : of the rectangle, in pixels.
    images : number of stamped images that were covered. Only images that the trigger flips are used.
    top, left : top left corner of the rectangle that turns most images back.
    most_turned : share of images that it turns, 0 to 1.
    """

    fall: NDArray[np.float32]
    turned: NDArray[np.float32]
    height: int
    width: int
    images: int
    top: int
    left: int
    most_turned: float

    def sentence(self) -> str:
        """The result as a sentence."""
        size = f"{self.height} x {self.width} pixels"
        if self.most_turned >= PARTLY:
            how = "hangs" if self.most_turned >= WHOLLY else "hangs in part"
            return (
                f"Covering the {size} at row {self.top}, column {self.left} turns {self.most_turned:.0%} of"
                f" {self.images} stamped images back: the decision {how} on that place."
            )
        return (
            f"Covering any one place of {size} turns at most {self.most_turned:.0%} of {self.images} stamped images"
            " back: the decision hangs on no place of that size."
        )


@torch.no_grad()
def occlude(
    scores: torch.nn.Module,
    images: torch.Tensor,
    found: RecoveredTrigger,
    side: int | None = None,
    most: int = IMAGES,
) -> Occlusion | None:
    """Cover stamped images rectangle by rectangle.

    Parameters
    ----------
    scores : images ``N x C x H x W`` in [0, 1] to class scores ``N x K``.
    images : the images that ``found.images_used`` indexes. Only these are stamped: they took no part in making the
        trigger.
    side : cover squares of this side; by default rectangles as large as the trigger (:func:`extents`).
    most : maximum number of stamped images that are covered.

    Returns
    -------
    What covering did with the first size that turns most images back, or else with the largest. None if the trigger
    flips none of the images.
    """
    chosen = torch.from_numpy(found.images_used).to(images.device)
    stamped = found.trigger().stamp(images[chosen].float())
    target = torch.tensor([found.target], device=images.device)

    network = InPortions(scores)

    def margins(x: torch.Tensor) -> torch.Tensor:
        return torch.cat([margin(network(part)[None], target)[0] for part in x.split(512)])

    before = margins(stamped)
    flipped = torch.nonzero(before > 0).flatten()[:most]
    if not len(flipped):
        return None
    usual, corner = images.float().mean(0), _box(found.mask)[:2]
    for size in extents(found.mask) if side is None else [(side, side)]:
        result = _covered(margins, stamped[flipped], before[flipped], usual, size, corner)
        if result.most_turned >= PARTLY:
            break
    return result


def extents(mask: NDArray[np.float32]) -> list[tuple[int, int]]:
    """Heights and widths of the rectangles to cover for a trigger with this mask ``H x W``, the first to try first."""
    height, width = mask.shape
    fine = max(1, round(min(height, width) / FINE))
    _, _, high, wide = _box(mask)
    if high * wide < SPREAD * height * width:
        return [(max(high, fine), max(wide, fine))]
    return [(fine, fine), (max(1, height // 2), max(1, width // 2))]


def _box(mask: NDArray[np.float32]) -> tuple[int, int, int, int]:
    """Top, left, height and width of the smallest rectangle that holds everything the mask covers."""
    rows, columns = (np.flatnonzero((mask > 0).any(axis=axis)) for axis in (1, 0))
    if not len(rows):
        return 0, 0, *mask.shape
    return int(rows[0]), int(columns[0]), int(np.ptp(rows)) + 1, int(np.ptp(columns)) + 1


def _covered(
    margins: Margins,
    stamped: torch.Tensor,
    before: torch.Tensor,
    usual: torch.Tensor,
    size: tuple[int, int],
    corner: tuple[int, int],
) -> Occlusion:
    """Cover rectangles of one size. One of them has its top left corner at ``corner``, if it fits there."""
    lengths = stamped.shape[2:]
    high, wide = (max(1, min(own, length)) for own, length in zip(size, lengths, strict=True))
    rows, columns = (
        _corners(length, own, first) for length, own, first in zip(lengths, (high, wide), corner, strict=True)
    )
    fall, turned, seen = (torch.zeros(*lengths, device=stamped.device) for _ in range(3))
    best = (-1.0, 0.0, 0, 0)
    for top in rows:
        places = [(slice(top, top + high), slice(left, left + wide)) for left in columns]
        strip = []
        for place in places:
            covered = stamped.clone()
            covered[:, :, *place] = usual[:, *place]
            strip.append(covered)
        after = margins(torch.cat(strip)).view(len(columns), -1)
        for left, place, own in zip(columns, places, after, strict=True):
            lost = float(torch.nan_to_num((before - own) / before, 0.0, 0.0, 0.0).mean())
            share = float((own <= 0).float().mean())
            fall[place] += lost
            turned[place] += share
            seen[place] += 1
            best = max(best, (share, lost, -top, -left))
    return Occlusion(
        fall=(fall / seen).cpu().numpy().astype(np.float32),
        turned=(turned / seen).cpu().numpy().astype(np.float32),
        height=high,
        width=wide,
        images=len(stamped),
        top=-best[2],
        left=-best[3],
        most_turned=best[0],
    )


def _corners(length: int, side: int, own: int) -> list[int]:
    """First pixel of every rectangle along one side. They cover it from edge to edge, and one begins at ``own``."""
    last = length - side
    return sorted({*range(0, last + 1, max(1, side // 2)), min(own, last), last})
