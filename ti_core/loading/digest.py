"""The digest that names a model file in reports and caches."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from ti_core.errors import ModelFileError, RefusedFileError
from ti_core.loading.foreign.refusals import refuse_folder
from ti_core.loading.hub.files import digest_of_folder
from ti_core.loading.limits import LIMITS, check_weight_bytes
from ti_core.loading.model_file import ModelFile
from ti_core.system.plain_files import hash_plain

if TYPE_CHECKING:
    from hashlib import _Hash as Hash


def sha256_of(path: str | Path) -> str:
    """Hexadecimal SHA-256 of the model file at ``path``; for a model folder that of :mod:`ti_core.loading.hub.files`.

    Raises
    ------
    ModelFileError : the file cannot be read.
    RefusedFileError : ``path`` is no plain file, or the file exceeds the limit.
    """
    return digest_of_all([Path(path)])


def digest_of(path: Path) -> str:
    """SHA-256 of the file and, after it, of the weight file beside it, if any (``model.onnx.data``).

    Raises
    ------
    ModelFileError, RefusedFileError : as :func:`sha256_of`, for each of the files.
    """
    return digest_of_all([path, *_beside(path)])


def digest_of_file(file: ModelFile) -> str:
    """:func:`digest_of` for a file that has been read."""
    if file.folder is not None:
        return file.sha256
    digest = hashlib.sha256(file.content)
    _add_weights(digest, _beside(file.path))
    return digest.hexdigest()


def digest_of_all(paths: Sequence[Path]) -> str:
    """SHA-256 of a model file and of the files with its weights, one after the other; or that of a model folder.

    Raises
    ------
    ModelFileError, RefusedFileError : as :func:`sha256_of`, for each of the files.
    """
    digest = hashlib.sha256()
    for path in paths[:1]:
        refuse_folder(path)
        if path.is_dir():
            return digest_of_folder(path)
        hash_plain(digest, path, LIMITS.file_bytes, ModelFileError, RefusedFileError)
    _add_weights(digest, paths[1:])
    return digest.hexdigest()


def _beside(path: Path) -> list[Path]:
    others = [path.with_name(path.name + ending) for ending in (".data", "_data")] if path.name else []
    return [other for other in others if other.is_file()]


def _add_weights(digest: Hash, paths: Sequence[Path]) -> None:
    total = 0
    for path in paths:
        total += hash_plain(digest, path, LIMITS.weight_bytes, ModelFileError, RefusedFileError)
        check_weight_bytes(total)
