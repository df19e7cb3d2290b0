"""Recognises formats of other programs by the first bytes. Nothing is parsed beyond a few fields."""

from __future__ import annotations

from collections.abc import Iterable

PADDLE_KEY = b"StructuredToParameterName@@"
"""A key of every state dict that PaddlePaddle pickles."""
MODEL_ENDINGS = (
    ".safetensors",
    ".onnx",
    ".pt",
    ".pth",
    ".ckpt",
    ".bin",
    ".h5",
    ".hdf5",
    ".keras",
    ".tflite",
    ".mlmodel",
    ".pdparams",
    ".pdmodel",
    ".params",
    ".pkl",
    ".tar",
    ".gguf",
    ".npz",
)
"""Endings of files that may hold a network's weights."""

_OPERATIONS = (b"Placeholder", b"Const", b"NoOp", b"VarHandleOp", b"VariableV2", b"PlaceholderWithDefault")
"""Operations that the first node of a TensorFlow graph can be."""


def is_saved_model(data: bytes) -> bool:
    """TensorFlow's ``saved_model.pb``: a schema version of 1, then a graph whose first field describes it."""
    inner = _message(data, 2, 0x12) if data[:2] == b"\x08\x01" else b""
    about = _message(inner, 0, 0x0A)
    return bool(about) and about[0] != 0x0A


def is_core_ml(data: bytes) -> bool:
    """Core ML's ``.mlmodel``: a version, then a description that begins with an input, which begins with its name."""
    small = len(data) > 2 and data[0] == 0x08 and 0 < data[1] < 32
    feature = _message(_message(data, 2, 0x12) if small else b"", 0, 0x0A)
    return feature[:1] == b"\x0a"


def is_tensorflow_graph(data: bytes) -> bool:
    """A frozen TensorFlow graph: nodes, each a name and an operation."""
    node = _message(data, 0, 0x0A)
    name = _message(node, 0, 0x0A)
    return bool(name) and _message(node, 2 + len(name), 0x12) in _OPERATIONS


def is_paddle_program(data: bytes) -> bool:
    """PaddlePaddle's ``.pdmodel``: blocks, each with its number and that of the block around it."""
    return _message(data, 0, 0x0A)[:3] == b"\x08\x00\x10"


def is_paddle_store(data: bytes) -> bool:
    """PaddlePaddle's ``.pdiparams``: tensors, each after three zeros and the size of its description."""
    return (
        data[:16] == bytes(16)
        and data[17:20] == bytes(3)
        and data[20:21] == b"\x08"
        and data[22:23] == b"\x10"
    )


def is_openvino(data: bytes) -> bool:
    """OpenVINO's ``.xml``: a net of layers."""
    start = data[:4096].lstrip(b"\xef\xbb\xbf \t\r\n")
    return start[:5] in (b"<?xml", b"<net ") and b"<net " in start and b"<layers" in start


def is_paddle_pickle(data: bytes) -> bool:
    """PaddlePaddle's ``.pdparams``, which is a pickle."""
    return PADDLE_KEY in data


def weights_files(names: Iterable[str]) -> list[str]:
    """Those of an archive's or a folder's files that may hold a network's weights, in their order."""
    return [
        name for name in names if name.lower().endswith(MODEL_ENDINGS) and not name.startswith("__MACOSX")
    ]


def _message(data: bytes, at: int, tag: int) -> bytes:
    """The first bytes of the protobuf message that the field ``tag`` at a place holds; empty if it is no such field."""
    if data[at : at + 1] != bytes([tag]):
        return b""
    size = shift = 0
    for place in range(at + 1, at + 6):
        digit = data[place : place + 1]
        if not digit:
            return b""
        size |= (digit[0] & 0x7F) << shift
        shift += 7
        if digit[0] < 0x80:
            return data[place + 1 : place + 1 + min(size, 4096)]
    return b""
