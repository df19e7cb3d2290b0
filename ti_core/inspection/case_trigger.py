"""The arrays of a case that show the recovered trigger and its occlusion maps."""

from __future__ import annotations

import numpy as np
import torch

from ti_core.inspection.result import Inspection
from ti_core.results.case import Array

LOOKED_AT, STAMPED = 64, 8
"""Number of images from which those shown are chosen, and number of images shown without and with the trigger."""


@torch.no_grad()
def trigger_arrays(inspection: Inspection, images: torch.Tensor) -> dict[str, Array]:
    """The recovered trigger, its occlusion maps, and images that took no part in making it, without and with it.

    Parameters
    ----------
    images : ``N x C x H x W`` in [0, 1], those of the inspection.
    """
    found, classifier, covered = inspection.trigger, inspection.classifier, inspection.occlusion
    if found is None or classifier is None:
        return {}
    clean = images[found.images_used[:LOOKED_AT]]
    before = classifier.scores(clean).argmax(1)
    chosen = (before != (-1 if found.target is None else found.target)).nonzero().flatten()[:STAMPED]
    clean, stamped = clean[chosen], found.stamp(clean[chosen])
    arrays = {f"trigger/{name}": values for name, values in found.arrays().items()}
    arrays |= {
        "trigger/clean": half(clean),
        "trigger/stamped": half(stamped),
        "trigger/before": floats(before[chosen]),
        "trigger/after": floats(classifier.scores(stamped).argmax(1)),
    }
    if covered is not None:
        arrays["occlusion/fall"] = np.nan_to_num(covered.fall, posinf=0.0, neginf=0.0)
        arrays["occlusion/turned"] = np.asarray(covered.turned, dtype=np.float32)
    return arrays


def half(images: torch.Tensor) -> Array:
    """Images in [0, 1] as float16."""
    return np.asarray(images.detach().cpu().clamp(0, 1).numpy(), dtype=np.float16)


def floats(values: torch.Tensor) -> Array:
    """Numbers as float32."""
    return np.asarray(values.detach().cpu().numpy(), dtype=np.float32)
