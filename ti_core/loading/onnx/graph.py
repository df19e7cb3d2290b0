"""Turns the graph of a file into a :class:`Program`: finds operators, inlines functions, folds constants."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import onnx
import torch
from onnx import AttributeProto, FunctionProto, GraphProto, ModelProto, NodeProto, TensorProto, ValueInfoProto

import ti_core.loading.onnx.operators  # noqa: F401 - fills the registry
from ti_core.errors import ModelBehaviourError, ModelFileError, RefusedFileError
from ti_core.loading.onnx import limits, registry
from ti_core.loading.onnx.container import Container
from ti_core.loading.onnx.limits import Budget, shown
from ti_core.loading.onnx.program import ABSENT, Program, Step, Value
from ti_core.loading.onnx.quantised import expanded
from ti_core.loading.onnx.quantised.operators import QUANTISED

OLDEST_OPSET = 7
LOOPS = frozenset({"Loop", "Scan", "SequenceMap"})
WIDE = frozenset({TensorProto.FLOAT16, TensorProto.BFLOAT16, TensorProto.DOUBLE})
MICROSOFT = "com.microsoft"

Functions = Mapping[tuple[str, str, str], FunctionProto]


def build(model: ModelProto, container: Container, *, widen: bool = True) -> Program:
    """Turn a parsed graph into a program.

    Parameters
    ----------
    model : the parsed file.
    container : the source of the graph's constants.
    widen : whether half and double precision become float32.

    Raises
    ------
    RefusedFileError : the graph holds loops, branches on values that are not constant, custom domains, sparse
        constants, or sizes beyond the limits.
    ModelFileError : the graph holds an unsupported operator or contradicts itself.
    """
    return _Builder(model, container, widen).build(model.graph)


@dataclass(frozen=True)
class _Scope:
    """The names, opsets and attributes that are valid in a graph, a branch or a function body."""

    names: dict[str, int]
    opsets: Mapping[str, int]
    attributes: Mapping[str, AttributeProto]
    depth: int


class _Builder:
    def __init__(self, model: ModelProto, container: Container, widen: bool) -> None:
        self.container = container
        self.widen = widen
        self.functions: Functions = {(_domain(f.domain), f.name, f.overload): f for f in model.functions}
        self.opsets = self._opsets(model.opset_import)
        self.steps: list[Step] = []
        self.constants: dict[int, torch.Tensor] = {}
        self.statistics: set[int] = set()
        self.quantised = False
        self.size = 0
        self.nodes = 0
        self.budget = Budget()

    def build(self, graph: GraphProto) -> Program:
        scope = _Scope({}, self.opsets, {}, 0)
        self._initialisers(graph, scope)
        inputs = [v for v in graph.input if v.name not in scope.names]
        for value in inputs:
            self._bind(value.name, self._number(), scope)
        numbers = [scope.names[v.name] for v in inputs]
        self._nodes(graph.node, scope)
        missing = [v.name for v in graph.output if v.name not in scope.names]
        if missing or not graph.output:
            raise ModelFileError(
                f"The graph does not compute its output '{shown(missing[0] if missing else '')}'."
            )
        outputs = tuple(scope.names[v.name] for v in graph.output)
        program = Program(
            steps=tuple(self.steps),
            constants=self.constants,
            inputs=tuple(numbers),
            outputs=outputs,
            declared_inputs=tuple(_declared(v) for v in inputs),
            declared_outputs=tuple(_declared(v) for v in graph.output),
            size=self.size,
            statistics=frozenset(self.statistics),
            quantised=self.quantised,
        )
        return program.only(outputs)

    def _number(self) -> int:
        self.size += 1
        return self.size - 1

    def _bind(self, name: str, number: int, scope: _Scope) -> None:
        if name in scope.names:
            raise ModelFileError(f"The graph computes the value '{shown(name)}' twice.")
        scope.names[name] = number

    def _constant(self, name: str, tensor: torch.Tensor, scope: _Scope) -> None:
        number = self._number()
        self.constants[number] = tensor
        self._bind(name, number, scope)

    def _initialisers(self, graph: GraphProto, scope: _Scope) -> None:
        if graph.sparse_initializer:
            raise RefusedFileError("The graph holds sparse constants, which are not opened.")
        for proto in graph.initializer:
            self._constant(proto.name, self.container.tensor(proto, widen=self.widen), scope)

    def _opsets(self, imports: Iterable[onnx.OperatorSetIdProto]) -> dict[str, int]:
        opsets = {_domain(one.domain): one.version for one in imports}
        version = opsets.get("", OLDEST_OPSET)
        newest = onnx.defs.onnx_opset_version()
        if not OLDEST_OPSET <= version <= newest:
            raise ModelFileError(
                f"The graph has ONNX opset {version}; opsets {OLDEST_OPSET} to {newest} are understood."
            )
        return opsets

    def _nodes(self, nodes: Iterable[NodeProto], scope: _Scope) -> None:
        for node in nodes:
            self.nodes += 1
            if self.nodes > limits.MAX_NODES:
                raise RefusedFileError(f"The graph has more than {limits.MAX_NODES:,} nodes.")
            self._node(node, scope)

    def _node(self, node: NodeProto, scope: _Scope) -> None:
        domain, label = _domain(node.domain), _label(node)
        inputs = [self._lookup(name, label, scope) for name in node.input]
        function = self.functions.get((domain, node.op_type, node.overload)) or expanded(domain, node)
        if function is not None:
            self._inline(function, node, inputs, label, scope)
            return
        if domain == "" and node.op_type in LOOPS:
            raise RefusedFileError(f"{label} is a loop; graphs with loops are not opened.")
        if domain == "" and node.op_type == "If":
            self._branch(node, inputs, label, scope)
            return
        known = registry.find(domain, node.op_type, scope.opsets.get(domain, 1))
        if known is None:
            if domain not in ("", MICROSOFT):
                raise RefusedFileError(
                    f"{label} is of the custom domain '{shown(node.domain)}', which is not opened."
                )
            raise ModelFileError(f"{label} uses an operator that is not supported.")
        attributes = {}
        for attribute in node.attribute:
            resolved = _resolve(attribute, scope)
            if resolved is not None:
                attributes[attribute.name] = self._attribute(resolved, label)
        for name in attributes:
            if name not in known.attributes:
                raise ModelFileError(f"{label} has the attribute '{shown(name)}', which is not supported.")
        while inputs and inputs[-1] == ABSENT:
            inputs.pop()
        if known.inputs is not None and len(inputs) > known.inputs:
            raise ModelFileError(f"{label} has {len(inputs)} inputs, of which {known.inputs} are supported.")
        count = max((i + 1 for i, name in enumerate(node.output) if name), default=0)
        outputs = tuple(self._number() if name else ABSENT for name in node.output[:count])
        self._step(Step(known, label, tuple(inputs), outputs, attributes))
        for name, number in zip(node.output, outputs, strict=False):
            if name:
                self._bind(name, number, scope)

    def _step(self, step: Step) -> None:
        """Compute a step if all its inputs are constants. Otherwise add it to the program."""
        self.quantised = self.quantised or step.operator.name in QUANTISED
        if step.operator.name == "BatchNormalization":
            self.statistics.update(step.inputs[3:5])
        if any(i != ABSENT and i not in self.constants for i in step.inputs):
            self.steps.append(step)
            return
        values = [None if i == ABSENT else self.constants[i] for i in step.inputs]
        try:
            arguments = step.arguments(values, [True] * len(values))
            results = step.fold(arguments, self.budget, torch.device("cpu"))
        except ModelBehaviourError as error:
            raise ModelFileError(str(error)) from error
        for number, tensor in zip(step.outputs, results, strict=False):
            if number != ABSENT:
                self.constants[number] = tensor

    def _branch(self, node: NodeProto, inputs: list[int], label: str, scope: _Scope) -> None:
        """Inline the branch of an If that its constant condition selects."""
        condition = self.constants.get(inputs[0]) if inputs else None
        if condition is None or condition.numel() != 1:
            raise RefusedFileError(
                f"{label} branches on something that is not constant; such graphs are not opened."
            )
        wanted = "then_branch" if bool(condition.item()) else "else_branch"
        branch = next((a.g for a in node.attribute if a.name == wanted), None)
        if branch is None or scope.depth >= limits.MAX_DEPTH:
            raise ModelFileError(f"{label} has no {wanted} that can be followed.")
        inner = _Scope(dict(scope.names), scope.opsets, scope.attributes, scope.depth + 1)
        self._initialisers(branch, inner)
        self._nodes(branch.node, inner)
        self._outputs([o.name for o in branch.output], node, inner, scope, label)

    def _inline(
        self, function: FunctionProto, node: NodeProto, inputs: list[int], label: str, scope: _Scope
    ) -> None:
        """Replace the call of a local function by the function's body."""
        if scope.depth >= limits.MAX_DEPTH:
            raise RefusedFileError(f"{label} calls functions more than {limits.MAX_DEPTH} deep.")
        if len(inputs) > len(function.input):
            raise ModelFileError(
                f"{label} gives {len(inputs)} inputs to a function of {len(function.input)}."
            )
        given = {a.name: r for a in node.attribute if (r := _resolve(a, scope)) is not None}
        defaults = {a.name: a for a in function.attribute_proto}
        names = dict(zip(function.input, inputs, strict=False))
        names.update(dict.fromkeys(function.input[len(inputs) :], ABSENT))
        inner = _Scope(names, self._opsets(function.opset_import), {**defaults, **given}, scope.depth + 1)
        self._nodes(function.node, inner)
        self._outputs(list(function.output), node, inner, scope, label)

    def _outputs(self, names: list[str], node: NodeProto, inner: _Scope, outer: _Scope, label: str) -> None:
        for name, result in zip(node.output, names, strict=False):
            if name:
                self._bind(name, self._lookup(result, label, inner), outer)

    def _lookup(self, name: str, label: str, scope: _Scope) -> int:
        if not name:
            return ABSENT
        if name not in scope.names:
            raise ModelFileError(f"{label} uses the value '{shown(name)}', which nothing before it computes.")
        return scope.names[name]

    def _attribute(self, attribute: AttributeProto, label: str) -> Any:
        kind = attribute.type
        if kind == AttributeProto.INT:
            wide = self.widen and attribute.name in ("to", "dtype") and attribute.i in WIDE
            return int(TensorProto.FLOAT) if wide else attribute.i
        if kind == AttributeProto.FLOAT:
            return attribute.f
        if kind == AttributeProto.STRING:
            return _text(attribute.s)
        if kind == AttributeProto.INTS:
            return list(attribute.ints)
        if kind == AttributeProto.FLOATS:
            return list(attribute.floats)
        if kind == AttributeProto.STRINGS:
            return [_text(s) for s in attribute.strings]
        if kind == AttributeProto.TENSOR:
            return self.container.tensor(attribute.t, widen=self.widen)
        raise RefusedFileError(
            f"{label} has the attribute '{shown(attribute.name)}' of a kind that is not opened."
        )


def _resolve(attribute: AttributeProto, scope: _Scope) -> AttributeProto | None:
    """The attribute, or the value that the call gives for it in a function, or None if the call gives none."""
    if not attribute.ref_attr_name:
        return attribute
    given = scope.attributes.get(attribute.ref_attr_name)
    return given if given is not None and not given.ref_attr_name else None


def _declared(value: ValueInfoProto) -> Value:
    kind = value.type.tensor_type
    if not value.type.HasField("tensor_type"):
        raise ModelFileError(f"'{shown(value.name)}' is not a tensor.")
    if not kind.HasField("shape"):
        return Value(value.name, kind.elem_type, None)
    shape = tuple(
        d.dim_value if d.HasField("dim_value") and d.dim_value > 0 else None for d in kind.shape.dim
    )
    return Value(value.name, kind.elem_type, shape)


def _domain(domain: str) -> str:
    return "" if domain == "ai.onnx" else domain


def _label(node: NodeProto) -> str:
    name = node.name or next((o for o in node.output if o), "")
    return f"The node '{shown(name)}' ({shown(node.op_type)})"


def _text(raw: bytes) -> str:
    return raw.decode("utf-8", "replace")
