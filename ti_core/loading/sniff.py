"""Recognises the format of a file by its bytes, because the ending of its name may be wrong."""

from __future__ import annotations

import enum
import io
import struct
import zipfile
from collections.abc import Callable

from ti_core.loading.foreign.recognise import (
    is_core_ml,
    is_openvino,
    is_paddle_pickle,
    is_paddle_program,
    is_paddle_store,
    is_saved_model,
    is_tensorflow_graph,
)
from ti_core.loading.hub.files import in_archive
from ti_core.loading.limits import LIMITS
from ti_core.loading.pickles.outline import outline_of

LEGACY_MAGIC = b"\x8a\x0al\xfc\x9cF\xf9 j\xa8P\x19"
"""The number with which ``torch.save`` began its files before version 1.6, as it stands in its first pickle."""


class FileFormat(enum.Enum):
    """The formats that are distinguished, with their usual names."""

    SAFETENSORS = "safetensors"
    TORCH = "torch checkpoint"
    ONNX = "onnx"
    TORCHSCRIPT = "TorchScript archive"
    EXPORTED = "torch.export archive (.pt2)"
    LEGACY_TORCH = "legacy torch pickle"
    LEGACY_TAR = "legacy torch tar"
    PICKLE = "bare pickle"
    NUMPY = "numpy array file"
    HDF5 = "Keras or other HDF5 file"
    KERAS = "Keras archive"
    TFLITE = "TensorFlow Lite model"
    SAVED_MODEL = "TensorFlow SavedModel's graph"
    FROZEN_GRAPH = "TensorFlow frozen graph"
    CORE_ML = "Core ML model"
    PADDLE_PROGRAM = "PaddlePaddle program"
    PADDLE_STORE = "PaddlePaddle weights file"
    PADDLE_PICKLE = "PaddlePaddle pickle"
    MXNET = "file of MXNet weights"
    OPENVINO = "OpenVINO network"
    ONNX_RUNTIME = "ONNX Runtime model"
    GGUF = "GGUF file"
    COMPRESSED = "compressed file"
    HUB = "model folder in a zip archive"
    ZIP = "zip archive of another kind"
    TWO_FORMATS = "file of two formats"
    EMPTY = "empty file"
    UNKNOWN = "unknown format"


_NO_ARCHIVE = (
    zipfile.BadZipFile,
    ValueError,
    NotImplementedError,
    UnicodeDecodeError,
    EOFError,
    struct.error,
    OSError,
)
_TEXT_STARTS = tuple(bytes([code]) for code in b"(c]}ldiSVIFLN")
"""First instructions of the pickles that are written as text."""

_MAGIC: tuple[tuple[int, bytes, FileFormat], ...] = (
    (0, b"\x89HDF\r\n\x1a\n", FileFormat.HDF5),
    (0, b"\x93NUMPY", FileFormat.NUMPY),
    (4, b"TFL3", FileFormat.TFLITE),
    (4, b"ORTM", FileFormat.ONNX_RUNTIME),
    (0, b"GGUF", FileFormat.GGUF),
    (0, b"\x12\x01\0\0\0\0\0\0", FileFormat.MXNET),
    (257, b"ustar", FileFormat.LEGACY_TAR),
    (0, b"\x1f\x8b", FileFormat.COMPRESSED),
    (0, b"BZh", FileFormat.COMPRESSED),
    (0, b"x\x9c", FileFormat.COMPRESSED),
    (0, b"x\xda", FileFormat.COMPRESSED),
    (0, b"\xfd7zXZ\x00", FileFormat.COMPRESSED),
    (0, b"7z\xbc\xaf\x27\x1c", FileFormat.COMPRESSED),
    (0, b"\x28\xb5\x2f\xfd", FileFormat.COMPRESSED),
)

_FOREIGN: tuple[tuple[Callable[[bytes], bool], FileFormat], ...] = (
    (is_saved_model, FileFormat.SAVED_MODEL),
    (is_core_ml, FileFormat.CORE_ML),
    (is_tensorflow_graph, FileFormat.FROZEN_GRAPH),
    (is_paddle_program, FileFormat.PADDLE_PROGRAM),
    (is_paddle_store, FileFormat.PADDLE_STORE),
    (is_openvino, FileFormat.OPENVINO),
)


def sniff(data: bytes, name: str = "") -> FileFormat:
    """The format of ``data``. ``name`` decides only where the bytes do not."""
    if not data:
        return FileFormat.EMPTY
    for at, magic, kind in _MAGIC:
        if data[at : at + len(magic)] == magic:
            return FileFormat.TWO_FORMATS if kind is FileFormat.HDF5 and holds_archive(data) else kind
    if data[:4] == b"PK\x03\x04":
        return _sniff_zip(data)
    kind = _sniff_content(data, name)
    # A pickle is refused for what it can run, which says more.
    pickled = kind in (FileFormat.PICKLE, FileFormat.PADDLE_PICKLE)
    return FileFormat.TWO_FORMATS if not pickled and holds_archive(data) else kind


def _sniff_content(data: bytes, name: str) -> FileFormat:
    if data[:1] == b"\x80" and LEGACY_MAGIC in data[2:24]:
        return FileFormat.LEGACY_TORCH
    if _looks_like_safetensors(data) or name.lower().endswith(".safetensors"):
        return FileFormat.SAFETENSORS
    if looks_like_pickle(data):
        return FileFormat.PADDLE_PICKLE if is_paddle_pickle(data) else FileFormat.PICKLE
    for recognised, kind in _FOREIGN:
        if recognised(data):
            return kind
    if name.lower().endswith(".onnx") or _looks_like_onnx(data):
        return FileFormat.ONNX
    return FileFormat.UNKNOWN


def holds_archive(data: bytes) -> bool:
    """Whether a zip archive ends at the end of ``data``, wherever it begins: readers of archives look there first."""
    if b"PK\x05\x06" not in data[-(22 + 65535) :]:
        return False
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            return bool(archive.namelist())
    except _NO_ARCHIVE:
        return False


def _sniff_zip(data: bytes) -> FileFormat:
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            names = archive.namelist()[: LIMITS.members]
    except _NO_ARCHIVE:
        # The archive is damaged. Opening it as a torch checkpoint reports in what way.
        return FileFormat.TORCH
    leaves = {name.partition("/")[2] or name for name in names}
    if any(leaf in ("archive_format", "archive_version") for leaf in leaves | set(names)) or any(
        "models/" in name and name.endswith(".json") for name in names
    ):
        return FileFormat.EXPORTED
    if {"constants.pkl", "model.json"} & leaves or any(leaf.startswith("code/") for leaf in leaves):
        return FileFormat.TORCHSCRIPT
    if "data.pkl" in leaves or any(name.endswith("data.pkl") for name in names):
        return FileFormat.TORCH
    if names and all(name.endswith(".npy") for name in names):
        return FileFormat.NUMPY
    if any(name.endswith((".weights.h5", ".weights.json")) for name in names):
        return FileFormat.KERAS
    return FileFormat.HUB if in_archive(names) is not None else FileFormat.ZIP


def _looks_like_safetensors(data: bytes) -> bool:
    # The first eight bytes are the header's length. With a nonzero upper byte it would be over 280 terabytes.
    return len(data) > 8 and data[8:9] == b"{" and data[6:8] == b"\0\0"


def looks_like_pickle(data: bytes) -> bool:
    """Whether ``data`` may be a pickle of any protocol."""
    if data[:1] == b"\x80" and len(data) > 1 and data[1] <= 5:
        return True
    # Protocols 0 and 1 have no header. Data is a pickle if it can be followed to its end or imports a name.
    if data[:1] not in _TEXT_STARTS or b"." not in data:
        return False
    outline = outline_of(data[: 1 << 20])
    return not outline.broken or bool(outline.refs)


def _looks_like_onnx(data: bytes) -> bool:
    # ModelProto: field 1 (ir_version) as a small number, then one of the fields that exporters write next.
    return (
        len(data) > 4
        and data[0] == 0x08
        and 0 < data[1] < 32
        and data[2] in (0x12, 0x1A, 0x22, 0x2A, 0x32, 0x3A, 0x42)
    )
