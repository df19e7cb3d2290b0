"""Models in a folder of this machine that its operator allows: large files need no upload.

Visitors see the paths in the folder, and nothing else of the machine. A link counts as what it leads to: one that leads
out of the folder is neither listed nor opened.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from functools import lru_cache
from pathlib import Path

from app.store.sources import ENDINGS, Source
from ti_core.errors import ModelFileError
from ti_core.loading.digest import sha256_of
from ti_core.loading.hub.files import choose, looks_like_hub, names_in
from ti_core.loading.limits import LIMITS
from ti_core.text import shown

SETTING = "TROJANINTERPRET_MODELS"
"""Environment variable of the server that names the folder. Without it there is none."""
MOST = 500
"""Maximum number of models that are listed."""
DEPTH = 6
"""How many folders deep models are looked for."""
MOST_LOOKED_AT = 20_000
"""Maximum number of files and folders that are looked at."""
_FILES = (*ENDINGS, ".bin", ".ckpt", ".tar", ".zip")


class Served:
    """The folder that the operator allows."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder.resolve()

    @property
    def limit(self) -> int:
        """Maximum size of a file, in bytes."""
        return LIMITS.file_bytes

    def names(self) -> list[str]:
        """The paths of the models, below the folder, in order."""
        found: list[str] = []
        for path in self._walk(self.folder, DEPTH, [MOST_LOOKED_AT]):
            found.append(path.relative_to(self.folder).as_posix())
            if len(found) >= MOST:
                break
        return sorted(found)

    def source(self, name: str) -> Source:
        """The model of that name.

        Raises
        ------
        ModelFileError : there is none in the folder.
        """
        path = self._inside(self.folder / name)
        if path is None or path == self.folder or not (path.is_file() or self._is_model(path)):
            raise ModelFileError(
                f"There is no model {shown(name, 120)} in the folder that this server offers; choose one of the list."
            )
        return Source(path.name, path)

    def find(self, sha256: str, file: str) -> Source | None:
        """The model of a case: the file or folder of this name and digest."""
        for name in self.names():
            if name.rpartition("/")[2] == file:
                source = self.source(name)
                if _digest(source.path, _stamp(source.path)) == sha256:
                    return source
        return None

    def _walk(self, folder: Path, depth: int, left: list[int]) -> Iterator[Path]:
        try:
            entries = sorted(folder.iterdir())
        except OSError:
            return
        for path in entries:
            left[0] -= 1
            if left[0] < 0:
                return
            if path.name.startswith(".") or self._inside(path) is None:
                continue
            if path.is_dir():
                if self._is_model(path):
                    yield path
                # A link to a folder could lead back to where one came from.
                elif depth and not path.is_symlink():
                    yield from self._walk(path, depth - 1, left)
            elif path.is_file() and path.suffix.lower() in _FILES:
                yield path

    def _inside(self, path: Path) -> Path | None:
        """What the path leads to, or None if that is not in the folder."""
        try:
            found = path.resolve(strict=True)
        except (OSError, ValueError, RuntimeError):
            return None
        return found if found.is_relative_to(self.folder) else None

    def _is_model(self, path: Path) -> bool:
        """Whether this is a model folder, of which every file that would be read is in the folder."""
        try:
            names = names_in(path) if path.is_dir() else []
            return looks_like_hub(names) and all(
                self._inside(path / name) is not None for name in choose(names).read
            )
        except (OSError, ModelFileError):
            return False


def served() -> Served | None:
    """The folder that the operator of this server allows, if there is one."""
    folder = os.environ.get(SETTING, "")
    return Served(Path(folder)) if folder and Path(folder).is_dir() else None


def _stamp(path: Path) -> tuple[int, int]:
    status = path.stat()
    return status.st_size, status.st_mtime_ns


@lru_cache(maxsize=64)
def _digest(path: Path, stamp: tuple[int, int]) -> str:
    """The digest of a file that has not changed. Pages are drawn often, and a file may be large."""
    try:
        return sha256_of(path)
    except ModelFileError:
        return ""
