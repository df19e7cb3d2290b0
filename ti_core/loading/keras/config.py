"""The configuration of a Keras model, read from untrusted JSON: its layers, and the nodes that connect them.

Keras 2 and 3 write the same structure with other spellings. What is read here has one form; what it means is settled in
:mod:`ti_core.loading.keras.graph`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from ti_core.errors import ModelFileError
from ti_core.loading.keras import limits
from ti_core.text import COMMAND, quoted, shown, this_file

MODELS = frozenset({"Sequential", "Functional", "Model"})
"""Keras's classes of models that are described by their configuration alone."""


@dataclass(frozen=True)
class Tensor:
    """A value in a graph: what the call ``node`` of a layer returned at the place ``index``."""

    layer: str
    node: int
    index: int


@dataclass(frozen=True)
class Node:
    """One call of a layer.

    Parameters
    ----------
    positional, named : its arguments: a :class:`Tensor`, a list of them, or a constant.
    """

    positional: tuple[Any, ...]
    named: Mapping[str, Any] = field(default_factory=dict)

    def tensors(self) -> Iterator[Tensor]:
        """Every tensor among the arguments."""
        for value in (*self.positional, *self.named.values()):
            for item in value if isinstance(value, list) else [value]:
                if isinstance(item, Tensor):
                    yield item


@dataclass(frozen=True)
class Entry:
    """A layer as the configuration names it.

    Parameters
    ----------
    class_name, name : its class, and its name in the model.
    values : its options.
    nodes : its calls, in a functional model.
    """

    class_name: str
    name: str
    values: Mapping[str, Any]
    nodes: tuple[Node, ...] = ()

    @property
    def label(self) -> str:
        """The layer in words."""
        return f"The layer '{shown(self.name, 60)}' ({shown(self.class_name, 60)})"


def damaged(what: str) -> ModelFileError:
    """The error for a configuration that Keras would not write."""
    return ModelFileError(f"The file's configuration is damaged: {what}.")


def export() -> str:
    """What the owner of a model can do whose layers are not known."""
    return (
        "Where the model can be trusted to run, export it to ONNX:\n"
        f'{COMMAND}keras.models.load_model({quoted(this_file())}).export("model.onnx", format="onnx")'
    )


def entries(values: Any) -> list[Entry]:
    """The layers of a model with this ``config``. Before Keras 2.2.3 that of a sequential model was the list itself."""
    listed = (
        values if isinstance(values, list) else values.get("layers") if isinstance(values, Mapping) else None
    )
    if not isinstance(listed, list):
        raise damaged("a model has no list of layers")
    if len(listed) > limits.LAYERS:
        raise damaged(f"it has {len(listed):,} layers; the limit is {limits.LAYERS:,}")
    return [entry(item) for item in listed]


def entry(item: Any) -> Entry:
    """A layer, or the whole model."""
    if not isinstance(item, Mapping) or not isinstance(item.get("class_name"), str):
        raise damaged("a layer has no class")
    values = item.get("config")
    options: Mapping[str, Any] = values if isinstance(values, Mapping) else {}
    name = item.get("name") or options.get("name") or item["class_name"].lower()
    if not isinstance(name, str):
        raise damaged("the name of a layer is no text")
    if isinstance(values, list):
        options = {"layers": values}
    nodes = item.get("inbound_nodes") or []
    if not isinstance(nodes, list) or len(nodes) > limits.CALLS:
        raise damaged(f"the calls of the layer '{shown(name, 60)}' are no list")
    return Entry(item["class_name"], name, options, tuple(_node(node, name) for node in nodes))


def _node(node: Any, name: str) -> Node:
    if isinstance(node, Mapping):
        positional, named = node.get("args"), node.get("kwargs") or {}
        if not isinstance(positional, list) or not isinstance(named, Mapping):
            raise damaged(f"a call of the layer '{shown(name, 60)}' has no arguments")
        return Node(tuple(map(_argument, positional)), {key: _argument(v) for key, v in named.items()})
    if not isinstance(node, list) or not node:
        raise damaged(f"a call of the layer '{shown(name, 60)}' is no list")
    # Keras 2 writes the call of an operation as one tensor, and that of a layer as a list of them.
    tensors = [node] if isinstance(node[0], str) else node
    found = [_old_tensor(tensor, name) for tensor in tensors]
    named = tensors[0][3] if len(tensors[0]) > 3 else {}
    if not isinstance(named, Mapping):
        raise damaged(f"a call of the layer '{shown(name, 60)}' has no arguments")
    return Node((found[0] if len(found) == 1 else found,), {key: _argument(v) for key, v in named.items()})


def _old_tensor(item: Any, name: str) -> Any:
    if isinstance(item, list) and len(item) >= 3 and item[0] == "_CONSTANT_VALUE":
        return _argument(item[2])
    found = tensor(item[:3]) if isinstance(item, list) else None
    if found is None:
        raise damaged(f"a call of the layer '{shown(name, 60)}' takes no tensor")
    return found


def _argument(value: Any) -> Any:
    """An argument of a call, with its tensors recognised: one, or a list of them."""
    if isinstance(value, Mapping):
        if value.get("class_name") != "__keras_tensor__":
            return dict(value)
        inner = value.get("config")
        found = tensor(inner.get("keras_history")) if isinstance(inner, Mapping) else None
        if found is None:
            raise damaged("a call takes a tensor of unknown origin")
        return found
    if isinstance(value, list):
        # A list within a list is a constant, unless it is a tensor.
        return tensor(value) or [tensor(v) or v if isinstance(v, list) else _argument(v) for v in value]
    return value


def tensor(item: Any) -> Tensor | None:
    """The tensor that a list of a layer's name and two numbers stands for, or None."""
    if not isinstance(item, list) or len(item) != 3 or not isinstance(item[0], str):
        return None
    if not all(type(i) is int and 0 <= i <= limits.CALLS for i in item[1:]):
        return None
    return Tensor(item[0], item[1], item[2])


def ends(values: Mapping[str, Any], key: str) -> list[Tensor]:
    """The inputs or outputs of a functional model."""
    listed = values.get(key)
    found = tensor(listed)
    many = [found] if found else [tensor(item) for item in listed] if isinstance(listed, list) else []
    whole = [item for item in many if item is not None]
    if not many or len(whole) != len(many):
        raise damaged(f"its {key.replace('_', ' ')} are not named")
    return whole


def declared_shape(entry: Entry) -> list[int | None] | None:
    """The shape of its input that a layer declares, without the batch; None if it declares none."""
    for key in ("batch_shape", "batch_input_shape"):
        shape = entry.values.get(key)
        if isinstance(shape, list) and len(shape) <= limits.RANK:
            if all(n is None or (type(n) is int and 0 < n <= limits.OPTION) for n in shape[1:]):
                return list(shape[1:])
            raise damaged(f"the layer '{shown(entry.name, 60)}' declares no shape of images")
    return None
