"""Reads a model file once, so that the same bytes are checked, hashed, described and loaded."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path

from ti_core.errors import ModelFileError, RefusedFileError
from ti_core.loading.foreign.refusals import refuse_folder
from ti_core.loading.hub.files import HubFiles, read_folder
from ti_core.loading.limits import LIMITS
from ti_core.system.plain_files import read_plain


@dataclass(frozen=True)
class ModelFile:
    """The bytes of a model file, their SHA-256, and the path that they were read from.

    A model folder has ``folder``, the files that were read in it, instead of ``content``. Opening an ONNX file or an
    archive of a model folder empties ``content``: whoever describes or hashes the file does so before.
    """

    path: Path
    content: bytes
    sha256: str
    folder: HubFiles | None = None

    def release(self) -> None:
        """Give up the bytes, where a reader has made its own copy of them and the file may be large."""
        object.__setattr__(self, "content", b"")


def read_model_file(path: Path) -> ModelFile:
    """Read a model file, or the files of a model folder.

    Raises
    ------
    ModelFileError : the file cannot be read.
    RefusedFileError : ``path`` is no plain file, or the file exceeds the limit.
    """
    refuse_folder(path)
    if path.is_dir():
        files, digest = read_folder(path)
        return ModelFile(path.resolve(), b"", digest, files)
    content = read_file(path)
    return ModelFile(path, content, hashlib.sha256(content).hexdigest())


def read_file(path: Path) -> bytes:
    """The content of a model file or of a file that belongs to it. Raises as :func:`read_model_file`."""
    return read_plain(path, LIMITS.file_bytes, ModelFileError, RefusedFileError)
