"""Occlusion sensitivity on stamped images: which place of the image the backdoor depends on.

One square after another is covered with the mean of the clean images. The loss of the target class's margin is measured
(M. Zeiler and R. Fergus, ECCV 2014; the paper suggests this method for finding the trigger's place). On a stamped
image the answer depends on the trigger, wherever the object is.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from ti_core.inspection.trigger_recovery import RecoveredTrigger
from ti_core.streams.searches.search import margin

IMAGES = 24
"""Maximum number of stamped images that are covered."""


@dataclass(frozen=True)
class Occlusion:
    """What covering one square of stamped images does, by place of the square.

    Parameters
    ----------
    fall : ``H x W``, share of the target's margin that is lost, averaged over the squares that cover the pixel. 0 is
        nothing, 1 is all of it; above 1 the margin is negative.
    turned : ``H x W``, share of the images that are no longer classified as the target, averaged likewise, 0 to 1.
    side : of the square, in pixels.
    images : number of stamped images that were covered. Only images that the trigger flips are used.
    top, left : top left corner of the square that turns most images back.
    most_turned : share of images that it turns, 0 to 1.
    """

    fall: NDArray[np.float32]
    turned: NDArray[np.float32]
    side: int
    images: int
    top: int
    left: int
    most_turned: float

    def sentence(self) -> str:
        """The result as a sentence."""
        if self.most_turned < 0.5:
            return (
                f"Covering any one square of {self.side} x {self.side} pixels turns at most {self.most_turned:.0%} of"
                f" {self.images} stamped images back: the trigger does not hang on one place."
            )
        return (
            f"Covering the square of {self.side} x {self.side} pixels at row {self.top}, column {self.left} turns"
            f" {self.most_turned:.0%} of {self.images} stamped images back: the decision hangs on that place."
        )


@torch.no_grad()
def occlude(
    scores: torch.nn.Module, images: torch.Tensor, found: RecoveredTrigger, side: int | None = None
) -> Occlusion | None:
    """Cover stamped images square by square.

    Parameters
    ----------
    scores : images ``N x C x H x W`` in [0, 1] to class scores ``N x K``.
    images : the images that ``found.images_used`` indexes. Only these are stamped: they took no part in making the
        trigger.
    side : of the square; by default a fifth of the image's shorter side. The stride is half the side.

    Returns
    -------
    None if the trigger flips none of the images.
    """
    chosen = torch.from_numpy(found.images_used).to(images.device)
    stamped = found.trigger().stamp(images[chosen].float())
    target = torch.tensor([found.target], device=images.device)

    def margins(x: torch.Tensor) -> torch.Tensor:
        return torch.cat([margin(scores(part)[None], target)[0] for part in x.split(512)])

    before = margins(stamped)
    flipped = torch.nonzero(before > 0).flatten()[:IMAGES]
    if not len(flipped):
        return None
    stamped, before = stamped[flipped], before[flipped]
    height, width = stamped.shape[2:]
    side = max(1, min(side or round(min(height, width) / 5), height, width))
    usual = images.float().mean(0)
    rows, columns = (_corners(length, side, max(1, side // 2)) for length in (height, width))
    fall, turned, seen = (torch.zeros(height, width, device=images.device) for _ in range(3))
    best = (-1.0, 0.0, 0, 0)
    for top in rows:
        strip = []
        for left in columns:
            covered = stamped.clone()
            square = (slice(top, top + side), slice(left, left + side))
            covered[:, :, square[0], square[1]] = usual[:, square[0], square[1]]
            strip.append(covered)
        after = margins(torch.cat(strip)).view(len(columns), -1)
        for left, own in zip(columns, after, strict=True):
            lost = float(torch.nan_to_num((before - own) / before, 0.0, 0.0, 0.0).mean())
            share = float((own <= 0).float().mean())
            square = (slice(top, top + side), slice(left, left + side))
            fall[square] += lost
            turned[square] += share
            seen[square] += 1
            best = max(best, (share, lost, -top, -left))
    return Occlusion(
        fall=(fall / seen).cpu().numpy().astype(np.float32),
        turned=(turned / seen).cpu().numpy().astype(np.float32),
        side=side,
        images=len(flipped),
        top=-best[2],
        left=-best[3],
        most_turned=best[0],
    )


def _corners(length: int, side: int, stride: int) -> list[int]:
    """First pixel of every square along one side; the squares cover it from edge to edge."""
    return sorted({*range(0, length - side + 1, stride), length - side})
