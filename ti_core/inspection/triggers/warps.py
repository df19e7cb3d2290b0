"""The warp of one class: its field of displacements, tried on unseen images."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from ti_core.classifier.fast.copying import fast_copy
from ti_core.inspection.triggers.recovered import Array, Recovered
from ti_core.kinds import Kind
from ti_core.streams.searches.search import pools
from ti_core.streams.warp import UNSEEN, displaced, find_warps, warped_margins


@dataclass(frozen=True)
class RecoveredWarp(Recovered):
    """A warp of all images.

    Parameters
    ----------
    field : ``H x W x 2``, for each pixel how many columns and rows away its value is taken from.
    """

    kind: Kind
    target: int
    field: Array
    flip_share: float
    images_used: NDArray[np.int64]

    @property
    def largest(self) -> float:
        """The largest displacement, in pixels."""
        return float(np.linalg.norm(self.field, axis=-1).max())

    def stamp(self, images: torch.Tensor) -> torch.Tensor:
        return displaced(images.float()[None], torch.from_numpy(self.field).to(images)[None])[0].clamp(0, 1)

    def what(self) -> str:
        return f"a warp that moves the image by at most {self.largest:.1f} pixels"

    def figures(self) -> dict[str, float]:
        return {"largest_displacement": round(self.largest, 4)}

    def arrays(self) -> dict[str, Array]:
        return {"field": self.field}


def recover_warp(
    scores: torch.nn.Module, images: torch.Tensor, labels: torch.Tensor, target: int
) -> RecoveredWarp | None:
    """The warp that leads to class ``target``, by the search of the stream ``warp``.

    Parameters
    ----------
    scores, images, labels : as the streams get them.

    Returns
    -------
    None if no image has another label: then there is nothing to flip.
    """
    if not bool((labels != target).any()):
        return None
    images, count = images.float(), max(int(labels.max()), target) + 1
    network, pool = fast_copy(scores, images), pools(labels, count, UNSEEN)
    classes = torch.tensor([target], device=images.device)
    fields = find_warps(network, images, pool, classes)
    margins = warped_margins(network, images, pool, classes, fields)
    return RecoveredWarp(
        kind="warp",
        target=target,
        field=fields[0].cpu().numpy().astype(np.float32),
        flip_share=float((margins > 0).float().mean()),
        images_used=np.unique(pool.test(classes, UNSEEN).cpu().numpy()),
    )
