"""The wave of one class, laid over all images and tried on unseen ones."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from ti_core.classifier.fast.copying import fast_copy
from ti_core.inspection.triggers.recovered import Array, Recovered
from ti_core.kinds import Kind
from ti_core.streams.searches.search import pools, shifted
from ti_core.streams.stripes import UNSEEN, find_waves, wave_margins


@dataclass(frozen=True)
class RecoveredStripes(Recovered):
    """A wave over all images.

    Parameters
    ----------
    wave : ``C x H x W``, added to an image's pixels.
    amplitude : of its strongest channel, in pixel units of [0, 1].
    period : distance from crest to crest, in pixels; 0 if there is none.
    """

    kind: Kind
    target: int
    wave: Array
    amplitude: float
    period: float
    flip_share: float
    images_used: NDArray[np.int64]

    def stamp(self, images: torch.Tensor) -> torch.Tensor:
        return shifted(images.float()[None], torch.from_numpy(self.wave).to(images)[None])[0]

    def what(self) -> str:
        return f"a wave of amplitude {self.amplitude:.2f} and a period of {self.period:.1f} pixels"

    def figures(self) -> dict[str, float]:
        return {"amplitude": round(self.amplitude, 4), "period": round(self.period, 4)}

    def arrays(self) -> dict[str, Array]:
        """The wave from 0 to 1, with 0.5 where it changes nothing."""
        largest = max(float(np.abs(self.wave).max()), 1e-12)
        return {"wave": np.asarray(0.5 + 0.5 * self.wave / largest, dtype=np.float32)}


def recover_stripes(
    scores: torch.nn.Module, images: torch.Tensor, labels: torch.Tensor, target: int
) -> RecoveredStripes | None:
    """The wave that leads to class ``target``, by the search of the stream ``stripes``.

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
    size = (int(images.shape[2]), int(images.shape[3]))
    network, pool = fast_copy(scores, images), pools(labels, count, UNSEEN)
    classes = torch.tensor([target], device=images.device)
    found = find_waves(network, images, labels, pool, classes)
    laid = found.laid(size)
    margins = wave_margins(network, images, pool, classes, laid)
    cycles = math.hypot(*(float(n) / side for n, side in zip(found.turns[0], size, strict=True)))
    return RecoveredStripes(
        kind="stripes",
        target=target,
        wave=laid[0].cpu().numpy().astype(np.float32),
        amplitude=float(found.amplitude.max()),
        period=1 / cycles if cycles > 0 else 0.0,
        flip_share=float((margins > 0).float().mean()),
        images_used=np.unique(pool.test(classes, UNSEEN).cpu().numpy()),
    )
