"""What stands beside the weights, as short text for a person. Nothing of it is built."""

from __future__ import annotations

from typing import Any

from ti_core.loading.limits import LIMITS
from ti_core.loading.pickles.nodes import Call, Opaque, Pairs, Ref, Stored, items_of
from ti_core.loading.pickles.tensors import is_tensor, tensor_of
from ti_core.loading.pickles.values.arrays import array_of, bytes_of, is_array, scalar_of
from ti_core.loading.pickles.values.storages import UnfitError
from ti_core.text import shown

_DEPTH = 6


def text_of(node: Any) -> str:
    """The value as Python would write it, cut at ``LIMITS.text`` characters. Tensors are told by their shape."""
    if isinstance(node, str):
        return shown(node, LIMITS.text)
    writer = _Writer()
    writer.write(node, 0)
    return shown("".join(writer.parts), LIMITS.text)


def number_text(value: float) -> str:
    """A number as Python writes it; a whole number of thousands of digits is not written out."""
    if isinstance(value, int) and value.bit_length() > 1000:
        return "a number of more than 300 digits"
    return str(value)


class _Writer:
    """Writes until the text is long enough; what is nested too deeply is left out."""

    def __init__(self) -> None:
        self.parts: list[str] = []
        self.room = LIMITS.text + 1

    def put(self, text: str) -> None:
        self.parts.append(text[: self.room])
        self.room -= len(self.parts[-1])

    def write(self, node: Any, depth: int) -> None:
        if self.room <= 0:
            return
        if depth > _DEPTH:
            self.put("...")
        elif isinstance(node, (list, tuple)):
            self._row(
                "[" if isinstance(node, list) else "(", node, "]" if isinstance(node, list) else ")", depth
            )
        elif isinstance(node, Pairs):
            self._items("{", node.items, ": ", "}", depth)
        elif isinstance(node, Call):
            self._call(node, depth)
        else:
            self.put(_plain(node))

    def _row(self, begin: str, nodes: Any, end: str, depth: int) -> None:
        self.put(begin)
        for i, node in enumerate(nodes):
            if self.room <= 0:
                return
            self.put(", " if i else "")
            self.write(node, depth + 1)
        self.put(end)

    def _items(self, begin: str, items: list[tuple[Any, Any]], between: str, end: str, depth: int) -> None:
        self.put(begin)
        for i, (key, value) in enumerate(items):
            if self.room <= 0:
                return
            self.put(", " if i else "")
            self.put(key if isinstance(key, str) else _plain(key))
            self.put(between)
            self.write(value, depth + 1)
        self.put(end)

    def _call(self, node: Call, depth: int) -> None:
        scalar, raw = scalar_of(node), bytes_of(node)
        if scalar is not None:
            self.put(number_text(scalar))
        elif raw is not None:
            self.put(_plain(raw))
        elif is_tensor(node) or is_array(node):
            self._tensor(node)
        elif items_of(node):
            self._items("{", items_of(node), ": ", "}", depth)
        else:
            name = node.function.path.rpartition(".")[2] if isinstance(node.function, Ref) else "?"
            states = [state for state in node.states if isinstance(state, Pairs)]
            if states:
                self._items(f"{name}(", states[0].items, "=", ")", depth)
            elif isinstance(node.args, tuple):
                self._row(f"{name}(", node.args, ")", depth)
            else:
                self.put(f"{name}(...)")

    def _tensor(self, node: Call) -> None:
        array = array_of(node)
        if array is not None and len(array.shape) == 1:
            self._row("[", array.values(LIMITS.text), "]", _DEPTH - 1)
            return
        try:
            shape = tensor_of(node).shape
        except UnfitError:
            self.put("tensor")
            return
        self.put(f"tensor {' x '.join(map(str, shape)) or 'of one number'}")


def _plain(node: Any) -> str:
    if isinstance(node, Ref):
        return node.path
    if isinstance(node, (Stored, Opaque)):
        return "..."
    if isinstance(node, (bytes, bytearray)):
        return f"{len(node)} bytes"
    if isinstance(node, (bool, type(None))):
        return str(node)
    if isinstance(node, (int, float)):
        return number_text(node)
    return repr(node[: LIMITS.text]) if isinstance(node, str) else "..."
