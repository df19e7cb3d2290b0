"""Zero padding joined to the convolution behind it: the same values and gradients in fewer steps."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from onnx import NodeProto, TensorProto, helper
from torch.nn import functional as F
from torch.utils.checkpoint import checkpoint

from tests.loading.onnx.onnx_networks import constant, graph
from ti_core.loading.onnx.container import Container
from ti_core.loading.onnx.graph import build
from ti_core.loading.onnx.limits import Budget
from ti_core.loading.onnx.network import Layout, OnnxNetwork
from ti_core.loading.onnx.plan import Plan, make_plan

N = helper.make_node
RANDOM = np.random.default_rng(5)
SHAPE = (2, 3, 8, 9)
IMAGES = torch.from_numpy(RANDOM.normal(size=SHAPE))
KERNELS = RANDOM.normal(size=(3, 1, 3, 2))
"""A kernel for each channel."""
DENSE = RANDOM.normal(size=(4, 3, 3, 2))


def planned(nodes: list[NodeProto], opset: int = 18, **values: Any) -> tuple[Plan, torch.Tensor]:
    """The plan of a graph from ``x`` to ``y``, and the output of its single steps."""
    constants = [constant(name, value, np.asarray(value).dtype) for name, value in values.items()]
    model = graph(nodes, constants, shape=SHAPE, kind=TensorProto.DOUBLE, opset=opset)
    program = build(model, Container(), widen=False)
    plan, outputs = make_plan(program, program.constants, [IMAGES], Budget())
    return plan, outputs[0]


def operators(plan: Plan) -> list[str]:
    return [action.operator for action in plan.actions]


def gradient(function: Any) -> torch.Tensor:
    x = IMAGES.clone().requires_grad_()
    (function(x) * torch.linspace(-1, 1, 7)[:, None, None, None, None]).sum().backward()
    assert x.grad is not None
    return x.grad


@pytest.mark.parametrize("strides", [[1, 1], [2, 2], [2, 1]])
@pytest.mark.parametrize("own", [[0, 0, 0, 0], [1, 0, 1, 2]])
@pytest.mark.parametrize("pads", [[1, 1, 1, 1], [0, 0, 1, 1], [2, 0, 0, 1], [1, 2, 2, 0]])
@pytest.mark.parametrize("w", [KERNELS, DENSE], ids=["by channel", "dense"])
def test_a_convolution_takes_over_the_zeros_before_it(
    w: np.ndarray, pads: list[int], own: list[int], strides: list[int]
) -> None:
    group = 3 if w is KERNELS else 1
    conv = N("Conv", ["p", "w"], ["y"], group=group, pads=own, strides=strides)
    sides = [0, 0, *pads[:2], 0, 0, *pads[2:]]
    plan, wanted = planned([N("Pad", ["x", "pads"], ["p"]), conv], w=w, pads=sides)
    assert operators(plan) == ["Conv"]
    torch.testing.assert_close(plan.run(IMAGES)[0], wanted, rtol=0, atol=1e-12)
    top, left, bottom, right = (a + b for a, b in zip(pads, own, strict=True))

    def slowly(x: torch.Tensor) -> torch.Tensor:
        return F.conv2d(
            F.pad(x, (left, right, top, bottom)), torch.from_numpy(w), None, strides, groups=group
        )

    torch.testing.assert_close(slowly(IMAGES), wanted, rtol=0, atol=1e-12)
    torch.testing.assert_close(gradient(lambda x: plan.run(x)[0]), gradient(slowly), rtol=0, atol=1e-12)


@pytest.mark.parametrize(
    ("opset", "node", "values"),
    [
        (18, N("Pad", ["x", "pads", "", "axes"], ["p"]), {"pads": [1, 2, 0, 1], "axes": [-1, 2]}),
        (18, N("Pad", ["x", "pads", "value"], ["p"]), {"pads": [0, 0, 1, 0, 0, 0, 0, 1], "value": 0.0}),
        (10, N("Pad", ["x"], ["p"], pads=[0, 0, 1, 0, 0, 0, 0, 1]), {}),
    ],
)
def test_every_way_to_write_the_pads(opset: int, node: NodeProto, values: dict[str, Any]) -> None:
    conv = N("Conv", ["p", "w"], ["y"], group=3, auto_pad="VALID")
    plan, wanted = planned([node, conv], opset, w=KERNELS, **values)
    assert operators(plan) == ["Conv"]
    torch.testing.assert_close(plan.run(IMAGES)[0], wanted, rtol=0, atol=1e-12)


PAD = N("Pad", ["x", "pads"], ["p"])
CONV = N("Conv", ["p", "w"], ["y"], group=3)
SIDES = [0, 0, 1, 1, 0, 0, 1, 1]


@pytest.mark.parametrize(
    ("nodes", "values"),
    [
        ([N("Pad", ["x", "pads", "value"], ["p"]), CONV], {"value": 1.0}),
        ([N("Pad", ["x", "pads"], ["p"], mode="edge"), CONV], {}),
        ([PAD, CONV], {"pads": [0, 0, -1, 1, 0, 0, 1, 1]}),
        ([PAD, CONV], {"pads": [1, 0, 1, 1, 0, 0, 1, 1]}),
        ([PAD, N("Conv", ["p", "w"], ["y"], group=3, auto_pad="SAME_UPPER", strides=[2, 2])], {}),
        (
            [
                PAD,
                N("Conv", ["p", "w"], ["q"], group=3),
                N("ReduceMax", ["p"], ["m"]),
                N("Add", ["q", "m"], ["y"]),
            ],
            {},
        ),
        ([PAD, N("MaxPool", ["p"], ["y"], kernel_shape=[2, 2])], {}),
    ],
    ids=["another value", "edge", "cropped", "images", "same", "two users", "no convolution"],
)
def test_other_padding_stays(nodes: list[NodeProto], values: dict[str, Any]) -> None:
    plan, wanted = planned(nodes, w=KERNELS, **{"pads": SIDES} | values)
    assert "Pad" in operators(plan)
    torch.testing.assert_close(plan.run(IMAGES)[0], wanted, rtol=0, atol=1e-12)


def test_a_second_pass_for_the_gradient_finds_what_the_first_one_kept() -> None:
    """The first images of a shape make its plan, in which the padding is joined; they are differentiated with it."""
    nodes = [N("Pad", ["x", "pads"], ["p"]), N("Conv", ["p", "w"], ["y"], group=3)]
    pads = constant("pads", np.array([0, 0, 0, 0, 0, 0, 1, 1]), np.int64)
    weights = constant("w", KERNELS, np.float64)
    model = graph(nodes, [pads, weights], shape=SHAPE, kind=TensorProto.DOUBLE)
    network = OnnxNetwork(build(model, Container(), widen=False), Layout(), len(IMAGES))
    x = IMAGES.clone().requires_grad_()
    (once,) = torch.autograd.grad(checkpoint(network, x, use_reentrant=False).square().sum(), x)
    (again,) = torch.autograd.grad(network(x).square().sum(), x)
    assert once.equal(again)
