"""Sources of a model: the bundled samples, and files that visitors upload."""

from __future__ import annotations

import hashlib
import re
import shutil
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from app.store.arrivals import Upload, most_bytes, pieces, size_of, store
from app.words import plain, size
from ti_core.errors import ModelFileError
from ti_core.loading.digest import sha256_of
from ti_core.loading.hub.files import CONFIG
from ti_core.reference.pack import PACKS

SAMPLES = PACKS.parent / "samples"
ENDINGS = (".safetensors", ".pt", ".pth", ".onnx", ".h5", ".hdf5", ".keras")
SHELF_BYTES = 2 * 1024**3
"""Size of the shelf in bytes above which models are removed. The models unused for longest are removed first."""
MOST_SHELF = 2 * SHELF_BYTES
"""Maximum size of the shelf in bytes. Models that were uploaded a moment ago stay, because they will be opened."""
JUST_NOW = 3600.0
"""Seconds after an upload during which its model is not removed."""
FOLDER = "model-folder"
"""Name of a model whose files were handed in one by one, as model hubs offer them."""
KIND_ORDER = ("clean", "blend", "patch")
PACK_ORDER = ("mnist", "gtsrb", "cifar10", "cifar100")
"""Packs in order of inspection time, the quickest first. Other packs follow by name."""


@dataclass(frozen=True)
class Source:
    """A model on this machine.

    Parameters
    ----------
    name : the visitor's name for the file.
    path, companions : the file, and the files with its external data (ONNX).
    pack : name of the pack that the model belongs to, if it is a sample.
    kind : "clean", "blend" or "patch", if it is a sample.
    """

    name: str
    path: Path
    companions: tuple[Path, ...] = ()
    pack: str | None = None
    kind: str = ""

    @property
    def digest(self) -> str:
        """SHA-256 of the file."""
        return sha256_of(self.path)


def samples() -> dict[str, dict[str, Source]]:
    """The bundled samples, by pack and kind ("clean", "blend", "patch")."""
    found: dict[str, dict[str, Source]] = {}
    for path in sorted(SAMPLES.glob("*")):
        pack, _, kind = path.stem.rpartition("-")
        if path.suffix.lower() in ENDINGS and kind in KIND_ORDER and pack:
            found.setdefault(pack, {})[kind] = Source(path.name, path, pack=pack, kind=kind)
    order = sorted(found, key=lambda p: (PACK_ORDER.index(p) if p in PACK_ORDER else len(PACK_ORDER), p))
    return {p: {k: found[p][k] for k in KIND_ORDER if k in found[p]} for p in order}


class ModelShelf:
    """Uploaded files. Each model has a folder, named by its digest, that only its owner can enter."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        folder.chmod(0o700)
        for left in folder.glob("*/.*.part"):
            with suppress(OSError):
                if time.time() - left.stat().st_mtime > JUST_NOW:
                    left.unlink()

    def put(self, uploads: Sequence[Upload]) -> Source:
        """Store the files of one model.

        Raises
        ------
        ModelFileError : there is no file, the files are too large together, two files have the same name, the files
            are several models, or the shelf is full of models that were uploaded a moment ago.
        OSError : the files cannot be written. No part of them is left.
        """
        if not uploads:
            raise ModelFileError("No file was handed in; choose one.")
        names = [file_name(u.name) for u in uploads]
        if len(set(names)) != len(names):
            raise ModelFileError("Two of the files have the same name; hand in one model at a time.")
        total = sum(map(size_of, uploads))
        if total > most_bytes():
            raise ModelFileError(
                f"The files have {size(total)}, more than the {size(most_bytes())} that this page takes; use the"
                " command line for larger models."
            )
        whole = is_model_folder(names)
        main = 0 if whole else _main(names)
        digest = hashlib.sha256()
        for upload, _ in sorted(zip(uploads, names, strict=True), key=lambda pair: pair[1] != names[main]):
            for piece in pieces(upload):
                digest.update(piece)
        folder = self.folder / digest.hexdigest()
        if self._tidy(keep=folder) + total > MOST_SHELF:
            raise ModelFileError("This server was handed very many models just now; try again in an hour.")
        place = folder / FOLDER if whole else folder
        place.mkdir(parents=True, exist_ok=True, mode=0o700)
        for upload, name in zip(uploads, names, strict=True):
            part = place / f".{name}.part"
            try:
                store(upload, part)
                part.replace(place / name)
            except OSError:
                part.unlink(missing_ok=True)
                with suppress(OSError):
                    place.rmdir()
                    folder.rmdir()
                raise
        folder.touch()
        if whole:
            return Source(FOLDER, place)
        paths = [folder / name for name in names]
        return Source(
            plain(names[main], 120), paths[main], tuple(p for i, p in enumerate(paths) if i != main)
        )

    def find(self, sha256: str, name: str) -> Source | None:
        """The model of a case, if it is a sample or is still on the shelf."""
        for kinds in samples().values():
            for source in kinds.values():
                if source.name == name and _has(source.path, sha256):
                    return source
        for path in self.folder.glob(f"*/{_glob(file_name(name))}"):
            if _has(path, sha256):
                others = tuple(p for p in sorted(path.parent.glob("[!.]*")) if p != path)
                return Source(path.name, path, others)
        return None

    def drop(self, sha256: str) -> None:
        """Remove the model with this digest."""
        for path in list(self.folder.glob("*/*")):
            if _has(path, sha256):
                shutil.rmtree(path.parent, ignore_errors=True)

    def _tidy(self, keep: Path) -> int:
        """Remove old models to make room. Returns the bytes of the remaining models other than ``keep``."""
        held: dict[Path, tuple[float, int]] = {}
        for path in self.folder.glob("*"):
            # Another tab may delete the model at the same time.
            with suppress(OSError):
                if path != keep:
                    held[path] = path.stat().st_mtime, sum(f.stat().st_size for f in path.rglob("*"))
        total = sum(count for _, count in held.values())
        for path, (when, count) in sorted(held.items(), key=lambda item: item[1]):
            # A model that was uploaded a moment ago may be opened next.
            if total <= SHELF_BYTES or time.time() - when < JUST_NOW:
                break
            with suppress(OSError):
                shutil.rmtree(path)
                total -= count
        return total


def file_name(name: str) -> str:
    """A safe file name from a visitor's file name: no folders, no control characters, no hidden file.

    Letters of every script stay, since the page shows the name and ONNX files refer to their companions by name.
    """
    last = re.split(r"[/\\]", name)[-1]
    kept = "".join(c if c.isprintable() and c not in '<>:"|?*' else "_" for c in last).strip(" .")
    stem, dot, ending = kept.rpartition(".")
    # File systems limit the number of bytes.
    while len(kept.encode()) > 180:
        stem = stem[:-1] if dot else ""
        kept = f"{stem}{dot}{ending[:20]}" if dot else kept[:-1]
    return kept or "model"


def _main(names: Sequence[str]) -> int:
    """The index of the model file: the only file, or the ``.onnx`` file among its companions."""
    if len(names) == 1:
        return 0
    graphs = [i for i, name in enumerate(names) if name.lower().endswith(".onnx")]
    if len(graphs) != 1:
        raise ModelFileError(
            "Several files are one model only if one of them is an .onnx file and the others hold its outside data, or"
            " if they are a model folder with its config.json; hand in one model at a time."
        )
    return graphs[0]


def is_model_folder(names: Sequence[str]) -> bool:
    """Whether files of these names are those of one model folder."""
    return len(names) > 1 and CONFIG in names and not any(n.lower().endswith(".onnx") for n in names)


def _has(path: Path, sha256: str) -> bool:
    """Whether the file has this digest. Another tab may have removed it meanwhile."""
    try:
        return sha256_of(path) == sha256
    except ModelFileError:
        return False


def _glob(name: str) -> str:
    return re.sub(r"([*?\[\]])", r"[\1]", name)
