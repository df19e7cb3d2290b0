"""The modules of a graph, with their weights from the file."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from torch import Tensor, nn

from ti_core.errors import ModelFileError
from ti_core.loading.keras.config import Tensor as Symbol
from ti_core.loading.keras.config import export
from ti_core.loading.keras.graph import Call, Graph, Layer
from ti_core.loading.keras.layers import KINDS
from ti_core.loading.keras.layers.operations import CLASSES, Computed, operation_of, same_name
from ti_core.loading.keras.network import GraphModule
from ti_core.loading.keras.weights import Place, options_of
from ti_core.text import shown

Weigh = Callable[[Layer, Place], Mapping[str, Tensor]]
"""The weights of the layer at a place."""


def problem_of(layer: Layer, version: int) -> ModelFileError | None:
    """Why a layer cannot be built whatever its weights are, or None."""
    name = layer.entry.class_name
    if layer.nested is not None or name in KINDS:
        return None
    options = options_of(layer, version)
    if operation_of(name, options) is not None:
        return None
    if name in CLASSES:
        function = layer.entry.values.get("function")
        what = shown(function if isinstance(function, str) else name, 60)
        return ModelFileError(f"{layer.entry.label} computes {what}, which is not known here. {export()}")
    return ModelFileError(f"{layer.entry.label} is not known here. {export()}")


def check_layers(graph: Graph, version: int) -> None:
    """ModelFileError for the first layer that is not known."""
    for layer in graph.layers:
        problem = problem_of(layer, version)
        if problem is not None:
            raise problem
        if layer.nested is not None:
            check_layers(layer.nested, version)


def build(graph: Graph, weigh: Weigh, version: int, place: Place = ()) -> GraphModule:
    """The module of a graph.

    Parameters
    ----------
    version : 2 or 3, the Keras that wrote the file.
    place : where the graph stands in nested ones.

    Raises
    ------
    ModelFileError : a layer is not known, its options are not, or its weights do not fit.
    """
    parts: list[nn.Module] = []
    numbers: dict[int, int] = {}
    calls = []
    for call in graph.calls:
        layer = graph.layers[call.layer]
        _check_arguments(layer, call, version)
        computed = _computed(layer, call, version)
        if computed is not None:
            parts.append(computed)
            number = len(parts) - 1
        elif call.layer in numbers:
            number = numbers[call.layer]
        else:
            parts.append(_part(layer, weigh, version, (*place, call.layer)))
            number = numbers[call.layer] = len(parts) - 1
        calls.append((number, call.values, layer.entry.label))
    return GraphModule(parts, calls, graph.outputs)


def _part(layer: Layer, weigh: Weigh, version: int, place: Place) -> nn.Module:
    if layer.nested is not None:
        return build(layer.nested, weigh, version, place)
    problem = problem_of(layer, version)
    if problem is not None:
        raise problem
    _check_policy(layer)
    return KINDS[layer.entry.class_name].make(options_of(layer, version), weigh(layer, place))


def _check_policy(layer: Layer) -> None:
    """ModelFileError for a layer whose weights are whole numbers with a scale."""
    policy: Any = layer.entry.values.get("dtype")
    inner = policy.get("config") if isinstance(policy, Mapping) else None
    name = inner.get("name", inner.get("mode")) if isinstance(inner, Mapping) else policy
    if (
        isinstance(name, str)
        and name.startswith(("int", "float8"))
        and layer.entry.class_name != "InputLayer"
    ):
        raise ModelFileError(
            f"{layer.entry.label} is quantised ({shown(name, 40)}); only models in floating point can be"
            " inspected. Save the model from before model.quantize."
        )


def _check_arguments(layer: Layer, call: Call, version: int) -> None:
    """ModelFileError for arguments of a layer's call that would change what it computes."""
    if layer.nested is None and layer.entry.class_name not in KINDS:
        return
    for name, value in call.node.named.items():
        if (
            value is None
            or value is False
            or operation_of(layer.entry.class_name, options_of(layer, version))
        ):
            continue
        # Keras 3 replaces what the file says of training by what holds when the model is used.
        if name == "training" and (version == 3 or value == 0):
            continue
        raise ModelFileError(
            f"{layer.entry.label} is called with {shown(name, 40)} = {shown(str(value), 40)}, which is not supported. "
            "Build the model without it and save it again."
        )


def _computed(layer: Layer, call: Call, version: int) -> Computed | None:
    """An operation with its constants, or None where a layer is called."""
    options = options_of(layer, version)
    operation = operation_of(layer.entry.class_name, options)
    given = [*call.node.positional]
    arguments = [*given, *call.node.named.values()]
    if operation is None or (layer.entry.class_name in KINDS and not any(map(_is_constant, arguments))):
        return None
    named = {same_name(name): value for name, value in call.node.named.items() if name != "name"}
    settings = {name: named.pop(name) for name in operation.options if name in named}
    for name in operation.options:
        if name in layer.entry.values:
            settings.setdefault(name, layer.entry.values[name])
    values = given + [named.pop(name) for name in operation.inputs[len(given) :] if name in named]
    if len(values) != len(operation.inputs) or any(v is not None for v in named.values()):
        raise ModelFileError(f"{layer.entry.label} is called with arguments that are not supported.")
    if not all(_is_setting(value) for value in settings.values()):
        raise ModelFileError(f"{layer.entry.label} has options that are not supported.")
    return Computed(
        operation, [None if isinstance(a, Symbol) else _constant(a, layer) for a in values], settings
    )


def _is_constant(argument: Any) -> bool:
    items = argument if isinstance(argument, list) else [argument]
    return any(type(item) in (int, float) for item in items)


def _is_setting(value: Any) -> bool:
    items = value if isinstance(value, list) else [value]
    return len(items) <= 8 and all(
        item is None or (isinstance(item, (bool, int)) and abs(item) < 99) for item in items
    )


def _constant(value: Any, layer: Layer) -> float | list[float]:
    items = value if isinstance(value, list) else [value]
    numbers = [i for i in items if isinstance(i, (int, float)) and not isinstance(i, bool) and abs(i) < 1e30]
    if not items or len(items) > 4096 or len(numbers) != len(items):
        raise ModelFileError(f"{layer.entry.label} is called with a constant that is not supported.")
    return [float(n) for n in numbers] if isinstance(value, list) else float(numbers[0])
