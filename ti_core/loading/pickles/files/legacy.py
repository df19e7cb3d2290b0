"""The format of ``torch.save`` before version 1.6: five pickles in a row, then the numbers of every storage.

The pickles are a magic number, the format's version, a note on the machine, the content, and the list of the storages'
keys. Then each storage follows in the order of that list: how many numbers it has (eight bytes), and the numbers. The
numbers stand with the least significant byte first, whatever machine wrote them. There is no checksum.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from ti_core.errors import ModelFileError, RefusedFileError
from ti_core.loading.limits import LIMITS
from ti_core.loading.pickles.files.container import Member
from ti_core.loading.pickles.machine import Outline
from ti_core.loading.pickles.nodes import Pairs, Stored
from ti_core.loading.pickles.outline import outline_of
from ti_core.loading.pickles.values.storages import UnfitError, stored_of
from ti_core.text import shown

MAGIC = 0x1950A86A20F9469CFC6C
VERSION = 1001


@dataclass(frozen=True)
class LegacyFile:
    """A legacy file whose layout has been checked. ``places`` says by key where a storage's numbers are."""

    data: bytes
    outline: Outline
    places: Mapping[str, tuple[int, int]] = field(default_factory=dict)
    members: tuple[Member, ...] = ()
    big_endian: bool = False
    has_checksums: bool = False

    @property
    def storage_bytes(self) -> dict[str, int]:
        """Size of each storage in bytes, by its key."""
        return {key: end - begin for key, (begin, end) in self.places.items()}

    def storage(self, key: str) -> memoryview:
        """The bytes of a storage."""
        begin, end = self.places[key]
        return memoryview(self.data)[begin:end]

    def check(self) -> None:
        """There is no checksum: all that can be checked was checked when the file was opened."""


def open_legacy(data: bytes) -> LegacyFile:
    """Check the layout of a legacy file. What its pickles import is in ``outline``, of all five together.

    A pickle that cannot be followed to its end leaves ``outline`` without a root, and says why.

    Raises
    ------
    RefusedFileError : the file exceeds the limits, or is not laid out as torch.save does.
    ModelFileError : it is truncated.
    """
    outlines, at = _pickles(data)
    whole = _merged(outlines)
    if len(outlines) < 5 or whole.broken:
        return LegacyFile(data, whole)
    magic, version, machine, _, keys = (outline.root for outline in outlines)
    if magic != MAGIC or version != VERSION or not isinstance(machine, Pairs):
        raise RefusedFileError(
            "The file begins like a legacy torch file, but its head is not one that torch.save writes."
        )
    if machine.get("little_endian") is False:
        raise RefusedFileError(
            "The file was written by an old torch on a big-endian machine, which is not supported; load it there and "
            "save it again with a present version of torch."
        )
    return LegacyFile(data, whole, _places(data, at, _keys(keys), _declared(whole)))


def _pickles(data: bytes) -> tuple[list[Outline], int]:
    """The outlines of the file's five pickles, or of those up to a broken one, and where the last one ends."""
    outlines: list[Outline] = []
    at, room = 0, LIMITS.pickle_bytes
    while len(outlines) < 5:
        part = data[at : at + room]
        outline = outline_of(part)
        outlines.append(outline)
        if outline.broken:
            if len(part) == room:
                raise RefusedFileError(
                    f"The file's pickles have more than {LIMITS.pickle_bytes} bytes, or do not end; that is the limit."
                )
            break
        at += len(part) - outline.trailing
        room -= len(part) - outline.trailing
    return outlines, at


def _merged(outlines: list[Outline]) -> Outline:
    """One outline that holds what all of them import; its root is the content."""
    content = outlines[3] if len(outlines) > 3 else outlines[-1]
    merged = Outline(protocol=content.protocol, broken=next((o.broken for o in outlines if o.broken), ""))
    merged.root = None if merged.broken else content.root
    for outline in outlines:
        merged.refs += [path for path in outline.refs if path not in merged.refs]
        merged.unusual += [name for name in outline.unusual if name not in merged.unusual]
        merged.unresolved += outline.unresolved
    return merged


def _keys(listed: Any) -> list[str]:
    if not isinstance(listed, list) or not all(isinstance(key, str) for key in listed):
        raise RefusedFileError("The file's list of storages is not one that torch.save writes.")
    if len(set(listed)) != len(listed) or len(listed) > LIMITS.members:
        raise RefusedFileError(
            f"The file lists {len(listed)} storages, some of them twice or beyond the limit of {LIMITS.members}."
        )
    return listed


def _declared(outline: Outline) -> dict[str, tuple[int, int]]:
    """By key, the bytes of one number and the count of numbers that the content declares of each storage."""
    found: dict[str, tuple[int, int]] = {}
    for node in outline.nodes:
        if isinstance(node, Stored):
            try:
                stored = stored_of(node)
            except UnfitError:
                # The checks of the pickle name it.
                continue
            found.setdefault(stored.key, (stored.width, stored.total))
    return found


def _places(
    data: bytes, at: int, keys: list[str], declared: Mapping[str, tuple[int, int]]
) -> dict[str, tuple[int, int]]:
    places: dict[str, tuple[int, int]] = {}
    for key in keys:
        if key not in declared:
            raise RefusedFileError(
                f"The file holds a storage {shown(key)} that belongs to no tensor, where torch.save writes none."
            )
        width, total = declared[key]
        count = int.from_bytes(data[at : at + 8], "little", signed=True)
        if len(data) < at + 8 or (count == total and at + 8 + count * width > len(data)):
            raise ModelFileError(
                f"The file is truncated: it ends inside the tensor storage {shown(key)}. Copy or download it again."
            )
        if count != total:
            raise RefusedFileError(
                f"The file declares {total} numbers in its storage {shown(key)}, which says of itself that it holds "
                f"{count}."
            )
        places[key] = (at + 8, at + 8 + count * width)
        at += 8 + count * width
    if at != len(data):
        raise RefusedFileError(
            f"The file holds {len(data) - at:,} bytes after its last storage, where torch.save writes none; save the "
            "state dict again and send that."
        )
    return places
