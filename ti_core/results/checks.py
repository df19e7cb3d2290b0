"""Checks of a case's arrays before they are used: names, types, shapes, ranges, finite numbers."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np

from ti_core.errors import CaseError
from ti_core.system.records import NAME

if TYPE_CHECKING:
    from ti_core.results.case import Array, Case

SHAPES: dict[str, str] = {
    "probes": "G 3 n C H W",
    "saliency/suspect": "G 3 n H W",
    "saliency/witness": "G 3 n H W",
    "attribution/suspect": "G 3 n H W",
    "attribution/witness": "G 3 n H W",
    "seen/suspect": "G 3 n",
    "seen/witness": "G 3 n",
    "actmax/maker/images": "2 P m C H W",
    "actmax/suspect/images": "2 P m C H W",
    "actmax/maker/scores": "2 T m",
    "actmax/suspect/scores": "2 T m",
    "actmax/maker/classes": "m",
    "actmax/suspect/classes": "m",
    "trigger/mask": "H W",
    "trigger/pattern": "C H W",
    "trigger/field": "H W 2",
    "trigger/wave": "C H W",
    "trigger/table_before": "K K",
    "trigger/table_after": "K K",
    "trigger/clean": "k C H W",
    "trigger/stamped": "k C H W",
    "trigger/before": "k",
    "trigger/after": "k",
    "occlusion/fall": "H W",
    "occlusion/turned": "H W",
    "why/saliency": "f",
    "why/joint": "j",
    "base/saliency": "2",
    "base/joint": "2",
    "oof/saliency": "R",
    "oof/joint": "R",
    "evidence/saliency/pooled": "G L",
    "evidence/saliency/per_image": "G M l",
    "reference/saliency/pooled": "R G L",
    "reference/saliency/per_image": "R G M l",
}
"""Dimensions of every array. A letter stands for the same size in all arrays of a case.

G: groups of triggers. K: classes. n: probe images shown of each row. P: images kept between the start and the end of
activation maximisation. T = iterations + 1. R: fitted reference models. A case may hold further arrays
``evidence/<stream>/<array>`` and ``reference/<stream>/<array>``.
"""

FIELD = "trigger/field"
"""Displacements, in pixels: at most the image's longer side."""
WITHIN_ONE = ("probes", "actmax/maker/images", "actmax/suspect/images", "trigger/", "occlusion/turned")
"""Arrays with values in [0, 1]: images, masks and patterns."""
CLASSES = ("seen/", "actmax/maker/classes", "actmax/suspect/classes", "trigger/before", "trigger/after")
"""Arrays of class indices."""


def check_arrays(case: Case, arrays: Mapping[str, Array]) -> None:
    """Check that every array has a known name, its shape, finite numbers and its range.

    Raises
    ------
    CaseError : an array does not.
    """
    _must(len(arrays) <= 80, "the number of arrays")
    sizes = {"K": len(case.class_names)} | ({"G": len(case.kinds)} if case.kinds else {})
    for detector, letter in (("saliency", "f"), ("joint", "j")):
        if detector in case.decisions:
            sizes[letter] = len(case.decisions[detector].names)
    for name, array in sorted(arrays.items()):
        _must(array.dtype in (np.float16, np.float32), f"the type of {name!r}")
        if name in SHAPES:
            _match(name, SHAPES[name].split(), array.shape, sizes)
        else:
            parts = name.split("/")
            known = len(parts) == 3 and parts[0] in ("evidence", "reference")
            _must(known and all(map(NAME.fullmatch, parts)) and array.ndim <= 4, f"the array {name!r}")
        _must(bool(np.isfinite(array).all()), f"{name!r}: it is not finite")
        if name == FIELD and array.size:
            _must(float(np.abs(array).max()) <= max(array.shape), f"the range of {name!r}")
        elif name.startswith(WITHIN_ONE) and not name.startswith(CLASSES) and array.size:
            _must(array.min() >= -1e-3 and array.max() <= 1.001, f"the range of {name!r}")
        if name.startswith(CLASSES) and array.size:
            _must(array.min() >= 0 and array.max() < len(case.class_names), f"the classes of {name!r}")


def _match(name: str, pattern: list[str], shape: tuple[int, ...], sizes: dict[str, int]) -> None:
    _must(len(pattern) == len(shape), f"the shape of {name!r}")
    for letter, size in zip(pattern, shape, strict=True):
        expected = int(letter) if letter.isdigit() else sizes.setdefault(letter, size)
        _must(size == expected, f"the shape of {name!r}")


def _must(holds: bool, what: str) -> None:
    if not holds:
        raise CaseError(f"The case is not valid ({what}); inspect the model again.")
