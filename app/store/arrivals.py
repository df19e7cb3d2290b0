"""Uploaded files on the disk, from their arrival until the page stores or drops them.

Streamlit would hold every uploaded file in the server's memory. The server writes it here while it arrives
(:mod:`app.server.arriving`), and Streamlit gets a short secret word in its place.
"""

from __future__ import annotations

import io
import os
import secrets
import shutil
import threading
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Protocol

from streamlit import config
from streamlit.runtime import Runtime
from streamlit.runtime.memory_uploaded_file_manager import MemoryUploadedFileManager
from streamlit.runtime.uploaded_file_manager import UploadedFileRec

from app.store.cases import home

PIECE = 1 << 20
MEGABYTE = 1 << 20
SHORT = 100
"""Bytes that no word exceeds."""


class Upload(Protocol):
    """A file from the page's uploader."""

    name: str

    def getbuffer(self) -> memoryview: ...


@dataclass(frozen=True)
class Arrived:
    """A file that has arrived.

    Parameters
    ----------
    path : the file, or None if the disk did not take it.
    size : its bytes on the disk.
    problem : why the disk did not take it.
    """

    path: Path | None
    size: int
    problem: OSError | None = None


class Arrivals:
    """The files in a folder that only its owner can enter. What an earlier server left there is removed."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        self._files: dict[bytes, Arrived] = {}
        self._delivered: set[bytes] = set()
        self._lock = threading.Lock()

    def keep(self, file: Arrived, word: bytes = b"") -> bytes:
        """The word for a file. ``word`` is one that it has already. The file stays until it is delivered."""
        word = word or b"arrived " + secrets.token_hex(24).encode()
        with self._lock:
            self._files[word] = file
        return word

    def deliver(self, word: bytes) -> None:
        """Streamlit has the word. From here on the file stays as long as the word does."""
        with self._lock:
            self._delivered.add(word)

    def drop(self, word: bytes) -> None:
        """Remove a file."""
        with self._lock:
            self._delivered.discard(word)
            file = self._files.pop(word, None)
        if file is not None and file.path is not None:
            with suppress(OSError):
                file.path.unlink()

    def of(self, content: bytes) -> Arrived | None:
        """The file that a word stands for, or None if ``content`` is no such word."""
        return self._files.get(content)

    def sweep(self) -> None:
        """Remove the files whose words Streamlit no longer holds: the visitor dropped them, or closed the tab."""
        with self._lock:
            delivered = set(self._delivered)
        held = {
            file.data for files in held_by_streamlit().values() for file in files if len(file.data) < SHORT
        }
        for word in delivered - held:
            self.drop(word)


def held_by_streamlit() -> dict[str, list[UploadedFileRec]]:
    """The records of all uploads, by tab. There are none without a server."""
    manager = manager_of_uploads()
    tabs = list(manager.file_storage.items()) if manager else []
    return {session: list(dict(files).values()) for session, files in tabs}


def manager_of_uploads() -> MemoryUploadedFileManager | None:
    """Streamlit's own store of uploads."""
    manager = Runtime.instance().uploaded_file_mgr if Runtime.exists() else None
    return manager if isinstance(manager, MemoryUploadedFileManager) else None


@lru_cache(maxsize=1)
def arrivals() -> Arrivals:
    """The arrivals of this server."""
    return Arrivals(home() / "arriving")


def most_bytes() -> int:
    """Maximum size of an upload in bytes: the setting ``server.maxUploadSize`` of the server, in MB."""
    return int(config.get_option("server.maxUploadSize")) * MEGABYTE


def problem_of(upload: Upload) -> OSError | None:
    """Why the disk did not take an uploaded file. None if it did."""
    file = _arrived(upload)
    return file.problem if file is not None else None


def size_of(upload: Upload) -> int:
    """Bytes of an uploaded file."""
    file = _arrived(upload)
    return file.size if file is not None else len(_content(upload))


def pieces(upload: Upload) -> Iterator[bytes | memoryview]:
    """The content of an uploaded file, piece by piece. OSError is raised if the disk did not take it."""
    path = _path(upload)
    if path is None:
        yield _content(upload)
        return
    with path.open("rb") as content:
        while piece := content.read(PIECE):
            yield piece


def store(upload: Upload, path: Path) -> None:
    """Write an uploaded file to a path. A file on the same disk is only given a second name.

    Raises
    ------
    OSError : the file cannot be written, or the disk did not take it when it arrived.
    """
    arrived = _path(upload)
    if arrived is not None:
        with suppress(OSError):
            path.unlink(missing_ok=True)
            os.link(arrived, path)
            return
    with path.open("wb") as out:
        for piece in pieces(upload):
            out.write(piece)


def _path(upload: Upload) -> Path | None:
    """The path of an uploaded file, or None if the upload holds the content itself."""
    file = _arrived(upload)
    if file is not None and file.problem is not None:
        raise OSError(file.problem.errno, file.problem.strerror)
    return file.path if file is not None else None


def _arrived(upload: Upload) -> Arrived | None:
    content = _content(upload)
    return arrivals().of(bytes(content)) if len(content) < SHORT else None


def _content(upload: Upload) -> bytes | memoryview:
    """The bytes of an upload without a second copy. The buffer of a Streamlit file would be a copy."""
    return upload.getvalue() if isinstance(upload, io.BytesIO) else upload.getbuffer()
