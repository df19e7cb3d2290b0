"""Gradients through single operators against finite differences, in double precision."""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx
import pytest
import torch
from onnx import TensorProto, helper

from tests.loading.onnx.onnx_networks import constant, graph
from ti_core.loading.onnx.container import Container
from ti_core.loading.onnx.graph import build
from ti_core.loading.onnx.limits import Budget
from ti_core.loading.onnx.plan import make_plan

RANDOM = np.random.default_rng(3)
SHAPE = (2, 2, 5, 5)


def _weights(*shape: int) -> Any:
    return RANDOM.normal(size=shape)


CASES: dict[str, tuple[str, dict[str, Any], list[Any]]] = {
    "conv": (
        "Conv",
        {"pads": [1, 0, 2, 1], "strides": [2, 1], "dilations": [1, 2]},
        [_weights(3, 2, 2, 2), _weights(3)],
    ),
    "conv same": ("Conv", {"auto_pad": "SAME_UPPER", "group": 2}, [_weights(4, 1, 2, 2)]),
    "transposed": (
        "ConvTranspose",
        {"strides": [2, 2], "pads": [1, 0, 0, 1]},
        [_weights(2, 3, 2, 2), _weights(3)],
    ),
    "max pool": (
        "MaxPool",
        {"kernel_shape": [3, 2], "pads": [1, 1, 0, 0], "ceil_mode": 1, "strides": [2, 2]},
        [],
    ),
    "average pool": (
        "AveragePool",
        {"kernel_shape": [3, 3], "pads": [1, 1, 0, 0], "count_include_pad": 1},
        [],
    ),
    "dilated pool": ("AveragePool", {"kernel_shape": [2, 2], "dilations": [2, 2]}, []),
    "lp pool": ("LpPool", {"kernel_shape": [2, 2], "p": 3}, []),
    "global pool": ("GlobalAveragePool", {}, []),
    "batch norm": (
        "BatchNormalization",
        {},
        [_weights(2), _weights(2), _weights(2), np.abs(_weights(2)) + 0.5],
    ),
    "instance norm": ("InstanceNormalization", {}, [_weights(2), _weights(2)]),
    "group norm": ("GroupNormalization", {"num_groups": 2}, [_weights(2), _weights(2)]),
    "layer norm": ("LayerNormalization", {"axis": 2}, [_weights(5, 5), _weights(5)]),
    "local norm": ("LRN", {"size": 2}, []),
    "softmax": ("Softmax", {"axis": 1}, []),
    "log softmax": ("LogSoftmax", {"axis": -1}, []),
    "gelu": ("Gelu", {"approximate": "tanh"}, []),
    "mish": ("Mish", {}, []),
    "hard swish": ("HardSwish", {}, []),
    "clip": ("Clip", {}, [np.float64(-0.5), np.float64(0.7)]),
    "relu of six": ("Clip", {}, [np.float64(0.0), np.float64(6.0)]),
    "not negative": ("Clip", {}, [np.float64(0.0)]),
    "at most": ("Clip", {}, [None, np.float64(0.7)]),
    "hard sigmoid": ("HardSigmoid", {"alpha": 0.7}, []),
    "norm": ("ReduceL2", {"keepdims": 0}, [np.array([1, 3])]),
    "largest": ("ReduceMax", {}, [np.array([2])]),
    "product": ("ReduceProd", {}, [np.array([1, 2])]),
    "slice": ("Slice", {}, [np.array([4, 0]), np.array([-9, 5]), np.array([2, 3]), np.array([-2, 2])]),
    "gather": ("Gather", {"axis": 2}, [np.array([[0, -1], [3, 3]])]),
    "reflect": ("Pad", {"mode": "reflect"}, [np.array([0, 0, 2, 1, 0, 0, 1, 3])]),
    "edge of channels": ("Pad", {"mode": "edge"}, [np.array([0, 1, 0, 0, 0, 2, 0, 0])]),
    "wrap": ("Pad", {"mode": "wrap"}, [np.array([0, 0, 6, 0, 0, 0, 0, 7])]),
    "linear": ("Resize", {"mode": "linear"}, [None, None, np.array([2, 2, 8, 3])]),
    "cubic": ("Resize", {"mode": "cubic", "exclude_outside": 1}, [None, None, np.array([2, 2, 7, 9])]),
    "small": ("Resize", {"mode": "linear", "antialias": 1}, [None, None, np.array([2, 2, 2, 3])]),
    "einsum": ("Einsum", {"equation": "nchw,wk->nkhc"}, [_weights(5, 3)]),
    "power": ("Pow", {}, [np.float64(2.0)]),
    "top": ("TopK", {"axis": 3}, [np.array([2])]),
    "scatter": (
        "ScatterElements",
        {"axis": 1, "reduction": "add"},
        [np.zeros(SHAPE, np.int64), _weights(*SHAPE)],
    ),
    "depth": ("SpaceToDepth", {"blocksize": 1}, []),
}


@pytest.mark.parametrize("name", CASES)
def test_against_finite_differences(name: str) -> None:
    operator, attributes, values = CASES[name]
    inputs, constants = ["x"], []
    for i, value in enumerate(values):
        inputs.append("" if value is None else f"c{i}")
        if value is not None:
            constants.append(constant(f"c{i}", value, np.asarray(value).dtype))
    node = helper.make_node(operator, inputs, ["y", "z"] if operator == "TopK" else ["y"], **attributes)
    # Distinct values: no two are equal, none lies on a kink of the operators above.
    x = torch.from_numpy(RANDOM.permutation(np.linspace(-2, 2, 100)).reshape(SHAPE)).requires_grad_()
    outputs = _function(graph([node], constants, shape=SHAPE, kind=TensorProto.DOUBLE, opset=21))
    assert torch.autograd.gradcheck(outputs, (x,), eps=1e-5, atol=1e-5)


def test_attention_against_finite_differences() -> None:
    node = helper.make_node("Attention", ["x", "x", "x", "m"], ["y"], is_causal=1)
    mask = constant("m", [[True, False, True, True, True]] * 5, np.bool_)
    x = torch.randn(2, 2, 5, 5, dtype=torch.float64, requires_grad=True)
    outputs = _function(graph([node], [mask], shape=SHAPE, kind=TensorProto.DOUBLE, opset=24))
    assert torch.autograd.gradcheck(outputs, (x,))


def _function(model: onnx.ModelProto) -> Any:
    program = build(model, Container(), widen=False)
    plans: list[Any] = []

    def compute(x: torch.Tensor) -> torch.Tensor:
        if not plans:
            plans.append(make_plan(program, program.constants, [x.detach()], Budget())[0])
        result: torch.Tensor = plans[0].run(x)[0]
        return result

    return compute
