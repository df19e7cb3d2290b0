"""Safetensors files: the header's length, a header in JSON, and the numbers. Nothing in them can run."""

from __future__ import annotations

import json
import math
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from ti_core.errors import ModelFileError, RefusedFileError
from ti_core.loading.limits import LIMITS
from ti_core.loading.names import check_name
from ti_core.loading.pickles.tensors import TensorInfo
from ti_core.system.strict_json import parse
from ti_core.text import shown

_DTYPES = {"F16": "float16", "BF16": "bfloat16", "F32": "float32", "F64": "float64", "I64": "int64"}
_SIZES = {"float16": 2, "bfloat16": 2, "float32": 4, "float64": 8, "int64": 8}

Span = tuple[int, int]
"""Where the bytes of a tensor begin and end, counted from the end of the header."""


@dataclass(frozen=True)
class Header:
    """What a safetensors file declares: its tensors, and its metadata, which is free text."""

    tensors: tuple[TensorInfo, ...]
    metadata: dict[str, str]


def read_header(data: bytes) -> Header:
    """The checked header of a safetensors file.

    Raises
    ------
    RefusedFileError : the header, or what it declares, exceeds the limits.
    ModelFileError : the file is truncated, or its header does not follow the format.
    """
    if len(data) < 10:
        raise ModelFileError("The safetensors file is truncated: it has no header.")
    length = int.from_bytes(data[:8], "little")
    if length > LIMITS.header_bytes:
        raise RefusedFileError(
            f"The safetensors header declares {length} bytes; the limit is {LIMITS.header_bytes}."
        )
    if length > len(data) - 8:
        raise ModelFileError(f"The safetensors file is truncated: its header should have {length} bytes.")
    try:
        header = parse(data[8 : 8 + length])
    except ValueError as error:
        raise ModelFileError("The safetensors header is damaged: it is not valid JSON.") from error
    if not isinstance(header, dict):
        raise ModelFileError("The safetensors header is damaged: it is not a table of tensors.")
    metadata = header.pop("__metadata__", {})
    if len(header) > LIMITS.tensors:
        raise RefusedFileError(
            f"The safetensors header declares {len(header)} tensors; the limit is {LIMITS.tensors}."
        )
    room = len(data) - 8 - length
    spans = [_tensor(name, entry, room) for name, entry in header.items()]
    tensors = tuple(tensor for tensor, _ in spans)
    if sum(t.elements for t in tensors) > LIMITS.elements:
        raise RefusedFileError(f"The safetensors file declares more than {LIMITS.elements} numbers.")
    _check_layout(spans, room)
    _check_with_library(data)
    return Header(tensors, _texts(metadata))


def _tensor(name: str, entry: Any, room: int) -> tuple[TensorInfo, Span]:
    """A tensor, and where its bytes are."""
    check_name(name)
    try:
        dtype, shape, (begin, end) = entry["dtype"], entry["shape"], entry["data_offsets"]
        sizes = all(type(n) is int and n >= 0 for n in (*shape, begin, end))
    except (TypeError, KeyError, ValueError) as error:
        raise ModelFileError(f"The safetensors header is damaged at the tensor {shown(name)}.") from error
    if not isinstance(dtype, str) or dtype not in _DTYPES:
        raise ModelFileError(
            f"The file's tensor {shown(name)} is stored as {shown(str(dtype))}; only models in floating "
            "point can be inspected."
        )
    if not sizes or len(shape) > 8 or end > room or end - begin != math.prod(shape) * _SIZES[_DTYPES[dtype]]:
        raise ModelFileError(f"The safetensors file is truncated or damaged at the tensor {shown(name)}.")
    return TensorInfo(name, tuple(shape), _DTYPES[dtype]), (begin, end)


def _check_layout(spans: Sequence[tuple[TensorInfo, Span]], room: int) -> None:
    """Every byte behind the header belongs to one tensor: nothing is hidden, and no tensor is two at once."""
    before, at = "its header", 0
    for tensor, (begin, end) in sorted(spans, key=lambda pair: pair[1]):
        name = shown(tensor.name)
        if begin < at:
            raise ModelFileError(f"The safetensors file is damaged: {before} and the tensor {name} overlap.")
        if begin > at:
            raise ModelFileError(
                f"The safetensors file is damaged: {begin - at:,} bytes before the tensor {name} belong to no tensor."
            )
        before, at = f"the tensor {name}", end
    if at < room:
        raise ModelFileError(
            f"The safetensors file is damaged: {room - at:,} bytes after {before} belong to no tensor."
        )


def _check_with_library(data: bytes) -> None:
    """The library that reads the tensors takes the file.

    The file report comes here too, so that it calls no file sound that cannot be read.
    """
    import safetensors

    try:
        safetensors.deserialize(data)  # type: ignore[no-untyped-call]
    except safetensors.SafetensorError as error:
        raise ModelFileError(
            "The safetensors file is damaged: its header does not follow the format."
        ) from error


def _texts(metadata: Any) -> dict[str, str]:
    if not isinstance(metadata, dict):
        return {}
    pairs = [(key, value) for key, value in metadata.items() if isinstance(value, str)]
    return {shown(key): shown(value, LIMITS.text) for key, value in pairs[: LIMITS.texts]}


def hint_of(metadata: dict[str, str]) -> dict[str, Any]:
    """The architecture and options that the file names. They are only a hint: the shapes must agree."""
    hint: dict[str, Any] = {}
    if "architecture" in metadata:
        hint["architecture"] = metadata["architecture"]
    try:
        options = json.loads(metadata.get("options", "{}"))
    except (ValueError, RecursionError):
        options = {}
    if isinstance(options, dict):
        hint["options"] = options
    return hint if metadata.keys() & {"architecture", "options"} else {}


def read_tensors(data: bytes) -> dict[str, Any]:
    """The tensors of a file whose header has been checked, as views of ``data``. Nothing may write into them.

    The library would copy all of them, so that a large file would be held three times.
    """
    import torch

    length = int.from_bytes(data[:8], "little")
    header = parse(data[8 : 8 + length])
    header.pop("__metadata__", None)
    content = memoryview(data)[8 + length :]
    found = {}
    with warnings.catch_warnings():
        # That the bytes cannot be written is as it should be.
        warnings.simplefilter("ignore", UserWarning)
        for name, entry in header.items():
            (begin, end), kind = entry["data_offsets"], getattr(torch, _DTYPES[entry["dtype"]])
            flat = (
                torch.frombuffer(content[begin:end], dtype=kind)
                if begin < end
                else torch.empty(0, dtype=kind)
            )
            found[name] = flat.reshape(entry["shape"])
    return found
