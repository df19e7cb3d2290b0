"""The files on disk: the graph's bytes, the weight files beside it, and the digest of both."""

from __future__ import annotations

import hashlib
import math
import os
import stat
from collections.abc import Sequence
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
import onnx
import torch
from google.protobuf.message import DecodeError  # type: ignore[import-untyped]
from numpy.typing import NDArray
from onnx import ModelProto, TensorProto, numpy_helper

from ti_core.errors import ModelFileError, RefusedFileError
from ti_core.loading.onnx import limits
from ti_core.loading.onnx.outline import missing, weight_file
from ti_core.loading.onnx.types import ITEM_BYTES, torch_type


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
        self.data_files: list[str] = []
        self._digest = hashlib.sha256()
        self._declared = 0
        self._sizes: dict[str, int] = {}

    def read(self) -> ModelProto:
        """Parse the graph. ModelFileError is raised if the file holds none."""
        if self.path is None:
            raise ValueError("a container without a path has nothing to read")
        try:
            with _open_plain(self.path) as file:
                size = _plain_size(file, self.path.name)
                if size > limits.MAX_GRAPH_BYTES:
                    raise RefusedFileError(
                        f"'{self.path.name}' has {size:,} bytes; ONNX graphs are opened up to "
                        f"{limits.MAX_GRAPH_BYTES:,}."
                    )
                content = file.read()
        except OSError as error:
            raise ModelFileError(f"'{self.path.name}' cannot be read: {error.strerror}.") from error
        self._digest.update(content)
        return self.parse(content)

    def parse(self, content: bytes) -> ModelProto:
        """The graph in `content`. ModelFileError is raised if there is none."""
        name = self.path.name if self.path else "The graph"
        try:
            model: ModelProto = onnx.ModelProto.FromString(content)
        except DecodeError as error:
            raise ModelFileError(f"'{name}' is not an ONNX file, or it is damaged.") from error
        if not model.graph.node:
            raise ModelFileError(f"'{name}' holds no ONNX graph.")
        return model

    def sha256(self) -> str:
        """SHA-256 of the graph's file followed by its weight files, in the order of the graph."""
        digest = self._digest.copy()
        for name in self.data_files:
            with self._open(name) as file:
                while block := file.read(1 << 20):
                    digest.update(block)
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
        with self._open(name) as file:
            if name not in self.data_files:
                self.data_files.append(name)
            if offset < 0 or offset + length > self._sizes[name]:
                raise ModelFileError(
                    f"{where} lies at bytes {offset:,} to {offset + length:,} of '{name}', "
                    f"which has only {self._sizes[name]:,}: one of the two files is not the right one."
                )
            file.seek(offset)
            raw = bytearray(file.read(length))
            if len(raw) != length:
                raise ModelFileError(f"'{name}' ended while it was read.")
        if proto.data_type == TensorProto.BFLOAT16:
            return (
                (np.frombuffer(raw, "<u2").astype(np.uint32) << 16).view(np.float32).reshape(list(proto.dims))
            )
        kind = onnx.helper.tensor_dtype_to_np_dtype(proto.data_type)
        return np.frombuffer(raw, kind).reshape(list(proto.dims))

    def _open(self, name: str) -> BinaryIO:
        """Open a weight file. It must be a plain file in the graph's folder or among the companions."""
        shown = limits.shown(name)
        if self.path is None:
            raise ModelFileError(f"The graph keeps weights in '{shown}', but has no folder.")
        if len(self.data_files) >= limits.MAX_DATA_FILES:
            raise RefusedFileError(
                f"The graph keeps its weights in more than {limits.MAX_DATA_FILES:,} files."
            )
        others = sum(known != name for known in self.data_files)
        place = weight_file(self.path, name, self.companions, others)
        try:
            file = _open_plain(place, os.O_NOFOLLOW)
        except FileNotFoundError as error:
            raise missing(self.path.name, name) from error
        except (OSError, ValueError) as error:
            raise ModelFileError(f"'{shown}' beside the graph cannot be read.") from error
        try:
            self._sizes[name] = _plain_size(file, shown)
        except ModelFileError:
            file.close()
            raise
        return file


def _open_plain(path: Path, flags: int = 0) -> BinaryIO:
    # Without O_NONBLOCK, opening a named pipe would wait until a program writes to it.
    return os.fdopen(os.open(path, os.O_RDONLY | os.O_NONBLOCK | flags), "rb")


def _plain_size(file: BinaryIO, name: str) -> int:
    status = os.fstat(file.fileno())
    if not stat.S_ISREG(status.st_mode):
        raise RefusedFileError(f"'{name}' is not a plain file.")
    return status.st_size
