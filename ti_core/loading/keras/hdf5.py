"""An HDF5 file in memory, as far as Keras uses the format.

HDF5 can do far more than hold arrays: links to other files, arrays that are views of other files, filters that load
plug-ins, arrays of any declared size that take no room. Keras writes groups, attributes of text, and arrays in one
piece. Everything else is refused before it is followed, read or allocated. The library that parses the file is C; it
runs in the confined process.
"""

from __future__ import annotations

import io
import math
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ti_core.errors import ModelFileError, RefusedFileError, TrojanInterpretError
from ti_core.loading.keras import limits
from ti_core.loading.keras.heaps import check_heaps
from ti_core.text import COMMAND, shown

try:
    import h5py
except ModuleNotFoundError as missing:
    raise ModelFileError(
        "Keras files need the package h5py, which is not installed; install it and try again:\n"
        f"{COMMAND}pip install 'trojaninterpret[keras]'"
    ) from missing

MAGIC = b"\x89HDF\r\n\x1a\n"
SAVE_AGAIN = "Save the model again with model.save and give that file."
_LAYOUTS = {h5py.h5d.CHUNKED: "in chunks", h5py.h5d.VIRTUAL: "as a view of other files"}


@dataclass(frozen=True)
class Stored:
    """An array that the file declares.

    Parameters
    ----------
    dtype : the name of a numpy type, or the HDF5 class of another type.
    place : of its last part in the file, which grows in the order in which arrays are written.
    """

    path: str
    shape: tuple[int, ...]
    dtype: str
    place: int = 0

    @property
    def elements(self) -> int:
        return math.prod(self.shape)


class _View(io.RawIOBase):
    """Bytes as a file, without a copy of them."""

    def __init__(self, data: memoryview) -> None:
        super().__init__()
        self._data, self._at = data, 0

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        start = {os.SEEK_SET: 0, os.SEEK_CUR: self._at, os.SEEK_END: len(self._data)}[whence]
        self._at = max(0, start + offset)
        return self._at

    def tell(self) -> int:
        return self._at

    def readinto(self, buffer: Any) -> int:
        found = self._data[self._at : self._at + len(buffer)]
        buffer[: len(found)] = found
        self._at += len(found)
        return len(found)


class Hdf5:
    """The groups and arrays of a file, all of which have been checked.

    Parameters
    ----------
    data : the file.

    Attributes
    ----------
    arrays : every array, by its path without a leading slash.
    groups : the paths of the groups; that of the outermost is "".

    Raises
    ------
    RefusedFileError : the file holds something that Keras never writes, or exceeds the limits.
    ModelFileError : it is damaged.
    """

    def __init__(self, data: bytes | memoryview) -> None:
        self._size = len(data)
        self._stored = 0
        self.arrays: dict[str, Stored] = {}
        self.groups: set[str] = {""}
        check_heaps(data)
        with _guarded():
            self._file = h5py.File(_View(memoryview(data)), "r")
            self._walk()

    def text(self, path: str, name: str) -> str | None:
        """The attribute ``name`` of a group or array as one text, or None if there is none."""
        found = self._attribute(path, name)
        return None if not found else found[0]

    def texts(self, path: str, name: str) -> list[str] | None:
        """The attribute as a list of texts, or None if there is none. Keras splits long lists: name0, name1, ..."""
        whole = self._attribute(path, name)
        if whole is not None:
            return whole
        parts: list[str] = []
        for number in range(limits.ATTRIBUTE_ITEMS):
            part = self._attribute(path, f"{name}{number}")
            if part is None:
                return parts if number else None
            parts += part
        return parts

    def read(self, path: str) -> NDArray[Any]:
        """The numbers of an array. Numbers in bfloat16, which numpy does not have, become float32."""
        with _guarded():
            dataset = self._file[path]
            content: NDArray[Any] = np.empty(dataset.shape, dataset.dtype)
            if content.size:
                dataset.read_direct(content) if content.ndim else content.__setitem__((), dataset[()])
        if content.dtype.kind == "V":
            return (content.view("<u2").astype(np.uint32) << 16).view(np.float32).reshape(dataset.shape)
        return content.astype(content.dtype.newbyteorder("="), copy=False)

    def _walk(self) -> None:
        """Look at every link and every object once, from the outermost group inwards."""
        seen = {_address(self._file.id)}
        waiting = [("", self._file.id, 0)]
        while waiting:
            path, group, depth = waiting.pop()
            if len(seen) + len(group) > limits.OBJECTS or depth > limits.GROUP_DEPTH:
                raise RefusedFileError(
                    f"The file holds more than {limits.OBJECTS:,} groups and arrays, or nests them too deeply."
                )
            for raw in list(group):
                name = raw.decode("utf-8", "replace")
                inner = f"{path}/{name}" if path else name
                if not 0 < len(inner) <= limits.NAME:
                    raise RefusedFileError("The file has a name that is too long, or empty.")
                found = _linked(group, raw, inner)
                if _address(found) in seen:
                    raise RefusedFileError(
                        f"The file holds '{shown(inner)}' under a second name. {SAVE_AGAIN}"
                    )
                seen.add(_address(found))
                if isinstance(found, h5py.h5g.GroupID):
                    self.groups.add(inner)
                    waiting.append((inner, found, depth + 1))
                else:
                    self.arrays[inner] = self._array(found, inner)

    def _array(self, found: Any, path: str) -> Stored:
        where = f"The file's array '{shown(path)}'"
        plan = found.get_create_plist()
        layout = plan.get_layout()
        if plan.get_nfilters():
            filters = b", ".join(plan.get_filter(i)[3] for i in range(min(plan.get_nfilters(), 8)))
            name = shown(filters.decode("utf-8", "replace")) or "a filter"
            raise RefusedFileError(f"{where} is compressed ({name}), which Keras never does. {SAVE_AGAIN}")
        if layout in _LAYOUTS:
            raise RefusedFileError(
                f"{where} is stored {_LAYOUTS[layout]}, which Keras never does. {SAVE_AGAIN}"
            )
        if layout == h5py.h5d.CONTIGUOUS and plan.get_external_count():
            raise RefusedFileError(f"{where} keeps its numbers in another file. {SAVE_AGAIN}")
        shape, kind = tuple(map(int, found.shape)), found.get_type()
        size = math.prod(shape) * int(kind.get_size())
        if len(shape) > limits.RANK:
            raise RefusedFileError(f"{where} has {len(shape)} axes; the limit is {limits.RANK}.")
        self._stored += size
        at = found.get_offset() if layout == h5py.h5d.CONTIGUOUS else 0
        if size and (at is None or found.get_storage_size() != size or at + size > self._size):
            raise RefusedFileError(f"{where} declares {_counted(size)} that the file does not hold.")
        if self._stored > self._size:
            raise RefusedFileError("The file's arrays declare more bytes together than the file has.")
        return Stored(path, shape, _dtype(found, kind), max(_address(found), at or 0))

    def _attribute(self, path: str, name: str) -> list[str] | None:
        """The texts of an attribute, or None if there is none or it holds something else."""
        with _guarded():
            owner = self._file[path] if path else self._file
            if not h5py.h5a.exists(owner.id, name.encode()):
                return None
            attribute = h5py.h5a.open(owner.id, name.encode())
            space, kind = attribute.get_space(), attribute.get_type()
            count = int(space.get_simple_extent_npoints())
            if not count:
                return []
            if not isinstance(kind, h5py.h5t.TypeStringID):
                return None
            if count > limits.ATTRIBUTE_ITEMS or count * int(kind.get_size()) > limits.CONFIG_BYTES:
                raise RefusedFileError(f"The file's attribute '{shown(name)}' is too large.")
            value = owner.attrs[name]
            items = [value] if isinstance(value, (str, bytes)) else np.asarray(value, dtype=object).ravel()
            texts = [i.decode("utf-8", "replace") if isinstance(i, bytes) else str(i) for i in items]
        if sum(map(len, texts)) > limits.CONFIG_BYTES:
            raise RefusedFileError(f"The file's attribute '{shown(name)}' is too large.")
        return texts


@contextmanager
def _guarded() -> Iterator[None]:
    """Whatever the HDF5 library raises becomes a ModelFileError."""
    try:
        yield
    except TrojanInterpretError:
        raise
    except Exception as error:  # a damaged file can make the library raise anything
        raise ModelFileError("The HDF5 file is truncated or damaged.") from error


def _linked(group: Any, name: bytes, path: str) -> Any:
    """The object behind a plain link."""
    if group.links.get_info(name).type != h5py.h5l.TYPE_HARD:
        raise RefusedFileError(
            f"The file's entry '{shown(path)}' is a link to another place or file, which Keras never writes."
            f" {SAVE_AGAIN}"
        )
    found = h5py.h5o.open(group, name)
    if not isinstance(found, (h5py.h5g.GroupID, h5py.h5d.DatasetID)):
        raise RefusedFileError(f"The file's entry '{shown(path)}' is neither a group nor an array.")
    return found


def _address(found: Any) -> int:
    return int(h5py.h5o.get_info(found).addr)


def _dtype(found: Any, kind: Any) -> str:
    if isinstance(kind, (h5py.h5t.TypeFloatID, h5py.h5t.TypeIntegerID)) and kind.get_size() <= 8:
        name: str = found.dtype.newbyteorder("=").name
        return name
    if isinstance(kind, h5py.h5t.TypeOpaqueID) and kind.get_size() == 2:
        return "bfloat16"
    return type(kind).__name__.removeprefix("Type").removesuffix("ID").lower()


def _counted(size: int) -> str:
    return f"{size:,} bytes" if size < 10**18 else "more than 10^18 bytes"
