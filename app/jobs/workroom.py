"""The folders that jobs write into, one per job. They are removed afterwards, even after a kill of the server."""

from __future__ import annotations

import fcntl
import os
import shutil
from contextlib import suppress
from pathlib import Path


class Workroom:
    """Folders below one folder. Each is locked by the server whose job writes into it.

    The kernel releases a lock when the process that holds it ends for any reason. When a server starts, it removes all
    folders without a lock, since a killed server left them. Folders that another server of the same home uses stay.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._locks: dict[str, int] = {}
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        for left in list(folder.iterdir()):
            with suppress(OSError):
                if left.is_dir() and not left.is_symlink():
                    os.close(_lock(left))
                    shutil.rmtree(left, ignore_errors=True)
                else:
                    left.unlink()

    def open(self, name: str) -> Path:
        """A new folder.

        Raises
        ------
        OSError : the folder cannot be made.
        """
        path = self.folder / name
        path.mkdir(parents=True, mode=0o700, exist_ok=True)
        self._locks[name] = _lock(path)
        return path

    def close(self, name: str) -> None:
        """Remove a folder and its contents. A missing folder is no error."""
        shutil.rmtree(self.folder / name, ignore_errors=True)
        lock = self._locks.pop(name, None)
        if lock is not None:
            os.close(lock)


def _lock(folder: Path) -> int:
    """The folder's lock as an open file.

    Raises
    ------
    OSError : another process holds the lock.
    """
    handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        os.close(handle)
        raise
    return handle
