"""A disk that can be filled."""

from __future__ import annotations

import errno
from pathlib import Path

LARGEST = 1 << 16


def fill(folder: Path) -> Path:
    """Write until the disk that this folder lies on is full; returns the file that fills it."""
    path = folder / "ballast"
    with path.open("ab", buffering=0) as file:
        for size in (LARGEST, 4096, 1):
            try:
                while file.write(b"x" * size):
                    pass
            except OSError as error:
                assert error.errno == errno.ENOSPC
    return path
