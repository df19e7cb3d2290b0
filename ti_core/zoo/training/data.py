"""Reads training images from an ``.npz`` file or from a folder with one sub-folder of images per class."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from ti_core.errors import DataError
from ti_core.reference.picture_files import IMAGE_ENDINGS, MOST_ARCHIVE, Picture, opened, opener
from ti_core.system.arrays import ArraysError, ArraysFile
from ti_core.system.plain_files import open_plain


@dataclass(frozen=True)
class ImageData:
    """Labelled images: ``x`` uint8 ``N x C x H x W``, ``y`` int64 class indices ``N``, class names by index."""

    name: str
    x_train: NDArray[np.uint8]
    y_train: NDArray[np.int64]
    x_test: NDArray[np.uint8]
    y_test: NDArray[np.int64]
    class_names: tuple[str, ...]

    @property
    def image_shape(self) -> tuple[int, int, int]:
        c, h, w = self.x_train.shape[1:]
        return int(c), int(h), int(w)

    @property
    def classes(self) -> int:
        return len(self.class_names)


def to_unit(images: NDArray[np.uint8]) -> torch.Tensor:
    """Bytes to float32 in [0, 1]."""
    return torch.from_numpy(images).float().div_(255.0)


def load_data(path: Path, size: int | None = None, seed: int = 0) -> ImageData:
    """Read an ``.npz`` (``x_train, y_train, x_test, y_test, class_names``) or a folder of images per class.

    A folder's images are split at random, from ``seed``, into four fifths for training and one fifth for testing. They
    are scaled to ``size`` x ``size`` pixels (default: 32). They are grey only if all of them are.

    Raises
    ------
    DataError : the path holds neither, or its arrays have another type or shape.
    """
    if path.is_dir():
        return _from_folder(path, size or 32, seed)
    try:
        with open_plain(path, MOST_ARCHIVE, DataError) as file:
            z = ArraysFile(file, MOST_ARCHIVE)
            arrays = {k: z[k] for k in ("x_train", "y_train", "x_test", "y_test", "class_names")}
    except ArraysError as error:
        raise DataError(f"{path.name} is no image data set: {error}.") from error
    for key in ("x_train", "x_test"):
        if arrays[key].dtype != np.uint8 or arrays[key].ndim not in (3, 4):
            raise DataError(f"{path.name}: {key} must be uint8 of shape N x H x W or N x H x W x C.")
    _check_arrays(path.name, arrays)
    return ImageData(
        name=path.stem,
        x_train=_channels_first(arrays["x_train"]),
        y_train=arrays["y_train"].astype(np.int64),
        x_test=_channels_first(arrays["x_test"]),
        y_test=arrays["y_test"].astype(np.int64),
        class_names=tuple(str(n) for n in arrays["class_names"]),
    )


def _check_arrays(name: str, arrays: dict[str, NDArray[Any]]) -> None:
    """Check that images and labels belong together. Raises DataError."""
    classes = arrays["class_names"].size
    for split in ("train", "test"):
        x, y = arrays[f"x_{split}"], arrays[f"y_{split}"]
        if y.shape != (len(x),) or y.dtype.kind not in "iu" or not len(x):
            raise DataError(f"{name}: y_{split} must be one whole number for each image of x_{split}.")
        if y.min() < 0 or y.max() >= classes:
            raise DataError(f"{name}: y_{split} has labels that are none of the {classes} class_names.")
    if arrays["x_train"].shape[1:] != arrays["x_test"].shape[1:]:
        raise DataError(f"{name}: the images of x_train and x_test have different sizes.")


def _channels_first(x: NDArray[np.uint8]) -> NDArray[np.uint8]:
    return x[:, None] if x.ndim == 3 else np.ascontiguousarray(x.transpose(0, 3, 1, 2))


def _from_folder(folder: Path, size: int, seed: int) -> ImageData:
    from PIL import Image

    classes = sorted(p for p in folder.iterdir() if p.is_dir() and not p.name.startswith("."))
    if len(classes) < 2:
        raise DataError(f"{folder.name} needs at least two sub-folders of images, one per class.")
    images, labels, grey = [], [], True
    for index, sub in enumerate(classes):
        files = sorted(p for p in sub.iterdir() if p.suffix.lower() in IMAGE_ENDINGS)
        if len(files) < 5:
            raise DataError(f"Class folder {sub.name} holds {len(files)} images; at least 5 are needed.")
        for file in files:
            with opened(Picture(f"{sub.name}/{file.name}", index, opener(file))) as image:
                grey = grey and image.mode in ("L", "1", "I;16")
                images.append(
                    np.asarray(image.convert("RGB").resize((size, size), Image.Resampling.BILINEAR))
                )
            labels.append(index)
    x = np.stack(images).transpose(0, 3, 1, 2)
    x, y = np.ascontiguousarray(x[:, :1] if grey else x), np.asarray(labels, dtype=np.int64)
    order = np.random.default_rng(seed).permutation(len(x))
    test = np.zeros(len(x), dtype=bool)
    for index in range(len(classes)):
        own = order[y[order] == index]
        test[own[: max(1, len(own) // 5)]] = True
    train_order, test_order = order[~test[order]], order[test[order]]
    return ImageData(
        name=folder.name,
        x_train=x[train_order],
        y_train=y[train_order],
        x_test=x[test_order],
        y_test=y[test_order],
        class_names=tuple(p.name for p in classes),
    )
