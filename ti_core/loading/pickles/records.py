"""Reads a checked archive with torch's restricted reader, with inert records in place of classes.

A class that a file names is never looked up. A layer or network becomes a :class:`Record`, which keeps the
path of the class and the state and runs nothing. A note of the training script becomes an :class:`Ignored`.
Real layers are built from the records afterwards (:mod:`ti_core.loading.pickles.layers`).
"""

from __future__ import annotations

import threading
import warnings
from collections.abc import Iterable, Mapping
from typing import Any, ClassVar

import torch

from ti_core.errors import ModelFileError
from ti_core.loading.pickles.allowed import ALLOWED, READ_BY_TORCH, Kind
from ti_core.loading.pickles.archive import TorchArchive

_one_at_a_time = threading.Lock()
"""torch keeps the allow-list of a reading in a global variable, so only one reading may run at a time."""


class Record:
    """A layer or network as the file describes it: the path of its class, and its attributes."""

    path: ClassVar[str] = ""
    state: Mapping[str, Any]

    def __new__(cls) -> Record:
        record = super().__new__(cls)
        record.state = {}
        return record

    def __setstate__(self, state: Any) -> None:
        if type(state) is not dict or self.state:
            raise ModelFileError(f"The file describes {self.path} in a way that torch.save never writes.")
        self.state = state

    @property
    def children(self) -> dict[str, Any]:
        return _entries(self.state.get("_modules"))

    @property
    def parameters(self) -> dict[str, Any]:
        return _entries(self.state.get("_parameters"))

    @property
    def buffers(self) -> dict[str, Any]:
        return _entries(self.state.get("_buffers"))


def _entries(found: Any) -> dict[str, Any]:
    if found is None:
        return {}
    if not isinstance(found, dict) or not all(isinstance(key, str) and "." not in key for key in found):
        raise ModelFileError("The file describes a layer's parts in a way that torch.save never writes.")
    return dict(found)


class Ignored:
    """A note that the training script left beside the weights. Its content is dropped."""

    def __new__(cls, *args: Any) -> Ignored:
        return super().__new__(cls)

    def __init__(self, *args: Any) -> None:
        pass

    def __setstate__(self, state: Any) -> None:
        pass


_RECORDS: dict[str, type] = {
    path: Ignored if kind is Kind.INERT else type("Record", (Record,), {"path": path})
    for path, kind in ALLOWED.items()
    if kind not in READ_BY_TORCH
}


def read_archive(archive: TorchArchive, refs: Iterable[str]) -> Any:
    """The content of a checked archive: tensors, plain containers and records.

    Parameters
    ----------
    archive : an archive whose pickle has passed every check of :mod:`ti_core.loading.pickles.checks`.
    refs : the names that the pickle imports.
    """
    stand_ins: list[Any] = [(_RECORDS[path], path) for path in refs if path in _RECORDS]
    copy = archive.rewritten()
    with _one_at_a_time, warnings.catch_warnings(), torch.serialization.safe_globals(stand_ins):
        warnings.simplefilter("ignore")
        try:
            return torch.load(copy, map_location="cpu", weights_only=True)
        except ModelFileError:
            raise
        except Exception as error:
            # The reader can raise errors of any kind. Each means that the content does not fit together.
            raise ModelFileError(
                f"The archive's content does not fit together ({type(error).__name__} while its tensors "
                f"were read)."
            ) from error
