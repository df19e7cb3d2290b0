"""ONNX's element types in PyTorch."""

from __future__ import annotations

import torch
from onnx import TensorProto

from ti_core.errors import ModelFileError

TORCH: dict[int, torch.dtype] = {
    TensorProto.FLOAT: torch.float32,
    TensorProto.DOUBLE: torch.float64,
    TensorProto.FLOAT16: torch.float16,
    TensorProto.BFLOAT16: torch.bfloat16,
    TensorProto.INT8: torch.int8,
    TensorProto.INT16: torch.int16,
    TensorProto.INT32: torch.int32,
    TensorProto.INT64: torch.int64,
    TensorProto.UINT8: torch.uint8,
    # PyTorch supports few operations on the wider unsigned types, so signed types hold their values.
    TensorProto.UINT16: torch.int32,
    TensorProto.UINT32: torch.int64,
    TensorProto.UINT64: torch.int64,
    TensorProto.BOOL: torch.bool,
}

ITEM_BYTES: dict[int, int] = {
    TensorProto.FLOAT: 4,
    TensorProto.DOUBLE: 8,
    TensorProto.FLOAT16: 2,
    TensorProto.BFLOAT16: 2,
    TensorProto.INT8: 1,
    TensorProto.INT16: 2,
    TensorProto.INT32: 4,
    TensorProto.INT64: 8,
    TensorProto.UINT8: 1,
    TensorProto.UINT16: 2,
    TensorProto.UINT32: 4,
    TensorProto.UINT64: 8,
    TensorProto.BOOL: 1,
}
"""Bytes of one element in a file."""


def type_name(code: int) -> str:
    """The name that ONNX gives to an element type, in lower case."""
    names: dict[int, str] = {number: name for name, number in TensorProto.DataType.items()}
    return names.get(code, f"number {code}").lower()


def torch_type(code: int, where: str) -> torch.dtype:
    """The PyTorch type of an ONNX element type. If there is none, a ModelFileError begins with `where`."""
    if code not in TORCH:
        raise ModelFileError(f"{where} uses the element type {type_name(code)}, which is not supported.")
    return TORCH[code]
