"""The tasks of a worker process on a reference pack that does not come with the program.

CatBoost trusts its files, so that a damaged one can crash the process that opens it or worse.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from ti_core.system.progress import StageProgress

Partial = Callable[[str], None]

OPENED, VERIFIED, EVALUATED = "opened.json", "verified.json", "evaluated.json"
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
