"""The staged cache: bytes in, the same bytes out or none, and nothing is ever unpickled."""

from __future__ import annotations

import hashlib
import sqlite3
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

import diskcache
import numpy as np
from diskcache.core import MODE_RAW, UNKNOWN
from numpy.typing import NDArray

from ti_core.system.folders import default_folder, private_folder

__all__ = ["SIZE_LIMIT", "BytesDisk", "Cache", "RefusedRowError", "default_folder"]

SIZE_LIMIT = 2 * 1024**3
"""Bytes; the least recently stored rows go first."""


class BytesDisk(diskcache.Disk):  # type: ignore[misc]
    """Keys are str, values are bytes, all kept in the database itself.

    diskcache unpickles rows that are marked so, in its default ``Disk`` and in its ``JSONDisk``
    (CVE-2025-69872): whoever can write to the cache folder could run code. Here such rows are refused, and so
    are rows that name a file.
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
    """A row of the cache is not what this program stores."""


class Cache:
    """Named arrays kept on disk under text keys; a cache that cannot be used never stops the work.

    Parameters
    ----------
    folder : created so that only its owner can enter it. None for no cache at all.

    Attributes
    ----------
    problem : one sentence on why the cache is not used, or None.
    hits, misses : keys that were read, and keys that were computed.
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
                self._store = diskcache.Cache(
                    str(folder),
                    disk=BytesDisk,
                    size_limit=SIZE_LIMIT,
                    eviction_policy="least-recently-stored",
                    timeout=5,
                )
                return
            except UNUSABLE as error:
                self._give_up(error)
                if not _damaged(error):
                    return

    def arrays(self, key: str, compute: Callable[[], Mapping[str, NDArray[Any]]]) -> dict[str, NDArray[Any]]:
        """The arrays under ``key``, computed and kept if they are not there (or not readable)."""
        found = self.find(key)
        if found is not None:
            return found
        self.misses.append(key)
        values = {k: np.ascontiguousarray(v) for k, v in compute().items()}
        self.keep(key, values)
        return values

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
        # A damaged database may be quoted in it.
        words = "".join(c if c.isprintable() else " " for c in str(error)[:200])
        self.problem = f"The cache folder cannot be used ({words}); everything is computed anew."
        self.close()
        if self._folder is not None and _damaged(error):
            # Nothing in it is worth more than the time to compute it; the next one to come begins anew.
            for name in ("cache.db", "cache.db-wal", "cache.db-shm"):
                with suppress(OSError):
                    (self._folder / name).unlink()

    def close(self) -> None:
        store, self._store = self._store, None
        if store is not None:
            with suppress(OSError, sqlite3.Error):
                store.close()


UNUSABLE = (OSError, sqlite3.Error, diskcache.Timeout, RefusedRowError, ValueError, TypeError, AttributeError)
"""What diskcache raises on a database that it cannot work with, or whose own settings are no longer what it wrote."""


def _damaged(error: Exception) -> bool:
    """Whether the database itself is broken, other than full, locked or not to be written."""
    return not isinstance(error, (OSError, sqlite3.OperationalError, diskcache.Timeout))


def _sealed(blob: bytes, key: str) -> bytes:
    """A row: the digest of what it holds and of its key, then what it holds."""
    return hashlib.sha256(key.encode() + b"\0" + blob).digest() + blob


def _unsealed(row: bytes, key: str) -> bytes:
    """What a row holds.

    Neither SQLite nor safetensors notices a changed byte within an array, and a verdict would rest on it.

    Raises
    ------
    RefusedRowError : it is not what was stored under that key.
    """
    blob = row[32:]
    if _sealed(blob, key) != row:
        raise RefusedRowError("The cache holds a damaged row; it is computed anew.")
    return blob
