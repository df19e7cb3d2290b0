"""Maps of one image by every method of attribution, as a job leaves them. They are checked: it may be taken over."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from ti_core.errors import DataError
from ti_core.settings import ATTRIBUTIONS
from ti_core.system.records import Group, Text, Whole
from ti_core.system.schema import checked

FILE, MAPS = "attributions.json", "attributions.safetensors"
LARGEST_FILE, LARGEST_MAPS = 1_000_000, 256 << 20
WHO = ("suspect", "witness")
"""The model, and a clean reference model."""
NOTHING = "The process that opened the file left no valid maps"

Map = NDArray[np.float32]


class UnfitRecord(Group):
    """A method that cannot be used on a network."""

    method: Text
    who: Text
    reason: Text


class AttributionsRecord(Group):
    """``attributions.json`` of a job."""

    seen: list[Whole] = Field(min_length=2, max_length=2)
    unfit: list[UnfitRecord] = Field(max_length=2 * len(ATTRIBUTIONS))


@dataclass(frozen=True)
class Attributions:
    """What every method says of one image.

    Parameters
    ----------
    maps : by method and network (:data:`WHO`), ``H x W``, at least 0.
    unfit : why a method cannot be used on a network, in sentences.
    seen : the class that each network sees in the image.
    """

    maps: Mapping[tuple[str, str], Map]
    unfit: Mapping[tuple[str, str], str]
    seen: tuple[int, int]

    @classmethod
    def of(cls, record: Mapping[str, Any], blob: bytes, shape: tuple[int, int], classes: int) -> Attributions:
        """
        Parameters
        ----------
        shape, classes : of the image, ``H, W``, and the number of classes.

        Raises
        ------
        DataError : the job left something else.
        """
        from safetensors import SafetensorError
        from safetensors.numpy import load

        try:
            checked(AttributionsRecord, "What the methods of attribution say", record)
            arrays = load(blob)
        except (SafetensorError, ValueError, TypeError, KeyError) as error:
            raise DataError(f"{NOTHING}: {error}") from error
        unfit = {(one["method"], one["who"]): one["reason"] for one in record["unfit"]}
        maps = {(name.partition("/")[0], name.partition("/")[2]): array for name, array in arrays.items()}
        every = {(method, who) for method in ATTRIBUTIONS for who in WHO}
        if maps.keys() | unfit.keys() != every or maps.keys() & unfit.keys():
            raise DataError(f"{NOTHING}: a method has neither a map nor a reason, or both.")
        for array in maps.values():
            sound = array.dtype == np.float32 and array.shape == shape
            if not sound or not np.isfinite(array).all() or (array.size and array.min() < 0):
                raise DataError(f"{NOTHING}: a map has another form.")
        if not all(0 <= seen < classes for seen in record["seen"]):
            raise DataError(f"{NOTHING}: there is no such class.")
        suspect, witness = record["seen"]
        return cls(maps, unfit, (suspect, witness))

    def top(self, method: str) -> float:
        """The end of the colour scale of a method: the 99.5th percentile of both networks' maps together."""
        found = [self.maps[method, who].ravel() for who in WHO if (method, who) in self.maps]
        return max(float(np.quantile(np.concatenate(found), 0.995)), 1e-12) if found else 1e-12
