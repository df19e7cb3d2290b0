"""The digest that names a model file in reports and caches."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from pathlib import Path


def sha256_of(path: str | Path) -> str:
    """Hexadecimal SHA-256 of the file at ``path``, read in pieces."""
    with Path(path).open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def digest_of(path: Path) -> str:
    """SHA-256 of the file and, after it, of the weight file beside it, if any (``model.onnx.data``).

    Raises
    ------
    OSError : a file cannot be read.
    """
    beside = [path.with_name(path.name + ending) for ending in (".data", "_data")]
    return digest_of_all([path, *(other for other in beside if other.is_file())])


def digest_of_all(paths: Sequence[Path]) -> str:
    """SHA-256 of several files, one after the other.

    Raises
    ------
    OSError : a file cannot be read.
    """
    digest = hashlib.sha256()
    for part in paths:
        with part.open("rb") as file:
            while block := file.read(1 << 20):
                digest.update(block)
    return digest.hexdigest()
