"""The places of an HDF5 file where long texts lie, checked before the HDF5 library reads them.

A damaged size in such a heap sends the library round in a circle for ever. Source: "Level 1E - Global Heap" of the HDF5
File Format Specification, version 3.0.
"""

from __future__ import annotations

import re
import struct

from ti_core.errors import ModelFileError

_HEAP = re.compile(rb"GCOL\x01\x00\x00\x00")
_HEADER = struct.Struct("<HHIQ")
_SIZES_AT = {0: 13, 1: 13, 2: 9, 3: 9}
"""Where each version of the file's first block says how long addresses and lengths are."""


def check_heaps(data: bytes | memoryview) -> None:
    """ModelFileError unless the items of every heap follow each other to its end."""
    at = _SIZES_AT.get(data[8] if len(data) > 16 else -1)
    if at is None or data[at : at + 2] != b"\x08\x08":
        raise _damaged()
    for heap in _HEAP.finditer(data):
        _check(data, heap.start())


def _check(data: bytes | memoryview, heap: int) -> None:
    size = int.from_bytes(data[heap + 8 : heap + 16], "little")
    end, item = heap + size, heap + 16
    if end > len(data):
        raise _damaged()
    while end - item >= _HEADER.size:
        number, _, _, length = _HEADER.unpack_from(data, item)
        # The length of free space, which has the number 0, counts its own header.
        step = length if number == 0 else _HEADER.size + -(-length // 8) * 8
        if not _HEADER.size <= step <= end - item:
            raise _damaged()
        item += step


def _damaged() -> ModelFileError:
    return ModelFileError("The HDF5 file is truncated or damaged.")
