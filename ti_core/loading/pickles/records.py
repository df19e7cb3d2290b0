"""Inert stand-ins for what a file names: no class of a file is ever looked up.

A layer or network becomes a :class:`Record`, which keeps the path of the class and the state and runs nothing. A note
of the training script becomes an :class:`Ignored`. Real layers are built from the records afterwards
(:mod:`ti_core.loading.pickles.layers`).
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from typing import Any, ClassVar

from ti_core.errors import ModelFileError


class Record:
    """A layer or network as the file describes it: the path of its class, and its attributes."""

    path: ClassVar[str] = ""
    state: Mapping[str, Any]

    def __init__(self, state: Mapping[str, Any]) -> None:
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


@cache
def record_class(path: str) -> type[Record]:
    """The class of the records that stand in for the class of this path."""
    return type("Record", (Record,), {"path": path})
