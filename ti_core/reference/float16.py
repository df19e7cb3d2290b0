"""Evidence stored as float16, scaled by a power of two so that every value is in range."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

EXPONENT = ":exponent"
"""Ending of the key that holds an array's exponent: the values are 2 to this power times the stored ones."""

_TOP = 15
"""The largest stored value is below 2 to this power; the largest float16 is 65504."""


def packed(arrays: Mapping[str, NDArray[np.float32]]) -> dict[str, NDArray[Any]]:
    """Every array as float16, with its exponent beside it unless all values are zero.

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
    """The arrays that :func:`packed` was given, as float32. Arrays without an exponent are only converted."""
    found: dict[str, NDArray[np.float32]] = {}
    for key, stored in arrays.items():
        if key.endswith(EXPONENT):
            continue
        values = np.asarray(stored, dtype=np.float32)
        exponent = arrays.get(key + EXPONENT)
        found[key] = values if exponent is None else np.ldexp(values, np.int32(exponent)).astype(np.float32)
    return found
