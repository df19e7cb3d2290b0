"""The tasks of a worker process on a reference pack that does not come with the program.

CatBoost trusts its files, so that a damaged one can crash the process that opens it or worse.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ti_core.system.progress import StageProgress

if TYPE_CHECKING:
    from numpy.typing import NDArray

Partial = Callable[[str], None]

OPENED, VERIFIED, EVALUATED = "opened.json", "verified.json", "evaluated.json"
MOST_TRAINING_IMAGES = 70_000
"""Maximum number of labelled images that a pack is built from. Of more, so many are drawn at random."""
MOST_FILES, MOST_UNPACKED = 64, 900 << 20
"""Limits of an archive: its files, and their bytes together."""


def open_pack(request: dict[str, Any], folder: Path, progress: StageProgress, partial: Partial) -> None:
    """Open a whole pack (:func:`ti_core.reference.whole.open_whole`). Writes ``opened.json`` if it is sound.

    The request: "pack" (folder), "sha256" (of its record).
    """
    from ti_core.errors import PackError
    from ti_core.reference.pack import load_pack
    from ti_core.reference.whole import open_whole
    from ti_core.system.memory import keep_freed_memory

    keep_freed_memory()
    pack = load_pack(Path(request["pack"]))
    if pack.sha256 != request["sha256"]:
        raise PackError("Its record changed while it was opened; use it once it is complete.")
    open_whole(pack, progress)
    (folder / OPENED).write_text(json.dumps({"sha256": pack.sha256}), encoding="utf-8")


def verify(request: dict[str, Any], folder: Path, progress: StageProgress, partial: Partial) -> None:
    """Verify a pack. Writes ``verified.json``: what was said on the way, and the problems.

    The request: "pack" (folder), "members" (how many to recompute; 0 for all, None for as many as there is time for).
    """
    from ti_core.reference.pack import load_pack
    from ti_core.reference.verify import verify_pack
    from ti_core.system.memory import keep_freed_memory

    keep_freed_memory()
    pack = load_pack(Path(request["pack"]))
    said: list[str] = []
    problems = verify_pack(pack, request["members"], said.append, progress)
    (folder / VERIFIED).write_text(json.dumps({"said": said, "problems": problems}), encoding="utf-8")


def unpack(request: dict[str, Any], folder: Path, progress: StageProgress, partial: Partial) -> None:
    """Unpack a zip archive with the files of a pack into the job's folder. A common folder around them is left out.

    The request: "pack" (the archive).
    """
    from zipfile import BadZipFile, ZipFile

    from ti_core.errors import PackError
    from ti_core.system.records import NAME

    try:
        with ZipFile(request["pack"]) as archive:
            entries = [entry for entry in archive.infolist() if not entry.is_dir()]
            if len(entries) > MOST_FILES or sum(entry.file_size for entry in entries) > MOST_UNPACKED:
                raise PackError("The archive holds more than a pack does.")
            for entry in entries:
                name = entry.filename.rpartition("/")[2]
                if NAME.fullmatch(name) is None or entry.filename.count("/") > 1:
                    raise PackError("The archive holds a file that no pack has.")
                # No more than the declared bytes are read: zipfile ends each file there.
                with archive.open(entry) as packed, (folder / name).open("xb") as out:
                    while piece := packed.read(1 << 20):
                        out.write(piece)
    except (BadZipFile, NotImplementedError, RuntimeError, EOFError, OSError, ValueError) as error:
        raise PackError(f"The archive cannot be read: {error}") from error


def evaluate(request: dict[str, Any], folder: Path, progress: StageProgress, partial: Partial) -> None:
    """Evaluate a pack. Writes ``evaluated.json``: ``measured``, see :mod:`ti_core.evaluation.measure`.

    The request: "pack" (folder), "settings" (those asked for), "measurement" (fields of
    :class:`~ti_core.evaluation.measure.Measurement`), "cache" (folder; none without it).
    """
    from ti_core.evaluation.measure import Measurement
    from ti_core.reference.pack import load_pack
    from ti_core.system.cache import Cache
    from ti_core.system.memory import keep_freed_memory

    keep_freed_memory()
    pack = load_pack(Path(request["pack"]))
    cache = Cache(Path(request["cache"]) if "cache" in request else None)
    wanted = Measurement(**request["measurement"])
    measured = wanted.of(pack, pack.settings_with(request["settings"]), cache, progress)
    cache.close()
    text = f'{{"measured": {wanted.as_json(measured)}}}'
    (folder / EVALUATED).write_text(text, encoding="utf-8")


def read_images(request: dict[str, Any], folder: Path, progress: StageProgress, partial: Partial) -> None:
    """Read labelled images for a pack. Writes ``images.json`` and ``images.safetensors``.

    The form is that of :mod:`ti_core.results.files.training_images`. The request: "images" (path of an archive), "size"
    (side that they are scaled to).
    """
    from safetensors.numpy import save

    from ti_core.results.files.training_images import FILE, IMAGES
    from ti_core.system.memory import keep_freed_memory

    keep_freed_memory()
    progress("images", 0.0)
    arrays, names = _labelled(Path(request["images"]), int(request["size"]))
    (folder / IMAGES).write_bytes(save(arrays))
    (folder / FILE).write_text(json.dumps({"class_names": names}), encoding="utf-8")


def _labelled(path: Path, size: int) -> tuple[dict[str, NDArray[Any]], list[str]]:
    """A visitor's images, four fifths of each class to train with and one fifth to test with, and the class names."""
    import numpy as np

    from ti_core.errors import DataError
    from ti_core.reference.own_images import Drawn, load_own_images

    if path.suffix.lower() == ".npz" and (split := _split_already(path)) is not None:
        return split
    drawn = Drawn(MOST_TRAINING_IMAGES, "with labels are needed to build a pack")
    own = load_own_images(path, (0, size, size), 0, drawn)
    if own.labels is None:
        raise DataError(
            f"{own.name} has no labels; hand in a .zip with a folder of pictures for each class, or an .npz with"
            " labels."
        )
    x, y = own.pixels, own.labels
    names = own.class_names or tuple(str(number) for number in range(int(y.max()) + 1))
    test = np.zeros(len(y), dtype=bool)
    for number in range(len(names)):
        of_class = np.flatnonzero(y == number)
        test[of_class[: len(of_class) // 5]] = True
    if len(names) < 2 or not test.any():
        raise DataError(f"{own.name} needs two or more classes, and five or more images of each.")
    parts = {"x_train": x[~test], "y_train": y[~test], "x_test": x[test], "y_test": y[test]}
    return {name: np.ascontiguousarray(part) for name, part in parts.items()}, list(names)


def _split_already(path: Path) -> tuple[dict[str, NDArray[Any]], list[str]] | None:
    """The arrays of an ``.npz`` in the form of ``pack build``; None if it has another one."""
    import numpy as np

    from ti_core.errors import DataError
    from ti_core.reference.picture_files import MOST_ARCHIVE
    from ti_core.system.arrays import ArraysError, ArraysFile
    from ti_core.system.plain_files import open_plain

    names = ("x_train", "y_train", "x_test", "y_test", "class_names")
    try:
        with open_plain(path, MOST_ARCHIVE, DataError) as file:
            z = ArraysFile(file, MOST_ARCHIVE)
            if not all(name in z for name in names):
                return None
            arrays = {name: z[name] for name in names}
    except ArraysError as error:
        raise DataError(f"{path.name} is no image data set: {error}.") from error
    classes = [str(name) for name in arrays.pop("class_names").flat]
    for split in ("train", "test"):
        x = arrays[f"x_{split}"]
        x = x[:, None] if x.ndim == 3 else np.moveaxis(x, -1, 1) if x.ndim == 4 else x
        arrays[f"x_{split}"] = np.ascontiguousarray(x)
        arrays[f"y_{split}"] = arrays[f"y_{split}"].astype(np.int64)
    return arrays, classes
