"""Storages as persistent ids declare them: where the numbers of a tensor are, and of which type."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

from ti_core.loading.pickles.allowed import DTYPES, STORAGES, UNTYPED
from ti_core.loading.pickles.nodes import Ref, Stored


class UnfitError(Exception):
    """A declared tensor is impossible; the text completes "a tensor that ..."."""


@dataclass(frozen=True)
class StorageRef:
    """A storage as a persistent id declares it, or a view of a part of it, as the oldest files have them.

    Parameters
    ----------
    key, dtype, width : its key, the type of its numbers, and the bytes of one number.
    total : count of its numbers.
    begin, count : the part that is meant, in numbers; without a view all of them.
    """

    key: str
    dtype: str
    width: int
    total: int
    begin: int
    count: int


def stored_of(node: Any) -> StorageRef:
    """The storage that a persistent id names.

    Raises
    ------
    UnfitError : it is no storage of a known type, or its view reaches beyond it.
    """
    match node:
        case Stored(pid=("storage", Ref(path=path), str(key), str(), int(total), *view)):
            if path not in STORAGES and path not in UNTYPED:
                raise UnfitError("has numbers of an unknown type")
            dtype, width = STORAGES.get(path, ("bytes", 1))
            begin, count = 0, total
            match view:
                case [] | [None]:
                    pass
                case [(str(), int(begin), int(count))]:
                    pass
                case _:
                    raise UnfitError("has a storage that torch.save never writes")
            if total < 0:
                raise UnfitError(f"has a storage of {total} numbers")
            if begin < 0 or count < 0 or begin + count > total:
                raise UnfitError("reaches beyond its storage")
            return StorageRef(key, dtype, width, total, begin, count)
    raise UnfitError("has no storage in the file")


def typed(storage: StorageRef, path: str) -> StorageRef:
    """A storage that counts bytes, as one of numbers of another type."""
    dtype = path.removeprefix("torch.")
    if storage.dtype != "bytes" or dtype not in DTYPES:
        raise UnfitError("has numbers of an unknown type")
    width = DTYPES[dtype]
    return replace(
        storage, dtype=dtype, width=width, total=storage.total // width, count=storage.count // width
    )
