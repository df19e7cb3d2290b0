"""Reading ``.npz`` files that a stranger may have written.

``numpy.load`` allocates what an array's header declares, before it finds out that the file does not hold so much. Here
every header is compared with the size of its entry first, and the sum of all arrays with a limit.
"""

from __future__ import annotations

import math
import tokenize
import zipfile
import zlib
from dataclasses import dataclass
from typing import Any, BinaryIO

import numpy as np
from numpy.lib import format as npy
from numpy.typing import NDArray

from ti_core.text import shown

MOST_ARRAYS = 10_000
KINDS = "biufU"
"""Kinds of numbers and texts that an array may hold: no objects, which would be pickles, and no structures."""
_HEADERS = {(1, 0): npy.read_array_header_1_0, (2, 0): npy.read_array_header_2_0}
_FAULTS = (
    *(OSError, ValueError, EOFError, KeyError, TypeError, RuntimeError),
    *(zipfile.BadZipFile, zlib.error, tokenize.TokenError, SyntaxError),
)
"""What zipfile, zlib and NumPy's reader of headers raise over a damaged file."""


class ArraysError(Exception):
    """The file is no ``.npz`` that can be read; the message is a clause for a person."""


@dataclass(frozen=True)
class _Entry:
    info: zipfile.ZipInfo
    shape: tuple[int, ...]
    dtype: np.dtype[np.generic]


class ArraysFile:
    """The arrays of an ``.npz`` file by name. Each is read when it is asked for.

    Parameters
    ----------
    most : limit for the bytes of all arrays together, unpacked.

    Raises
    ------
    ArraysError : it is damaged, or an array's header does not fit its size, or the limit is exceeded.
    """

    def __init__(self, file: BinaryIO, most: int) -> None:
        try:
            self._archive = zipfile.ZipFile(file)
            self._entries = self._read_headers()
        except _FAULTS as error:
            why = str(error.args[0] if isinstance(error, tokenize.TokenError) else error)
            raise ArraysError(f"it is no sound .npz file ({shown(why, 120)})") from error
        total = sum(entry.info.file_size for entry in self._entries.values())
        if total > most:
            raise ArraysError(f"its arrays have {total:,} bytes; the limit is {most:,}")

    @property
    def names(self) -> tuple[str, ...]:
        return tuple(self._entries)

    def get(self, name: str) -> NDArray[Any] | None:
        """The array of that name, or None if there is none; the error is that of :meth:`__getitem__`."""
        return self[name] if name in self._entries else None

    def __contains__(self, name: str) -> bool:
        return name in self._entries

    def __getitem__(self, name: str) -> NDArray[Any]:
        """The array of that name.

        Raises
        ------
        ArraysError : there is none, or its bytes are damaged.
        """
        if name not in self._entries:
            raise ArraysError(f"it has no array {shown(name)!r}")
        try:
            with self._archive.open(self._entries[name].info) as file:
                found: NDArray[Any] = npy.read_array(file, allow_pickle=False)
        except _FAULTS as error:
            raise ArraysError(f"its array {shown(name)!r} is damaged") from error
        return found

    def all(self) -> dict[str, NDArray[Any]]:
        """All arrays."""
        return {name: self[name] for name in self._entries}

    def _read_headers(self) -> dict[str, _Entry]:
        infos = self._archive.infolist()
        if len(infos) > MOST_ARRAYS:
            raise ArraysError(f"it has {len(infos):,} entries; the limit is {MOST_ARRAYS:,}")
        found: dict[str, _Entry] = {}
        for info in infos:
            name = info.filename.removesuffix(".npy")
            if name == info.filename:
                raise ArraysError(f"its entry {shown(name)!r} is no array")
            if name in found:
                raise ArraysError(f"it has the array {shown(name)!r} twice")
            found[name] = self._header(info, name)
        return found

    def _header(self, info: zipfile.ZipInfo, name: str) -> _Entry:
        with self._archive.open(info) as file:
            version = npy.read_magic(file)
            if version not in _HEADERS:
                raise ArraysError(f"its array {shown(name)!r} has format {version}")
            shape, _, dtype = _HEADERS[version](file)
            size = info.file_size - file.tell()
        if dtype.kind not in KINDS:
            raise ArraysError(f"its array {shown(name)!r} holds objects, not numbers")
        declared = math.prod(shape) * dtype.itemsize
        if any(n < 0 for n in shape) or declared != size:
            raise ArraysError(f"its array {shown(name)!r} declares {declared:,} bytes and has {size:,}")
        return _Entry(info, shape, dtype)


def read_arrays(file: BinaryIO, most: int) -> dict[str, NDArray[Any]]:
    """All arrays of an ``.npz`` file; arguments and errors are those of :class:`ArraysFile`."""
    return ArraysFile(file, most).all()
