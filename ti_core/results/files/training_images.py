"""Labelled images as plain arrays, as a job leaves them before a pack is built.

They are checked: an image may have taken over the process that read it. This process then writes them anew.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from ti_core.errors import DataError
from ti_core.system.records import Group, Text
from ti_core.system.schema import checked
from ti_core.text import plain

FILE, IMAGES = "images.json", "images.safetensors"
LARGEST_FILE, LARGEST_IMAGES = 1_000_000, 1 << 30
MOST_CLASSES, LARGEST_SIDE = 1000, 512
NOTHING = "The process that read the images left no valid ones"


class ImagesRecord(Group):
    """``images.json`` of a job."""

    class_names: list[Text] = Field(min_length=2, max_length=MOST_CLASSES)


@dataclass(frozen=True)
class TrainingImages:
    """Images to train and to test with.

    Parameters
    ----------
    arrays : ``x_train``, ``x_test`` uint8 ``N x C x H x W``, ``y_train``, ``y_test`` int64 class indices.
    class_names : of the classes.
    """

    arrays: Mapping[str, NDArray[Any]]
    class_names: tuple[str, ...]

    @classmethod
    def of(cls, record: Mapping[str, Any], blob: bytes) -> TrainingImages:
        """
        Raises
        ------
        DataError : the job left something else.
        """
        from safetensors import SafetensorError
        from safetensors.numpy import load

        try:
            checked(ImagesRecord, "The record of the images", record)
            arrays = load(blob)
        except (SafetensorError, ValueError, TypeError, KeyError) as error:
            raise DataError(f"{NOTHING}: {error}") from error
        if arrays.keys() != {"x_train", "x_test", "y_train", "y_test"}:
            raise DataError(f"{NOTHING}: they are other arrays.")
        names = tuple(plain(name, 80) for name in record["class_names"])
        shapes = set()
        for split in ("train", "test"):
            x, y = arrays[f"x_{split}"], arrays[f"y_{split}"]
            sound = x.dtype == np.uint8 and x.ndim == 4 and x.shape[1] in (1, 3) and len(x)
            sound = sound and min(x.shape[2:]) > 0 and max(x.shape[2:]) <= LARGEST_SIDE
            sound = sound and y.dtype == np.int64 and y.shape == (len(x),)
            if not sound or y.min() < 0 or y.max() >= len(names):
                raise DataError(f"{NOTHING}: images or labels have another form.")
            shapes.add(x.shape[1:])
        if len(shapes) != 1:
            raise DataError(f"{NOTHING}: the images have several sizes.")
        return cls(arrays, names)

    def write(self, path: Path) -> None:
        """Write them as an ``.npz`` for ``pack build``."""
        found: dict[str, Any] = {name: self.arrays[name] for name in ("y_train", "y_test")}
        for name in ("x_train", "x_test"):
            x = np.moveaxis(self.arrays[name], 1, 3)
            found[name] = x[..., 0] if x.shape[3] == 1 else x
        with path.open("wb") as file:
            np.savez(file, class_names=np.array(self.class_names), **found)
