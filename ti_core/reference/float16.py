"""Evidence in half the bytes: float16, scaled by a power of two so that nothing falls out of its range."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

EXPONENT = ":exponent"
"""What follows an array's key where its values were scaled: they are 2 to this power times the stored ones."""

_TOP = 15
"""The largest stored value lies below 2 to this power; float16 ends at 65504."""


def packed(arrays: Mapping[str, NDArray[np.float32]]) -> dict[str, NDArray[Any]]:
    """Every array as float16 and, where it is not all zero, its exponent beside it.

    Scaling by a power of two is exact. Values down to 2^-28 of an array's largest keep 11 significant bits (a
    relative error of at most 2^-11, a twentieth of what processors differ by in a gradient and ``pack verify``
    tolerates); below that the error is at most 2^-39 of the largest. An array with values that are not finite stays
    as it is.
    """
    found: dict[str, NDArray[Any]] = {}
    for key, values in arrays.items():
        largest = float(np.abs(values).max(initial=0.0))
        if not np.isfinite(largest):
            found[key] = values
            continue
        exponent = int(np.frexp(largest)[1]) - _TOP if largest else 0
        found[key] = np.ldexp(np.asarray(values, dtype=np.float64), -exponent).astype(np.float16)
        if exponent:
            found[key + EXPONENT] = np.array(exponent, dtype=np.int16)
    return found


def unpacked(arrays: Mapping[str, NDArray[Any]]) -> dict[str, NDArray[np.float32]]:
    """What :func:`packed` was given, as float32; arrays of any float type that were never packed stay as they are."""
    found: dict[str, NDArray[np.float32]] = {}
    for key, stored in arrays.items():
        if key.endswith(EXPONENT):
            continue
        values = np.asarray(stored, dtype=np.float32)
        exponent = arrays.get(key + EXPONENT)
        found[key] = values if exponent is None else np.ldexp(values, np.int32(exponent)).astype(np.float32)
    return found
