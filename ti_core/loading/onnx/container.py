"""The files on disk: the graph's bytes, the weight files beside it, and the digest of both."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import torch
from google.protobuf.message import DecodeError  # type: ignore[import-untyped]
from numpy.typing import NDArray
from onnx import ModelProto, TensorProto, numpy_helper

from ti_core.errors import ModelFileError, RefusedFileError
from ti_core.loading.limits import LIMITS, check_weight_bytes
from ti_core.loading.onnx import limits
from ti_core.loading.onnx.ambiguity import given_twice
from ti_core.loading.onnx.outline import missing, weight_file
from ti_core.loading.onnx.types import ITEM_BYTES, torch_type
from ti_core.system.plain_files import read_plain


class Container:
    """An opened ``.onnx`` file and the folder in which its other files must lie.

    Parameters
    ----------
    path : the file, or None for a graph in memory, which has no folder.
    companions : the other files, if they do not lie beside ``path``.
    """

    def __init__(self, path: Path | None = None, companions: Sequence[Path] = ()) -> None:
        self.path = path
        self.companions = list(companions)
        self._digest = hashlib.sha256()
        self._declared = 0
        self._weights: dict[str, bytes] = {}

    @property
    def data_files(self) -> list[str]:
        """Names of the weight files that were read, in the order of the graph."""
        return list(self._weights)

    def read(self, content: bytes) -> ModelProto:
        """Parse the content of the graph's own file. ModelFileError is raised if it holds no graph."""
        self._digest.update(content)
        return self.parse(content)

    def parse(self, content: bytes) -> ModelProto:
        """The graph in `content`.

        Raises
        ------
        ModelFileError : there is none.
        RefusedFileError : it gives a value twice.
        """
        name = self.path.name if self.path else "The graph"
        try:
            model: ModelProto = onnx.ModelProto.FromString(content)
        except DecodeError as error:
            raise ModelFileError(f"'{name}' is not an ONNX file, or it is damaged.") from error
        if not model.graph.node:
            raise ModelFileError(f"'{name}' holds no ONNX graph.")
        ambiguous = given_twice(model)
        if ambiguous is not None:
            raise RefusedFileError(ambiguous)
        return model

    def sha256(self) -> str:
        """SHA-256 of the graph's file followed by its weight files, in the order of the graph."""
        digest = self._digest.copy()
        for content in self._weights.values():
            digest.update(content)
        return digest.hexdigest()

    def tensor(self, proto: TensorProto, *, widen: bool) -> torch.Tensor:
        """Read a constant.

        Parameters
        ----------
        proto : the constant's declaration. The sizes are checked before anything is allocated.
        widen : whether every floating type becomes float32.

        Raises
        ------
        RefusedFileError, ModelFileError : the declaration exceeds the limits, or does not fit the content.
        """
        where = f"The constant '{limits.shown(proto.name)}'"
        kind = torch_type(proto.data_type, where)
        dims = list(proto.dims)
        if len(dims) > limits.MAX_RANK or any(d < 0 for d in dims):
            raise ModelFileError(f"{where} declares a shape that no tensor has.")
        size = math.prod(dims) * ITEM_BYTES[proto.data_type]
        self._declared += size
        if self._declared > limits.MAX_WEIGHT_BYTES:
            raise RefusedFileError(
                f"{where} brings the declared weights beyond the limit of {limits.MAX_WEIGHT_BYTES:,} bytes."
            )
        if proto.data_location == TensorProto.EXTERNAL:
            array = self._external(proto, size, where)
        elif math.prod(dims) > proto.ByteSize() or (
            proto.HasField("raw_data") and len(proto.raw_data) != size
        ):
            raise ModelFileError(f"{where} declares {size:,} bytes, but the file does not hold them.")
        else:
            try:
                array = numpy_helper.to_array(proto)
            except Exception as error:  # a damaged tensor can make numpy raise anything
                raise ModelFileError(f"{where} does not hold what it declares.") from error
            if array.dtype.name == "bfloat16":
                array = array.astype(np.float32)
        if array.dtype in (np.uint16, np.uint32, np.uint64):
            array = array.astype(np.int32 if array.dtype == np.uint16 else np.int64)
        tensor = torch.from_numpy(np.array(array, copy=True)).to(kind)
        return tensor.float() if widen and tensor.is_floating_point() else tensor

    def _external(self, proto: TensorProto, size: int, where: str) -> NDArray[Any]:
        entries = {entry.key: entry.value for entry in proto.external_data}
        if not all(isinstance(value, str) for value in entries.values()):
            raise ModelFileError(f"{where} names its weight file in damaged text.")
        name = entries.get("location", "")
        try:
            offset = int(entries.get("offset", "0"))
            length = int(entries.get("length", size))
        except ValueError as error:
            raise ModelFileError(f"{where} names no valid place in '{limits.shown(name)}'.") from error
        if length != size:
            raise ModelFileError(f"{where} declares {size:,} bytes, but {length:,} in its weight file.")
        content = self._weight_file(name)
        if offset < 0 or offset + length > len(content):
            raise ModelFileError(
                f"{where} lies at bytes {offset:,} to {offset + length:,} of '{name}', "
                f"which has only {len(content):,}: one of the two files is not the right one."
            )
        raw = memoryview(content)[offset : offset + length]
        if proto.data_type == TensorProto.BFLOAT16:
            return (
                (np.frombuffer(raw, "<u2").astype(np.uint32) << 16).view(np.float32).reshape(list(proto.dims))
            )
        kind = onnx.helper.tensor_dtype_to_np_dtype(proto.data_type)
        return np.frombuffer(raw, kind).reshape(list(proto.dims))

    def _weight_file(self, name: str) -> bytes:
        """The content of a weight file. It must be a plain file in the graph's folder or among the companions.

        The file is read once and whole, so that the digest and the weights come from the same bytes.
        """
        if name in self._weights:
            return self._weights[name]
        shown = limits.shown(name)
        if self.path is None:
            raise ModelFileError(f"The graph keeps weights in '{shown}', but has no folder.")
        if len(self._weights) >= limits.MAX_DATA_FILES:
            raise RefusedFileError(
                f"The graph keeps its weights in more than {limits.MAX_DATA_FILES:,} files."
            )
        place = weight_file(self.path, name, self.companions, len(self._weights))
        if not place.exists():
            raise missing(self.path.name, name)
        most = LIMITS.weight_bytes
        self._weights[name] = read_plain(place, most, ModelFileError, RefusedFileError, follow=False)
        check_weight_bytes(sum(map(len, self._weights.values())))
        return self._weights[name]
