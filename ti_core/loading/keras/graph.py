"""The calls of a Keras model in the order in which they are computed."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from ti_core.errors import ModelFileError, RefusedFileError
from ti_core.loading.keras import limits
from ti_core.loading.keras.config import (
    MODELS,
    Entry,
    Node,
    Tensor,
    damaged,
    declared_shape,
    ends,
    entries,
    export,
)
from ti_core.text import shown

Value = tuple[int, int]
"""A value: the number of the call that made it, and its place among what that returned; -1 for the model's inputs."""
INPUT = -1


@dataclass(frozen=True)
class Layer:
    """A layer of a graph.

    Parameters
    ----------
    entry : its class, name and options.
    nested : its graph, if it is a model.
    """

    entry: Entry
    nested: Graph | None = None


@dataclass(frozen=True)
class Call:
    """One call of a layer.

    Parameters
    ----------
    layer : number of the layer.
    node : the arguments as the file has them.
    values : the values for the tensors among the arguments, in order.
    """

    layer: int
    node: Node
    values: tuple[Value, ...]


@dataclass(frozen=True)
class Graph:
    """A model.

    Parameters
    ----------
    kind, name : "Sequential" or "Functional", and its name.
    layers : in the file's order, inputs among them.
    calls : in an order in which every value is made before it is used; those that no output needs are left out.
    outputs : its results.
    shapes : for each input its shape without the batch, as far as it is declared.
    size : number of calls, those within nested models included.
    """

    kind: str
    name: str
    layers: tuple[Layer, ...]
    calls: tuple[Call, ...]
    outputs: tuple[Value, ...]
    shapes: tuple[list[int | None] | None, ...]
    size: int = field(init=False)

    def __post_init__(self) -> None:
        nested = [self.layers[call.layer].nested for call in self.calls]
        object.__setattr__(self, "size", sum(1 if inner is None else inner.size + 1 for inner in nested))


def graph_of(model: Entry, depth: int = 0) -> Graph:
    """The graph of a model, from its configuration.

    Raises
    ------
    ModelFileError : the class is not one of Keras's own, or the configuration is damaged.
    RefusedFileError : it exceeds the limits.
    """
    if model.class_name not in MODELS:
        raise ModelFileError(
            f"The file's model is of the class {shown(model.class_name, 60)}, whose code the file does not hold."
            f" {export()}"
        )
    if depth > limits.DEPTH:
        raise RefusedFileError(f"The file nests models more than {limits.DEPTH} deep.")
    layers = tuple(
        Layer(entry, graph_of(entry, depth + 1) if entry.class_name in MODELS else None)
        for entry in entries(model.values)
    )
    sequential = model.class_name == "Sequential" or "output_layers" not in model.values
    graph = _sequential(model, layers) if sequential else _functional(model, layers)
    if graph.size > limits.CALLS:
        raise RefusedFileError(f"The file's model calls its layers more than {limits.CALLS:,} times.")
    return graph


def _sequential(model: Entry, layers: tuple[Layer, ...]) -> Graph:
    calls: list[Call] = []
    last: Value = (INPUT, 0)
    for number, layer in enumerate(layers):
        if layer.entry.class_name != "InputLayer":
            calls.append(Call(number, Node((Tensor("", 0, 0),)), (last,)))
            last = (len(calls) - 1, 0)
    if not calls:
        raise damaged(f"the model '{shown(model.name, 60)}' has no layers")
    return Graph("Sequential", model.name, layers, tuple(calls), (last,), (_first_shape(model, layers),))


def _first_shape(model: Entry, layers: tuple[Layer, ...]) -> list[int | None] | None:
    """The shape of a sequential model's input, which its first layer or the model itself may declare."""
    shape = declared_shape(layers[0].entry)
    if shape is None and layers[0].nested is not None and len(layers[0].nested.shapes) == 1:
        shape = layers[0].nested.shapes[0]
    built = model.values.get("build_input_shape")
    if shape is None and built is not None:
        shape = declared_shape(Entry("Sequential", model.name, {"batch_shape": built}))
    return shape


def _functional(model: Entry, layers: tuple[Layer, ...]) -> Graph:
    number_of: dict[str, int] = {}
    for number, layer in enumerate(layers):
        if number_of.setdefault(layer.entry.name, number) != number:
            raise RefusedFileError(f"The file holds two layers named '{shown(layer.entry.name, 60)}'.")
    inputs = [tensor.layer for tensor in ends(model.values, "input_layers")]
    outputs = ends(model.values, "output_layers")
    order = _Order(layers, outputs, number_of, {name: place for place, name in enumerate(inputs)})
    found = tuple(order.value(tensor) for tensor in outputs)
    shapes = tuple(
        declared_shape(layers[number_of[name]].entry) if name in number_of else None for name in inputs
    )
    return Graph("Functional", model.name, layers, tuple(order.calls), found, shapes)


class _Order:
    """Puts the calls of a functional model into order, from the outputs backwards.

    Parameters
    ----------
    inputs : the places of the model's inputs, by the names of their layers.
    """

    def __init__(
        self,
        layers: tuple[Layer, ...],
        outputs: list[Tensor],
        number_of: Mapping[str, int],
        inputs: Mapping[str, int],
    ) -> None:
        self.layers, self.number_of, self.inputs = layers, number_of, inputs
        self.calls: list[Call] = []
        self._made: dict[tuple[str, int], int] = {}
        self._skipped = _skipped(layers, outputs)

    def value(self, tensor: Tensor) -> Value:
        """The value for a tensor. The calls that it needs are put into order before."""
        waiting: list[tuple[str, int]] = [key] if (key := self._key(tensor)) else []
        opened: set[tuple[str, int]] = set()
        while waiting:
            at = waiting[-1]
            if at in self._made:
                waiting.pop()
                continue
            node = self._node(at)
            needed = [key for inner in node.tensors() if (key := self._key(inner)) and key not in self._made]
            if not needed:
                values = tuple(map(self._value, node.tensors()))
                self._made[at] = len(self.calls)
                self.calls.append(Call(self.number_of[at[0]], node, values))
                continue
            if at in opened:
                raise damaged(f"the layer '{shown(at[0], 60)}' needs its own result")
            opened.add(at)
            waiting += needed
        return self._value(tensor)

    def _value(self, tensor: Tensor) -> Value:
        key = self._key(tensor)
        return (INPUT, self.inputs[tensor.layer]) if key is None else (self._made[key], tensor.index)

    def _key(self, tensor: Tensor) -> tuple[str, int] | None:
        """The call that made a tensor, or None for an input of the model."""
        if tensor.layer in self.inputs:
            return None
        return tensor.layer, tensor.node - self._skipped.get(tensor.layer, 0)

    def _node(self, key: tuple[str, int]) -> Node:
        name, number = key
        if name not in self.number_of:
            raise damaged(f"it calls the layer '{shown(name, 60)}', which it does not hold")
        nodes = self.layers[self.number_of[name]].entry.nodes
        if not 0 <= number < len(nodes):
            raise damaged(f"it takes a result of the layer '{shown(name, 60)}' that is never computed")
        return nodes[number]


def _skipped(layers: tuple[Layer, ...], outputs: list[Tensor]) -> dict[str, int]:
    """For each nested model, how many calls are left out of the file: Keras 2 counts that of its making."""
    most: dict[str, int] = {}
    nodes = [node for layer in layers for node in layer.entry.nodes]
    for tensor in (*outputs, *(tensor for node in nodes for tensor in node.tensors())):
        most[tensor.layer] = max(most.get(tensor.layer, 0), tensor.node)
    return {
        layer.entry.name: 1
        for layer in layers
        if layer.nested is not None and most.get(layer.entry.name, 0) == len(layer.entry.nodes)
    }
