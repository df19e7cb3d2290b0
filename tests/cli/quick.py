"""Options of an inspection that takes a moment."""

from __future__ import annotations

QUICK = (
    *("--set", "streams=saliency"),
    *("--set", "images=8"),
    *("--set", "actmax_iterations=3"),
    *("--set", "patch_size=4"),
)
