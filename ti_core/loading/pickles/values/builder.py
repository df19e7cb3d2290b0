"""Builds the weights from the outline of a checked pickle: tensors, plain containers and inert records.

A tensor is made of the file's own bytes, without a copy. Whoever computes with it converts it first
(:mod:`ti_core.loading.weights`), and never writes into it.
"""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
import torch

from ti_core.errors import ModelFileError
from ti_core.loading.pickles.allowed import ALLOWED, Kind
from ti_core.loading.pickles.files.container import Container
from ti_core.loading.pickles.nodes import Call, Pairs, Ref, items_of
from ti_core.loading.pickles.own.classes import is_own, read_of
from ti_core.loading.pickles.records import Ignored, record_class
from ti_core.loading.pickles.tensors import Declared, declared_of, is_tensor
from ti_core.loading.pickles.values.arrays import Array, array_of
from ti_core.loading.pickles.values.storages import StorageRef

_WHOLE = {"qint8": torch.int8, "quint8": torch.uint8, "qint32": torch.int32, "bool": torch.uint8}
_RECORDS = (Kind.LAYER, Kind.NETWORK, Kind.FUNCTION)


class Builder:
    """Builds values of one file. A value that occurs twice is built once and shared."""

    def __init__(self, container: Container) -> None:
        self._container = container
        self._built: dict[int, Any] = {}
        self._flat: dict[tuple[str, str], torch.Tensor] = {}

    def value(self, node: Any) -> Any:
        """What ``node`` stands for. The checks have bounded how deeply it is nested."""
        if not isinstance(node, (Call, Pairs, list, tuple)):
            return _ref(node.path) if isinstance(node, Ref) else node
        if id(node) not in self._built:
            self._built[id(node)] = self._made(node)
        return self._built[id(node)]

    def _made(self, node: Any) -> Any:
        if isinstance(node, (list, tuple)):
            return type(node)(map(self.value, node))
        if isinstance(node, Pairs):
            return {key: self.value(value) for key, value in node.items}
        return self._call(node, node.function.path)

    def _call(self, node: Call, path: str) -> Any:
        if is_tensor(node):
            return self.tensor(declared_of(node))
        if is_own(node):
            read = {name: self.value(value) for name, value in node.states[0].items if read_of(name)}
            return record_class(path)(read)
        kind = ALLOWED[path]
        if kind in _RECORDS:
            state = self.value(node.states[0]) if node.states else {}
            return record_class(path)(state)
        if path == "collections.OrderedDict":
            return {key: self.value(value) for key, value in items_of(node)}
        if path == "builtins.set":
            return set(node.args[0])
        return tuple(node.args[0]) if path == "torch.Size" else Ignored()

    def weight(self, node: Any) -> torch.Tensor:
        """The tensor or the array of numpy that ``node`` stands for."""
        array = array_of(node)
        tensor = self.value(node) if array is None else tensor_from(array)
        assert isinstance(tensor, torch.Tensor)
        return tensor

    def tensor(self, declared: Declared) -> torch.Tensor:
        """A declared tensor, quantised ones as the real numbers that they stand for."""
        shape = declared.info.shape
        if not declared.info.elements:
            return torch.empty(
                shape, dtype=_WHOLE.get(declared.info.dtype) or getattr(torch, declared.info.dtype)
            )
        flat = self._numbers(declared.storage)
        tensor = flat.as_strided(shape, declared.stride, declared.storage.begin + declared.offset)
        if declared.info.dtype == "bool":
            return tensor != 0
        return tensor if declared.steps is None else self._dequantised(tensor, declared)

    def _numbers(self, storage: StorageRef) -> torch.Tensor:
        """All numbers of a storage in a row."""
        at = (storage.key, storage.dtype)
        if at not in self._flat:
            content = self._container.storage(storage.key)[: storage.total * storage.width]
            if self._container.big_endian and storage.width > 1:
                half = storage.width // (2 if storage.dtype.startswith("complex") else 1)
                content = memoryview(np.frombuffer(content, f">u{half}").astype(f"<u{half}").tobytes())
            dtype = _WHOLE.get(storage.dtype) or getattr(torch, storage.dtype)
            with warnings.catch_warnings():
                # torch warns that the bytes of the file may not be written to.
                warnings.simplefilter("ignore")
                self._flat[at] = torch.frombuffer(content, dtype=dtype, count=storage.total)
        return self._flat[at]

    def _dequantised(self, whole: torch.Tensor, declared: Declared) -> torch.Tensor:
        steps = declared.steps
        assert steps is not None
        scale, zero = (
            self._along(steps.scale, whole, steps.axis),
            self._along(steps.zero_point, whole, steps.axis),
        )
        if not bool((torch.isfinite(scale) & torch.isfinite(zero)).all()):
            raise ModelFileError("The file holds a quantised tensor whose scale or zero point is not finite.")
        real = whole.to(torch.float32)
        return real.sub_(zero).mul_(scale)

    def _along(self, given: Any, whole: torch.Tensor, axis: int | None) -> torch.Tensor:
        """Numbers for each place along an axis, or one for all, shaped to fit ``whole``."""
        if isinstance(given, Call):
            given = self.tensor(declared_of(given))
        row = torch.as_tensor(given, dtype=torch.float32)
        return row if axis is None else row.reshape([-1 if d == axis else 1 for d in range(whole.dim())])


def tensor_from(array: Array) -> torch.Tensor:
    """An array of numpy as a tensor."""
    order = ">" if array.big_endian else "<"
    flat = np.frombuffer(array.raw, f"{order}{array.kind}").astype(array.kind)
    shaped = flat.reshape(array.shape, order="F" if array.fortran else "C")
    return torch.from_numpy(np.ascontiguousarray(shaped).reshape(array.shape))


def _ref(path: str) -> Any:
    return record_class(path) if ALLOWED.get(path) in _RECORDS else Ignored()
