"""Untrusted picture files, from a folder or a zip archive, as plain arrays.

Nothing is unpacked to the disk. Only formats that Pillow decodes by itself are opened. The size of a picture is checked
before it is decoded, and only one picture at a time is in memory.
"""

from __future__ import annotations

import io
import warnings
import zipfile
import zlib
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import IO, TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from ti_core.errors import DataError
from ti_core.system.plain_files import open_plain

if TYPE_CHECKING:
    from PIL.Image import Image

IMAGE_ENDINGS = {".png", ".jpg", ".jpeg", ".bmp", ".gif", ".webp", ".ppm"}
SIDE = 32
"""Side of the images if neither the model nor the images decide it."""
FORMATS = ("PNG", "JPEG", "BMP", "GIF", "WEBP", "PPM")
"""Formats that are opened, whatever the file is called. None of their decoders starts another program."""
GREY = ("1", "L", "I;16", "LA")
MOST_PIXELS = 50_000_000
"""Maximum number of pixels of one picture: a small file can declare a huge one."""
MOST_BYTES = 64 << 20
"""Maximum size in bytes of one picture file, unpacked if it is in an archive."""
MOST_ARCHIVE = 64 << 30
"""Maximum size in bytes of an ``.npz`` file or of an archive of pictures."""
MOST_ENTRIES = 200_000

UNREADABLE = (OSError, ValueError, SyntaxError, EOFError, zlib.error, RuntimeError, NotImplementedError)
"""Exceptions of Pillow and zipfile on damaged files; zipfile raises RuntimeError on encrypted archives."""


@dataclass(frozen=True)
class Picture:
    """An unopened picture file: its name, the index of its class or -1, and a function that opens it."""

    name: str
    label: int
    open: Callable[[], IO[bytes]]


@dataclass(frozen=True)
class Found:
    """Picture files and the names of their classes, or None without classes."""

    pictures: Sequence[Picture]
    classes: tuple[str, ...] | None


def in_folder(folder: Path) -> Found:
    """The pictures of a folder. If it has none, those of its sub-folders, whose sorted names are the classes."""
    flat = _pictures(folder)
    if flat:
        return Found([Picture(f.name, -1, opener(f)) for f in flat], None)
    subs = sorted(p for p in folder.iterdir() if p.is_dir() and not p.name.startswith("."))
    return Found(
        [Picture(f.name, i, opener(f)) for i, sub in enumerate(subs) for f in _pictures(sub)],
        tuple(p.name for p in subs),
    )


def in_archive(archive: zipfile.ZipFile) -> Found:
    """The pictures of a zip archive, laid out as in a folder. Folders that contain all pictures are ignored.

    Raises
    ------
    DataError : it lists more than :data:`MOST_ENTRIES` files.
    """
    entries = archive.infolist()
    if len(entries) > MOST_ENTRIES:
        raise DataError(f"The archive lists {len(entries):,} files; pack {MOST_ENTRIES:,} at most.")
    paths = {}
    for entry in entries:
        path = PurePosixPath(entry.filename)
        hidden = any(part.startswith((".", "__MACOSX")) for part in path.parts)
        if not entry.is_dir() and not hidden and path.suffix.lower() in IMAGE_ENDINGS:
            paths[path] = entry
    around = _around(list(paths))
    inside = {PurePosixPath(*path.parts[around:]): entry for path, entry in sorted(paths.items())}

    def unpacker(entry: zipfile.ZipInfo) -> Callable[[], IO[bytes]]:
        return lambda: io.BytesIO(_unpacked(archive, entry))

    flat = [p for p in inside if len(p.parts) == 1]
    if flat:
        return Found([Picture(p.name, -1, unpacker(inside[p])) for p in flat], None)
    direct = [p for p in inside if len(p.parts) == 2]
    names = sorted({p.parts[0] for p in direct})
    return Found(
        [Picture(p.name, names.index(p.parts[0]), unpacker(inside[p])) for p in direct], tuple(names)
    )


def read(pictures: Sequence[Picture], shape: tuple[int, int, int] | None) -> NDArray[np.uint8]:
    """Pictures as bytes ``N x C x H x W``.

    Parameters
    ----------
    shape : (C, H, W) of the result. What is 0, or all if None, follows from the pictures: grey if all are grey, their
        size if all have the same, else :data:`SIDE`.

    Raises
    ------
    DataError : a file is not a picture, or has more than :data:`MOST_PIXELS`.
    """
    sizes, grey = set(), True
    for picture in pictures:
        with opened(picture) as image:
            sizes.add(image.size)
            grey = grey and image.mode in GREY
    width, height = sizes.pop() if len(sizes) == 1 else (SIDE, SIDE)
    channels = 1 if grey else 3
    if shape is not None:
        channels, height, width = shape[0] or channels, shape[1] or height, shape[2] or width
    out = np.empty((len(pictures), channels, height, width), dtype=np.uint8)
    for row, picture in zip(out, pictures, strict=True):
        with opened(picture) as image:
            row[:] = fitted(image.convert("RGB"), channels, width, height)
    return out


def fitted(image: Image, channels: int, width: int, height: int) -> NDArray[np.uint8]:
    """A picture as bytes ``C x H x W``, scaled to this size."""
    from PIL.Image import Resampling

    image = image.convert("L" if channels == 1 else "RGB")
    if image.size != (width, height):
        image = image.resize((width, height), Resampling.BILINEAR)
    return np.asarray(image, dtype=np.uint8).reshape(height, width, channels).transpose(2, 0, 1)


@contextmanager
def opened(picture: Picture) -> Iterator[Image]:
    """Open a picture. Its size is checked before it is decoded.

    Raises
    ------
    DataError : the file is not a picture, or has more than :data:`MOST_PIXELS`.
    """
    from PIL import Image

    try:
        with warnings.catch_warnings():
            # Pillow warns of large pictures; they are checked below.
            warnings.simplefilter("ignore")
            with picture.open() as file, Image.open(file, formats=FORMATS) as image:
                if image.width * image.height > MOST_PIXELS:
                    raise Image.DecompressionBombError
                yield image
    except Image.DecompressionBombError as error:
        raise DataError(
            f"{picture.name} has more than {MOST_PIXELS // 1_000_000} million pixels; hand in smaller pictures."
        ) from error
    except UNREADABLE as error:
        raise DataError(f"{picture.name} cannot be read as an image.") from error


def _unpacked(archive: zipfile.ZipFile, entry: zipfile.ZipInfo) -> bytes:
    """The bytes of one entry, at most :data:`MOST_BYTES`, whatever size the archive declares."""
    with archive.open(entry) as file:
        data = file.read(MOST_BYTES + 1)
    if len(data) > MOST_BYTES:
        name = PurePosixPath(entry.filename).name
        raise DataError(f"{name} unpacks to more than {MOST_BYTES >> 20} MB; hand in smaller pictures.")
    return data


def _around(paths: Sequence[PurePosixPath]) -> int:
    """Number of leading folders that all paths share."""
    if not paths:
        return 0
    folders = [p.parts[:-1] for p in paths]
    shortest = min(folders, key=len)
    return next((i for i, part in enumerate(shortest) if any(f[i] != part for f in folders)), len(shortest))


def _pictures(folder: Path) -> list[Path]:
    return sorted(p for p in folder.iterdir() if p.is_file() and p.suffix.lower() in IMAGE_ENDINGS)


def opener(path: Path) -> Callable[[], IO[bytes]]:
    """A function that opens a picture file of at most :data:`MOST_BYTES`."""
    return lambda: open_plain(path, MOST_BYTES, DataError)
