"""The user's own clean images, for a model that no reference pack fits.

They come from an ``.npz`` file, a zip archive or a folder.
"""

from __future__ import annotations

import hashlib
import zipfile
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

import numpy as np
from numpy.typing import NDArray

from ti_core.errors import DataError
from ti_core.reference.picture_files import MOST_ARCHIVE, SIDE, Found, fitted, in_archive, in_folder, read
from ti_core.system.arrays import ArraysError, ArraysFile
from ti_core.system.plain_files import open_plain

if TYPE_CHECKING:
    import torch

FEWEST = 50
"""Minimum number of images. Half of them only serve to measure."""
MOST = 512
"""Maximum number of images. Of more, this many are drawn at random."""
WEAKER = (
    "No reference models took part: this verdict only says how far one of the model's own classes stands apart from its"
    " others. It is weaker than one with a reference pack. Its bounds rest on 854 networks of four data sets: at them"
    " 271 of 505 backdoored ones, of every kind, were found, and 5 of 349 clean ones were called backdoored."
)
"""Warning in every report whose verdict rests on such images alone."""
LONGEST_NAME = 200
"""Maximum number of letters kept of a class name."""

PAIRS = (("images", "labels"), ("x", "y"), ("x_test", "y_test"), ("x_train", "y_train"))
"""Names of the arrays of images and labels in an ``.npz``. The first pair that is present is used."""


@dataclass(frozen=True)
class Drawn:
    """How many of the images are taken, and what too few of them are too few for."""

    most: int = MOST
    purpose: str = "clean ones are needed without a reference pack"


@dataclass(frozen=True)
class OwnImages:
    """Images ``N x C x H x W`` uint8, with their labels ``N`` and class names, or None for both."""

    name: str
    pixels: NDArray[np.uint8]
    labels: NDArray[np.int64] | None = None
    class_names: tuple[str, ...] | None = None
    given: str = ""
    """SHA-256 of pixels and labels as they were given, where the labels were numbered anew."""
    places: tuple[str, ...] = ()
    """Where each image stands: its file with its folder, or its number in the array."""
    of: int = 0
    """Number of images that they were drawn from."""

    @cached_property
    def images(self) -> torch.Tensor:
        """The images as float32 in [0, 1]."""
        import torch

        return torch.from_numpy(self.pixels).float() / 255.0

    def names_of(self, classes: int) -> tuple[str, ...]:
        """Names of a model's classes: the images' class names if their number is right, else class numbers."""
        own = self.class_names or ()
        return own if len(own) == classes else tuple(str(i) for i in range(classes))

    def in_terms_of(self, names: tuple[str, ...]) -> OwnImages:
        """The images with the class names of a model, if it has any.

        Labelled images keep their own names and numbers unless each of their classes is one of the model's. Their
        labels then count as the model does.
        """
        own = self.class_names
        if not names or len(set(names)) < len(names):
            return self
        if self.labels is None or own is None:
            return replace(self, class_names=names)
        place = {name.strip().casefold(): number for number, name in enumerate(names)}
        numbers = [place.get(name.strip().casefold(), -1) for name in own]
        if -1 in numbers or len(set(numbers)) < len(numbers) or int(self.labels.max()) >= len(numbers):
            return self
        labels = np.array(numbers, dtype=np.int64)[self.labels]
        return replace(self, labels=labels, class_names=names, given=self.sha256)

    @property
    def sha256(self) -> str:
        """SHA-256 of pixels and labels as they were given, which the evidence depends on."""
        if self.given:
            return self.given
        digest = hashlib.sha256(repr(self.pixels.shape).encode())
        digest.update(np.ascontiguousarray(self.pixels).tobytes())
        digest.update(b"" if self.labels is None else self.labels.tobytes())
        return digest.hexdigest()


def load_own_images(
    path: Path, shape: tuple[int, int, int] | None = None, seed: int = 0, drawn: Drawn | None = None
) -> OwnImages:
    """Read the user's images from an ``.npz``, a zip archive of pictures, or a folder of them.

    A folder holds pictures (without labels), or sub-folders of them, whose names in alphabetical order are the classes;
    a zip archive the same. An ``.npz`` holds ``images``, ``x`` or ``x_test`` (``N x H x W``, or with the channels last
    or first; bytes, or floats in [0, 1]), and ``labels``, ``y`` or ``y_test`` if there are any.

    Parameters
    ----------
    shape : (C, H, W) that the model takes; 0 for what it leaves open. The images are scaled to it.
    seed : of the random order, and so of the draw if there are too many.
    drawn : how many are taken; :data:`MOST` by default.

    Raises
    ------
    DataError : there are fewer than :data:`FEWEST` images, or a file is not an image.
    """
    if shape is not None and shape[0] not in (0, 1, 3):
        raise DataError(f"The model takes images of {shape[0]} channels; images of your own have 1 or 3.")
    drawn = drawn or Drawn()
    if path.is_dir():
        return _of_pictures(path.name, in_folder(path), shape, seed, drawn)
    if not path.exists():
        raise DataError(f"There is no folder, zip archive or .npz file {path.name!r} of images.")
    with open_plain(path, MOST_ARCHIVE, DataError) as file:
        return _of_file(file, path.name, shape, seed, drawn)


def _of_file(
    file: BinaryIO, name: str, shape: tuple[int, int, int] | None, seed: int, drawn: Drawn
) -> OwnImages:
    try:
        with zipfile.ZipFile(file) as archive:
            if not any(entry.endswith(".npy") for entry in archive.namelist()):
                return _of_pictures(name, in_archive(archive), shape, seed, drawn)
    except (OSError, ValueError, zipfile.BadZipFile, NotImplementedError) as error:
        raise DataError(f"{name} cannot be read as an .npz or a zip archive of images: {error}") from error
    file.seek(0)
    return _from_npz(file, name, shape, seed, drawn)


def _of_pictures(
    name: str, found: Found, shape: tuple[int, int, int] | None, seed: int, drawn: Drawn
) -> OwnImages:
    chosen = [found.pictures[i] for i in _draw(len(found.pictures), name, seed, drawn)]
    labels = np.array([p.label for p in chosen], dtype=np.int64) if found.classes else None
    names = tuple(c[:LONGEST_NAME] for c in found.classes) if found.classes else None
    places = tuple(f"{found.classes[p.label]}/{p.name}" if found.classes else p.name for p in chosen)
    return OwnImages(name, read(chosen, shape), labels, names, places=places, of=len(found.pictures))


def _draw(count: int, name: str, seed: int, drawn: Drawn) -> NDArray[np.intp]:
    """Indices of the images that are taken, in random order.

    The streams fit to the first images and measure on the last. In sorted order these would be of different classes.
    """
    if count < FEWEST:
        raise DataError(f"{name} holds {count} images; at least {FEWEST} {drawn.purpose}.")
    return np.random.default_rng(seed).permutation(count)[: drawn.most]


def _from_npz(
    file: BinaryIO, name: str, shape: tuple[int, int, int] | None, seed: int, drawn: Drawn
) -> OwnImages:
    try:
        z = ArraysFile(file, MOST_ARCHIVE)
        pair = next((p for p in PAIRS if p[0] in z), None)
        if pair is None:
            known = ", ".join(p[0] for p in PAIRS)
            raise DataError(f"{name} holds none of the arrays {known}.")
        x = z[pair[0]]
        y = z.get(pair[1])
        names_of_classes = z.get("class_names")
    except ArraysError as error:
        raise DataError(f"{name} cannot be read as an .npz of images: {error}.") from error
    if x.ndim not in (3, 4):
        raise DataError(f"{name}: {pair[0]} has {x.ndim} dimensions; images are N x H x W or N x H x W x C.")
    if y is not None and (
        y.ndim != 1 or len(y) != len(x) or not np.issubdtype(y.dtype, np.integer) or (y < 0).any()
    ):
        raise DataError(f"{name}: {pair[1]} must be one class index for each of the {len(x)} images.")
    chosen = _draw(len(x), name, seed, drawn)
    if not x.size:
        raise DataError(f"{name}: the images in {pair[0]} have no pixels.")
    images = [_as_picture(image, name) for image in _bytes(x[chosen], name)]
    names = None if names_of_classes is None else tuple(str(n)[:LONGEST_NAME] for n in names_of_classes.flat)
    labels = None if y is None else y[chosen].astype(np.int64)
    places = tuple(map(str, chosen))
    return OwnImages(name, _scaled(images, shape), labels, names, places=places, of=len(x))


def _bytes(x: NDArray[np.generic], name: str) -> NDArray[np.uint8]:
    if x.dtype == np.uint8:
        return np.asarray(x, dtype=np.uint8)
    if np.issubdtype(x.dtype, np.floating):
        values = np.asarray(x, dtype=np.float32)
        if np.isfinite(values).all() and values.min() >= 0 and values.max() <= 1:
            return np.asarray(np.round(255 * values), dtype=np.uint8)
    raise DataError(f"{name}: images must be bytes from 0 to 255 or finite floats from 0 to 1.")


def _as_picture(image: NDArray[np.uint8], name: str) -> NDArray[np.uint8]:
    """``H x W x 3`` or ``H x W x 1`` from either order of the axes."""
    if image.ndim == 2:
        return image[:, :, None]
    if image.shape[2] in (1, 3):
        return image
    if image.shape[0] in (1, 3):
        return image.transpose(1, 2, 0)
    raise DataError(f"{name}: images must have 1 or 3 channels, not shape {image.shape}.")


def _scaled(images: list[NDArray[np.uint8]], shape: tuple[int, int, int] | None) -> NDArray[np.uint8]:
    """Pictures ``H x W x C`` as ``N x C x H x W`` of the model's channels and size."""
    from PIL import Image

    sizes = {image.shape[:2] for image in images}
    height, width = sizes.pop() if len(sizes) == 1 else (SIDE, SIDE)
    channels = images[0].shape[2]
    if shape is not None:
        channels, height, width = shape[0] or channels, shape[1] or height, shape[2] or width
    pictures = (Image.fromarray(i[:, :, 0] if i.shape[2] == 1 else i) for i in images)
    return np.ascontiguousarray(np.stack([fitted(p, channels, width, height) for p in pictures]))
