"""Where a model comes from: a bundled sample, or a file that a visitor hands in."""

from __future__ import annotations

import hashlib
import io
import re
import shutil
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from app.words import plain, size
from ti_core.errors import ModelFileError
from ti_core.loading.digest import sha256_of
from ti_core.reference.pack import PACKS

SAMPLES = PACKS.parent / "samples"
ENDINGS = (".safetensors", ".pt", ".pth", ".onnx")
MOST_BYTES = 128 * 1024**2
"""What a visitor may hand in at once; the server's own limit (``.streamlit/config.toml``) is the same."""
SHELF_BYTES = 2 * 1024**3
"""Models on the shelf beyond this go, the longest unused first."""
MOST_SHELF = 2 * SHELF_BYTES
"""What the shelf may hold at all, since models that were just handed in are about to be opened and stay."""
JUST_NOW = 3600.0
"""Seconds."""
KIND_ORDER = ("clean", "blend", "patch")
PACK_ORDER = ("mnist", "gtsrb", "cifar10", "cifar100")
"""The quickest to inspect first; other packs follow by name."""


class Upload(Protocol):
    """A file as the page's uploader gives it."""

    name: str

    def getbuffer(self) -> memoryview: ...


@dataclass(frozen=True)
class Source:
    """A model on this machine.

    Parameters
    ----------
    name : what the visitor calls it.
    path, companions : the file, and those that hold its outside data (ONNX).
    pack : name of the pack it belongs to, where that is known (samples).
    kind : of a sample: "clean", "blend" or "patch".
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
    """Files that were handed in, each under its digest in a folder that only its owner can enter."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        folder.chmod(0o700)
        for left in folder.glob("*/.*.part"):
            with suppress(OSError):
                if time.time() - left.stat().st_mtime > JUST_NOW:
                    left.unlink()

    def put(self, uploads: Sequence[Upload]) -> Source:
        """Keep the files of one model.

        Raises
        ------
        ModelFileError : nothing was handed in, the files are too large together, two of them have the same name,
            they are several models, or the shelf is full of models that were handed in a moment ago.
        OSError : they cannot be written; nothing of them is left then.
        """
        if not uploads:
            raise ModelFileError("No file was handed in; choose one.")
        names = [file_name(u.name) for u in uploads]
        if len(set(names)) != len(names):
            raise ModelFileError("Two of the files have the same name; hand in one model at a time.")
        contents = [_content(u) for u in uploads]
        total = sum(map(len, contents))
        if total > MOST_BYTES:
            raise ModelFileError(
                f"The files have {size(total)}, more than the {size(MOST_BYTES)} that this page takes; use the command"
                " line for larger models."
            )
        main = _main(names)
        digest = hashlib.sha256()
        for content, _ in sorted(zip(contents, names, strict=True), key=lambda pair: pair[1] != names[main]):
            digest.update(content)
        folder = self.folder / digest.hexdigest()
        if self._tidy(keep=folder) + total > MOST_SHELF:
            raise ModelFileError("This server was handed very many models just now; try again in an hour.")
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        for content, name in zip(contents, names, strict=True):
            part = folder / f".{name}.part"
            try:
                part.write_bytes(content)
                part.replace(folder / name)
            except OSError:
                part.unlink(missing_ok=True)
                with suppress(OSError):
                    folder.rmdir()
                raise
        folder.touch()
        paths = [folder / name for name in names]
        return Source(
            plain(names[main], 120), paths[main], tuple(p for i, p in enumerate(paths) if i != main)
        )

    def find(self, sha256: str, name: str) -> Source | None:
        """A model of which a case tells: a sample, or one that still lies on the shelf."""
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
        """Make room; returns the bytes of the other models that stay."""
        held: dict[Path, tuple[float, int]] = {}
        for path in self.folder.glob("*"):
            # Another tab may delete it meanwhile.
            with suppress(OSError):
                if path != keep:
                    held[path] = path.stat().st_mtime, sum(f.stat().st_size for f in path.iterdir())
        total = sum(count for _, count in held.values())
        for path, (when, count) in sorted(held.items(), key=lambda item: item[1]):
            # One that has just been handed in may be about to be opened.
            if total <= SHELF_BYTES or time.time() - when < JUST_NOW:
                break
            with suppress(OSError):
                shutil.rmtree(path)
                total -= count
        return total


def _content(upload: Upload) -> bytes | memoryview:
    """What was handed in, without a second copy of it: a buffer of Streamlit's own file would be one."""
    return upload.getvalue() if isinstance(upload, io.BytesIO) else upload.getbuffer()


def file_name(name: str) -> str:
    """A visitor's file name as the name of a file here: no folders, no control characters, never hidden.

    Letters of every script stay, since the name is shown again and ONNX files name their companions.
    """
    last = re.split(r"[/\\]", name)[-1]
    kept = "".join(c if c.isprintable() and c not in '<>:"|?*' else "_" for c in last).strip(" .")
    stem, dot, ending = kept.rpartition(".")
    # File systems count bytes.
    while len(kept.encode()) > 180:
        stem = stem[:-1] if dot else ""
        kept = f"{stem}{dot}{ending[:20]}" if dot else kept[:-1]
    return kept or "model"


def _main(names: Sequence[str]) -> int:
    """Which of the files is the model: the only one, or the ``.onnx`` among its companions."""
    if len(names) == 1:
        return 0
    graphs = [i for i, name in enumerate(names) if name.lower().endswith(".onnx")]
    if len(graphs) != 1:
        raise ModelFileError(
            "Several files are one model only if one of them is an .onnx file and the others hold its outside data;"
            " hand in one model at a time."
        )
    return graphs[0]


def _has(path: Path, sha256: str) -> bool:
    """Whether the file has this digest. Another tab may have removed it meanwhile."""
    try:
        return sha256_of(path) == sha256
    except ModelFileError:
        return False


def _glob(name: str) -> str:
    return re.sub(r"([*?\[\]])", r"[\1]", name)
