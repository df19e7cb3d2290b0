"""Layers on whole numbers, written as the float layers between a dequantisation and a quantisation that they stand for.

A layer is treated as a call of a local function, whose body is made here. The weights of a body are constants, so that
they are dequantised once, when the file is opened.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

from onnx import AttributeProto, FunctionProto, NodeProto, helper

from ti_core.errors import ModelFileError
from ti_core.loading.onnx.limits import shown
from ti_core.loading.onnx.operators.microsoft import DOMAIN

OPSET = 21
"""The opset of the bodies."""
CONV = ("auto_pad", "dilations", "group", "kernel_shape", "pads", "strides")
POOL = ("auto_pad", "ceil_mode", "count_include_pad", "dilations", "kernel_shape", "pads", "strides")


class _Body:
    """The body of one call: its nodes, made one after the other. Inputs are named by their position."""

    def __init__(self, node: NodeProto) -> None:
        self.node = node
        self.given = {attribute.name: attribute for attribute in node.attribute}
        self.used: set[str] = set()
        self.nodes: list[NodeProto] = []
        self.opset = OPSET

    def input(self, position: int) -> str:
        """The name of an input, empty if it is left out."""
        return str(position) if position < len(self.node.input) and self.node.input[position] else ""

    def flag(self, name: str) -> int:
        """A whole number among the attributes, 0 if it is left out."""
        self.used.add(name)
        return self.given[name].i if name in self.given else 0

    def call(self, name: str, inputs: Sequence[str], passed: Sequence[str] = (), **attributes: Any) -> str:
        """Add a node and return the name of its result. The attributes ``passed`` have the values of the call."""
        output = f"value {len(self.nodes)}"
        made = helper.make_node(name, list(inputs), [output], name=self.node.name or name, **attributes)
        for attribute in passed:
            self.used.add(attribute)
            if attribute in self.given:
                kind = self.given[attribute].type
                made.attribute.append(AttributeProto(name=attribute, ref_attr_name=attribute, type=kind))
        self.nodes.append(made)
        return output

    def real(self, value: int, scale: int, zero: int, axis: int = 1) -> str:
        """The real numbers that the inputs at three positions stand for."""
        return self.call(
            "DequantizeLinear", [self.input(value), self.input(scale), self.input(zero)], axis=axis
        )

    def whole(self, real: str, scale: int, zero: int) -> str:
        """The whole numbers that stand for ``real``."""
        return self.call("QuantizeLinear", [real, self.input(scale), self.input(zero)])

    def shifted(self, value: int, zero: int, axis: int) -> str:
        """The whole numbers of an input without their zero point."""
        one = self.call("Constant", [], value_float=1.0)
        return self.call("DequantizeLinear", [self.input(value), one, self.input(zero)], axis=axis)

    def first(self, image: str) -> str:
        """Channels moved in front of the pixels, if the call says that they come last."""
        return self.call("Transpose", [image], perm=[0, 3, 1, 2]) if self.flag("channels_last") else image

    def last(self, image: str) -> str:
        """The reverse of :meth:`first`."""
        return self.call("Transpose", [image], perm=[0, 2, 3, 1]) if self.flag("channels_last") else image

    def function(self) -> FunctionProto:
        """The body as a local function, whose result is that of its last node."""
        unknown = [name for name in self.given if name not in self.used]
        if unknown:
            raise ModelFileError(
                f"The node '{shown(self.node.name)}' ({shown(self.node.op_type)}) has the attribute "
                f"'{shown(unknown[0])}', which is not supported."
            )
        inputs = [str(position) for position in range(len(self.node.input))]
        outputs = list(self.nodes[-1].output)
        imports = [helper.make_opsetid("", self.opset), helper.make_opsetid(DOMAIN, 1)]
        return helper.make_function(
            "quantised", self.node.op_type, inputs, outputs, self.nodes, imports, list(self.given)
        )


def _conv(body: _Body) -> None:
    x, w = body.first(body.real(0, 1, 2)), body.real(3, 4, 5, axis=0)
    b = []
    if body.input(8):
        scale = body.call("Mul", [body.input(1), body.input(4)])
        b = [body.call("DequantizeLinear", [body.input(8), scale], axis=0)]
    body.whole(body.last(body.call("Conv", [x, w, *b], CONV)), 6, 7)


def _conv_integer(body: _Body) -> None:
    body.call("Conv", [body.shifted(0, 2, 1), body.shifted(1, 3, 0)], CONV)


def _matmul(body: _Body) -> None:
    body.whole(body.call("MatMul", [body.real(0, 1, 2, -2), body.real(3, 4, 5, -1)]), 6, 7)


def _matmul_integer(body: _Body) -> None:
    body.call("MatMul", [body.shifted(0, 2, -2), body.shifted(1, 3, -1)])


def _matmul_to_float(body: _Body) -> None:
    y = body.call("MatMul", [body.real(0, 2, 4, -2), body.real(1, 3, 5, -1)])
    if body.input(6):
        body.call("Add", [y, body.input(6)])


def _dynamic_matmul(body: _Body) -> None:
    made = ["numbers", "scale", "zero"]
    body.nodes.append(helper.make_node("DynamicQuantizeLinear", [body.input(0)], made, name=body.node.name))
    y = body.call("MatMul", [body.call("DequantizeLinear", made), body.real(1, 2, 3, -1)])
    if body.input(4):
        body.call("Add", [y, body.input(4)])


def _gemm(body: _Body) -> None:
    a, b = body.real(0, 1, 2), body.real(3, 4, 5, axis=0 if body.flag("transB") else 1)
    y = body.call("Gemm", [a, b], ("alpha", "transA", "transB"))
    if body.input(6):
        scale = body.call("Mul", [body.input(1), body.input(4)])
        c = body.call("DequantizeLinear", [body.input(6), scale], axis=-1)
        alpha = body.given["alpha"].f if "alpha" in body.given else 1.0
        y = body.call("Add", [y, body.call("Mul", [c, body.call("Constant", [], value_float=alpha)])])
    if body.input(7):
        body.whole(y, 7, 8)


def _pair(body: _Body, name: str) -> None:
    body.whole(body.call(name, [body.real(0, 1, 2), body.real(3, 4, 5)]), 6, 7)


def _single(body: _Body, name: str, passed: Sequence[str] = ()) -> None:
    body.whole(body.last(body.call(name, [body.first(body.real(0, 1, 2))], passed)), 3, 4)


def _softmax(body: _Body) -> None:
    body.opset = OPSET if body.flag("opset") >= 13 else 12
    body.whole(body.call("Softmax", [body.real(0, 1, 2)], ("axis",)), 3, 4)


def _concat(body: _Body) -> None:
    parts = [body.real(i, i + 1, i + 2) for i in range(2, len(body.node.input), 3)]
    body.whole(body.call("Concat", parts, ("axis",)), 0, 1)


def _max_pool(body: _Body) -> None:
    x = body.call("Transpose", [body.input(0)], perm=[0, 3, 1, 2])
    y = body.call("MaxPool", [x], [name for name in POOL if name != "count_include_pad"])
    body.call("Transpose", [y], perm=[0, 2, 3, 1])


LAYERS: dict[tuple[str, str], Callable[[_Body], None]] = {
    ("", "QLinearConv"): _conv,
    ("", "QLinearMatMul"): _matmul,
    ("", "ConvInteger"): _conv_integer,
    ("", "MatMulInteger"): _matmul_integer,
    (DOMAIN, "QLinearConv"): _conv,
    (DOMAIN, "QLinearMatMul"): _matmul,
    (DOMAIN, "MatMulIntegerToFloat"): _matmul_to_float,
    (DOMAIN, "DynamicQuantizeMatMul"): _dynamic_matmul,
    (DOMAIN, "QGemm"): _gemm,
    (DOMAIN, "QLinearAdd"): partial(_pair, name="Add"),
    (DOMAIN, "QLinearMul"): partial(_pair, name="Mul"),
    (DOMAIN, "QLinearSigmoid"): partial(_single, name="Sigmoid"),
    (DOMAIN, "QLinearLeakyRelu"): partial(_single, name="LeakyRelu", passed=("alpha",)),
    (DOMAIN, "QLinearGlobalAveragePool"): partial(_single, name="GlobalAveragePool"),
    (DOMAIN, "QLinearAveragePool"): partial(_single, name="AveragePool", passed=POOL),
    (DOMAIN, "QLinearSoftmax"): _softmax,
    (DOMAIN, "QLinearConcat"): _concat,
    (DOMAIN, "NhwcMaxPool"): _max_pool,
}
"""By domain and name, what adds the nodes of a layer's body."""


def expanded(domain: str, node: NodeProto) -> FunctionProto | None:
    """The float layers that a layer on whole numbers stands for, or None for all other nodes.

    ModelFileError is raised if the node has an attribute that is not supported.
    """
    layer = LAYERS.get((domain, node.op_type))
    if layer is None:
        return None
    body = _Body(node)
    layer(body)
    return body.function()
