"""Numbers and arrays of numpy in the outline of a pickle, read without numpy's own functions for them."""

from __future__ import annotations

import math
import struct
from dataclasses import dataclass
from typing import Any

from ti_core.loading.pickles.nodes import Call, Ref

_MODULES = ("numpy.core.multiarray", "numpy._core.multiarray")
_SCALARS = {f"{module}.scalar" for module in _MODULES}
_ARRAYS = {f"{module}._reconstruct" for module in _MODULES}
CODES = {
    **{f"i{size}": code for size, code in ((1, "b"), (2, "h"), (4, "i"), (8, "q"))},
    **{f"u{size}": code for size, code in ((1, "B"), (2, "H"), (4, "I"), (8, "Q"))},
    **{"b1": "?", "f2": "e", "f4": "f", "f8": "d"},
}
"""Number types: the name in numpy and the format in struct."""
_NAMES = {
    **{f"i{size}": f"int{8 * size}" for size in (1, 2, 4, 8)},
    **{f"u{size}": f"uint{8 * size}" for size in (1, 2, 4, 8)},
    **{"b1": "bool", "f2": "float16", "f4": "float32", "f8": "float64"},
}


@dataclass(frozen=True)
class Array:
    """An array of numbers: its type by numpy's short name, and its bytes, by the last axis or (Fortran) the first."""

    shape: tuple[int, ...]
    kind: str
    big_endian: bool
    raw: bytes
    fortran: bool = False

    @property
    def dtype(self) -> str:
        return _NAMES[self.kind]

    def values(self, most: int) -> list[float]:
        """The first numbers, at most ``most``."""
        width = struct.calcsize(CODES[self.kind])
        count = min(most, math.prod(self.shape))
        order = ">" if self.big_endian else "<"
        return list(struct.unpack(f"{order}{count}{CODES[self.kind]}", self.raw[: count * width]))


def bytes_of(node: Any) -> bytes | None:
    """Bytes, which protocol 2 writes as Latin-1 text that is encoded."""
    match node:
        case bytes():
            return node
        case Call(function=Ref("_codecs.encode"), args=(str(text), "latin1" | "latin-1")):
            try:
                return text.encode("latin-1")
            except UnicodeEncodeError:
                return None
        case Call(function=Ref("builtins.bytes"), args=()):
            return b""
        case str():
            # Python 2 wrote bytes as text, which is read as Latin-1.
            try:
                return node.encode("latin-1")
            except UnicodeEncodeError:
                return None
    return None


def is_array(node: Any) -> bool:
    """Whether ``node`` is an array of numpy, of numbers or of anything else."""
    match node:
        case Call(function=Ref(path=path)) if path in _ARRAYS:
            return True
    return False


def array_of(node: Any) -> Array | None:
    """The array of numbers that ``node`` stands for, or None."""
    match node:
        case Call(function=Ref(path=path), states=[(int(), tuple(shape), dtype, bool(fortran), content)]) if (
            path in _ARRAYS
        ):
            kind, raw = _kind_of(dtype), bytes_of(content)
            if kind is None or raw is None or not all(type(n) is int and n >= 0 for n in shape):
                return None
            fits = len(shape) <= 8 and math.prod(shape) * struct.calcsize(CODES[kind[0]]) == len(raw)
            return Array(shape, *kind, raw, fortran) if fits else None
    return None


def scalar_of(node: Any) -> float | None:
    """The value of a numpy scalar, or None."""
    match node:
        case Call(function=Ref(path=path), args=(dtype, content)) if path in _SCALARS:
            kind, raw = _kind_of(dtype), bytes_of(content)
            if kind is not None and raw is not None and len(raw) == struct.calcsize(CODES[kind[0]]):
                return Array((), *kind, raw).values(1)[0]
    return None


def _kind_of(dtype: Any) -> tuple[str, bool] | None:
    """The short name of a type of numbers, and whether its most significant byte stands first."""
    match dtype:
        case Call(function=Ref("numpy.dtype"), args=(str(name), *_), states=states) if name in CODES:
            order = states[0][1] if states and isinstance(states[0], tuple) and len(states[0]) > 1 else "<"
            return (name, order == ">") if order in ("<", ">", "|", "=") else None
    return None
