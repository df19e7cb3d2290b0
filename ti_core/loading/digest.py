"""The digest that names a model file in reports and caches."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from pathlib import Path

from ti_core.errors import ModelFileError, RefusedFileError
from ti_core.loading.limits import LIMITS
from ti_core.system.plain_files import hash_plain


def sha256_of(path: str | Path) -> str:
    """Hexadecimal SHA-256 of the model file at ``path``.

    Raises
    ------
    ModelFileError : it cannot be read.
    RefusedFileError : it is no plain file, or is beyond the limit.
    """
    return digest_of_all([Path(path)])


def digest_of(path: Path) -> str:
    """SHA-256 of the file and, after it, of the weight file beside it, if any (``model.onnx.data``).

    Raises
    ------
    ModelFileError, RefusedFileError : as :func:`sha256_of`, for each of the files.
    """
    beside = [path.with_name(path.name + ending) for ending in (".data", "_data")] if path.name else []
    return digest_of_all([path, *(other for other in beside if other.is_file())])


def digest_of_all(paths: Sequence[Path]) -> str:
    """SHA-256 of a model file and of the files with its weights, one after the other.

    Raises
    ------
    ModelFileError, RefusedFileError : as :func:`sha256_of`, for each of the files.
    """
    digest = hashlib.sha256()
    most, left = LIMITS.file_bytes, LIMITS.weight_bytes
    for path in paths:
        size = hash_plain(digest, path, most, ModelFileError, RefusedFileError)
        if path is not paths[0]:
            left -= size
        most = left
    return digest.hexdigest()
