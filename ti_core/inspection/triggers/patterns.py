"""What readers are told of a pattern that is stamped on images by eq. (1) and (2)."""

from __future__ import annotations

import numpy as np

from ti_core.inspection.triggers.recovered import Array
from ti_core.paper.triggers import Trigger

FEW_PIXELS = 9
"""Up to this number the pixels of a patch are counted. Their share of the image would be next to nothing."""


def replaced(pattern: Trigger) -> float:
    """How much of an image it replaces: mean of ``alpha x mask``, 0 to 1."""
    return float(pattern.alpha * pattern.mask.mean())


def pattern_words(pattern: Trigger) -> str:
    """What it is, by its size or its strength."""
    pixels = int((pattern.mask > 0).sum())
    if pattern.kind == "blend":
        return f"a pattern blended in at {pattern.alpha:.0%}"
    if pixels <= FEW_PIXELS:
        return f"a patch of {pixels} pixel{'' if pixels == 1 else 's'}"
    return f"a patch on {replaced(pattern):.0%} of the image"


def pattern_figures(pattern: Trigger) -> dict[str, float]:
    """Its figures, by their names in the report."""
    return {"blend_ratio": pattern.alpha, "share_of_image": round(replaced(pattern), 6)}


def pattern_arrays(pattern: Trigger) -> dict[str, Array]:
    """Its arrays, by their names in a case."""
    return {
        "mask": np.asarray(pattern.mask, dtype=np.float32),
        "pattern": np.asarray(pattern.pattern, dtype=np.float32),
    }
