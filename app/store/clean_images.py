"""Stores the clean images that a visitor uploads for a model without a fitting reference pack.

No image is opened and no archive is unpacked here.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from app.store.arrivals import Upload, size_of, store
from app.store.sources import file_name
from app.words import article, size
from ti_core.errors import DataError
from ti_core.reference.own_images import FEWEST
from ti_core.reference.picture_files import IMAGE_ENDINGS

ARCHIVES = (".npz", ".zip")
PICTURES = tuple(sorted(IMAGE_ENDINGS))
MOST_PICTURES = 5000
MOST_BYTES = 128 * 1024**2
"""Maximum size of the images in bytes. They are decoded in the memory of the process that opens the model."""


def put(uploads: Sequence[Upload], folder: Path) -> Path:
    """Write the files into an empty folder. Returns the path for the worker: an archive, or a folder of pictures.

    Raises
    ------
    DataError : there is no file, there are several archives or an archive and pictures, the number of pictures or of
        bytes is outside the limits, or a file has another type.
    """
    names = [file_name(u.name) for u in uploads]
    kinds = [Path(name).suffix.lower() for name in names]
    total = sum(map(size_of, uploads))
    if not uploads:
        raise DataError(f"No images were handed in; choose an .npz, a .zip, or {FEWEST} or more pictures.")
    if total > MOST_BYTES:
        raise DataError(
            f"The images have {size(total)}, more than the {size(MOST_BYTES)} that this page takes; a few hundred small"
            " ones are enough."
        )
    strange = next((n for n, kind in zip(names, kinds, strict=True) if kind not in ARCHIVES + PICTURES), None)
    if strange is not None:
        raise DataError(f"{strange} is neither a picture nor an .npz or .zip of pictures; leave it out.")
    archives = [kind for kind in kinds if kind in ARCHIVES]
    if archives and len(uploads) > 1:
        raise DataError("Hand in one .npz or .zip by itself, or pictures without one.")
    if not archives and len(uploads) < FEWEST:
        raise DataError(
            f"{article(len(uploads), 'picture')} were handed in; at least {FEWEST} clean ones are needed without a"
            " reference pack."
            if len(uploads) != 1
            else f"One picture was handed in; at least {FEWEST} clean ones are needed without a reference pack."
        )
    if len(uploads) > MOST_PICTURES:
        raise DataError(
            f"{len(uploads):,} pictures were handed in; {MOST_PICTURES:,} are the most, and fewer do."
        )
    if archives:
        path = folder / names[0]
        store(uploads[0], path)
        return path
    pictures = folder / "pictures"
    pictures.mkdir(mode=0o700)
    for i, (upload, name) in enumerate(zip(uploads, names, strict=True)):
        # Pictures from two folders may have the same name.
        store(upload, pictures / f"{i:04d}-{name}")
    return pictures
