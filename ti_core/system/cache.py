"""The cache on disk. It returns the bytes that were stored, or nothing. It never unpickles."""

from __future__ import annotations

import hashlib
import os
import sqlite3
import weakref
from collections.abc import Callable, Mapping
from contextlib import closing, suppress
from pathlib import Path
from typing import Any

import diskcache
import numpy as np
from diskcache.core import MODE_RAW, UNKNOWN
from numpy.typing import NDArray

from ti_core.system.folders import default_folder, private_folder
from ti_core.text import plain

__all__ = ["SIZE_LIMIT", "BytesDisk", "Cache", "RefusedRowError", "default_folder"]

SIZE_LIMIT = 2 * 1024**3
"""Size of the cache in bytes. Beyond it, the rows stored first are removed first."""


class BytesDisk(diskcache.Disk):  # type: ignore[misc]
    """Keys are str and values are bytes. Both are stored in the database itself.

    diskcache's ``Disk`` and ``JSONDisk`` unpickle rows that are marked as pickled (CVE-2025-69872). Anybody who can
    write to the cache folder could then run code. This class refuses such rows, and rows that name a file.
    """

    def put(self, key: Any) -> tuple[str, bool]:
        if type(key) is not str:
            raise TypeError(f"A cache key is a str, not a {type(key).__name__}.")
        return key, True

    def get(self, key: Any, raw: bool) -> str:
        if not raw or type(key) is not str:
            raise RefusedRowError("The cache holds a key that is no plain text.")
        return key

    def store(self, value: Any, read: bool, key: Any = UNKNOWN) -> tuple[int, int, None, sqlite3.Binary]:
        if type(value) is not bytes or read:
            raise TypeError(f"A cache value is bytes, not a {type(value).__name__}.")
        return len(value), MODE_RAW, None, sqlite3.Binary(value)

    def fetch(self, mode: int, filename: str | None, value: Any, read: bool) -> bytes:
        if mode != MODE_RAW or filename is not None or type(value) is not bytes or read:
            raise RefusedRowError("The cache holds a row that is no plain bytes; it is ignored.")
        return value


class RefusedRowError(Exception):
    """A row of the cache has another form than the rows that this program stores."""


class _Store(diskcache.Cache):  # type: ignore[misc]
    """A store whose connection is closed if it cannot be opened."""

    def __init__(self, *where: Any, **how: Any) -> None:
        try:
            super().__init__(*where, **how)
        except BaseException:
            with suppress(AttributeError, OSError, sqlite3.Error):
                self.close()
            raise


class Cache:
    """Named arrays on disk under text keys. If the cache cannot be used, everything is computed.

    Parameters
    ----------
    folder : created so that only its owner can enter it; None for no cache.

    Attributes
    ----------
    problem : a sentence that says why the cache is not used, or None.
    hits, misses : the keys that were read, and the keys whose arrays were computed.
    """

    def __init__(self, folder: Path | None) -> None:
        self.problem: str | None = None
        self.hits: list[str] = []
        self.misses: list[str] = []
        self._store: diskcache.Cache | None = None
        self._folder = folder
        if folder is None:
            return
        for _ in range(2):
            try:
                private_folder(folder)
                _begin(folder / "cache.db")
                self._store = _Store(
                    str(folder),
                    disk=BytesDisk,
                    size_limit=SIZE_LIMIT,
                    eviction_policy="least-recently-stored",
                    timeout=5,
                )
                # SQLite warns of a connection that is collected while it is open (from Python 3.13 on).
                weakref.finalize(self, self._store.close).atexit = False
                return
            except UNUSABLE as error:
                self._give_up(error)
                if not _damaged(error):
                    return

    def arrays(self, key: str, compute: Callable[[], Mapping[str, NDArray[Any]]]) -> dict[str, NDArray[Any]]:
        """The arrays under ``key``. If they are missing or unreadable, they are computed and stored."""
        found = self.find(key)
        if found is not None:
            return found
        self.misses.append(key)
        values = {k: np.ascontiguousarray(v) for k, v in compute().items()}
        self.keep(key, values)
        return values

    def holds(self, key: str) -> bool:
        """Whether arrays are stored under ``key``. They are not read."""
        try:
            return self._store is not None and key in self._store
        except UNUSABLE:
            return False

    def find(self, key: str) -> dict[str, NDArray[Any]] | None:
        """The arrays under ``key``, or None."""
        from safetensors import SafetensorError
        from safetensors.numpy import load

        if self._store is None:
            return None
        try:
            row = self._store.get(key)
            if row is None:
                return None
            arrays: dict[str, NDArray[Any]] = load(_unsealed(row, key))
        except (RefusedRowError, SafetensorError, ValueError, TypeError):
            self._forget(key)
            return None
        except UNUSABLE as error:
            self._give_up(error)
            return None
        self.hits.append(key)
        return arrays

    def keep(self, key: str, values: Mapping[str, NDArray[Any]]) -> None:
        from safetensors.numpy import save

        if self._store is None:
            return
        try:
            self._store.set(key, _sealed(save(dict(values)), key))
        except UNUSABLE as error:
            self._give_up(error)

    def _forget(self, key: str) -> None:
        try:
            if self._store is not None:
                self._store.delete(key)
        except UNUSABLE as error:
            self._give_up(error)

    def _give_up(self, error: Exception) -> None:
        # The message may quote bytes of a damaged database.
        words = plain(str(error), 200)
        self.problem = f"The cache folder cannot be used ({words}); everything is computed anew."
        self.close()
        if self._folder is not None and _damaged(error):
            # The contents can be computed again, so a damaged database is deleted.
            for name in ("cache.db", "cache.db-wal", "cache.db-shm"):
                _remove(self._folder / name)

    def close(self) -> None:
        store, self._store = self._store, None
        if store is not None:
            with suppress(*UNUSABLE):
                # SQLite deletes its log at the end. A confined process cannot, so it leaves an empty one.
                store.reset("sqlite_wal_checkpoint", "truncate", update=False)
            with suppress(OSError, sqlite3.Error):
                store.close()


UNUSABLE = (OSError, sqlite3.Error, diskcache.Timeout, RefusedRowError, ValueError, TypeError, AttributeError)
"""Errors that diskcache raises if the database is unusable or its stored settings were changed."""


def _begin(path: Path) -> None:
    """Make an empty database if there is none, without a journal file: a confined process cannot delete one."""
    if path.exists() and path.stat().st_size:
        return
    with closing(sqlite3.connect(path)) as database:
        for pragma in ("journal_mode = memory", "auto_vacuum = 1", "journal_mode = wal"):
            database.execute(f"PRAGMA {pragma}").fetchall()


def _remove(path: Path) -> None:
    """Delete a file, or empty it where that is not allowed: a confined process can delete none."""
    with suppress(OSError):
        try:
            path.unlink(missing_ok=True)
        except PermissionError:
            os.truncate(path, 0)


def _damaged(error: Exception) -> bool:
    """Whether the database itself is damaged, and not only full, locked or read-only."""
    return not isinstance(error, (OSError, sqlite3.OperationalError, diskcache.Timeout))


def _sealed(blob: bytes, key: str) -> bytes:
    """A row: the SHA-256 digest of key and contents, then the contents."""
    return hashlib.sha256(key.encode() + b"\0" + blob).digest() + blob


def _unsealed(row: bytes, key: str) -> bytes:
    """The contents of a row.

    Neither SQLite nor safetensors detects a changed byte in an array, but a verdict would depend on it.

    Raises
    ------
    RefusedRowError : the contents are not what was stored under this key.
    """
    blob = row[32:]
    if _sealed(blob, key) != row:
        raise RefusedRowError("The cache holds a damaged row; it is computed anew.")
    return blob
