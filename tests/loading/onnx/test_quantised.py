"""Networks on whole numbers: the scores of ONNX Runtime, and gradients that lead somewhere."""

from __future__ import annotations

import logging
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
import torch
from onnx import TensorProto, helper

from tests.loading.onnx.onnx_networks import classifier, constant, export, graph, network, runtime, save
from ti_core.errors import ModelFileError, RefusedFileError
from ti_core.loading.onnx import load_onnx
from ti_core.loading.onnx.quantised.operators import dequantize_linear, quantize_linear

N = helper.make_node
MS = "com.microsoft"
RANDOM = np.random.default_rng(3)
IMAGES = torch.rand(5, 1, 4, 4, generator=torch.Generator().manual_seed(1))
CONSTANTS = [
    constant("s", 0.0197),
    constant("z", 7, np.uint8),
    constant("t", 0.0531),
    constant("u", 100, np.uint8),
    constant("ws", RANDOM.uniform(0.005, 0.02, 3)),
    constant("wz", np.zeros(3), np.int8),
    constant("w1", 0.01013),
    constant("w0", 3, np.int8),
    constant("k", RANDOM.integers(-128, 128, (3, 1, 3, 3)), np.int8),
    constant("m", RANDOM.integers(-128, 128, (4, 6)), np.int8),
    constant("ms", RANDOM.uniform(0.005, 0.02, 6)),
    constant("mz", RANDOM.integers(-9, 9, 6), np.int8),
    constant("b", RANDOM.integers(-4000, 4000, 3), np.int32),
    constant("c", RANDOM.integers(-4000, 4000, 6), np.int32),
    constant("f", RANDOM.normal(size=6)),
]
Q = N("QuantizeLinear", ["x", "s", "z"], ["q"])
DQ = N("DequantizeLinear", ["v", "t", "u"], ["y"])


def rows(*nodes: Any) -> list[Any]:
    """Nodes between the whole numbers as rows, ``r``, and the result."""
    return [Q, N("Flatten", ["q"], ["r"], axis=3), *nodes]


LAYERS: dict[str, list[Any]] = {
    "QLinearConv": [
        Q,
        N(
            "QLinearConv",
            ["q", "s", "z", "k", "ws", "wz", "t", "u", "b"],
            ["v"],
            pads=[1, 1, 0, 0],
            strides=[2, 1],
        ),
        DQ,
    ],
    "QLinearConv without bias": [Q, N("QLinearConv", ["q", "s", "z", "k", "w1", "w0", "t", "u"], ["v"]), DQ],
    "QLinearMatMul": rows(N("QLinearMatMul", ["r", "s", "z", "m", "w1", "w0", "t", "u"], ["v"]), DQ),
    "QLinearMatMul by column": rows(
        N("QLinearMatMul", ["r", "s", "z", "m", "ms", "mz", "t", "u"], ["v"]), DQ
    ),
    "ConvInteger": [
        Q,
        N("ConvInteger", ["q", "k", "z"], ["v"], pads=[1, 1, 1, 1]),
        N("Cast", ["v"], ["y"], to=1),
    ],
    "MatMulInteger": rows(N("MatMulInteger", ["r", "m", "z", "w0"], ["v"]), N("Cast", ["v"], ["y"], to=1)),
    "DynamicQuantizeLinear": [
        N("DynamicQuantizeLinear", ["x"], ["q", "a", "e"]),
        N("DequantizeLinear", ["q", "a", "e"], ["y"]),
    ],
    "MatMulIntegerToFloat": rows(
        N("MatMulIntegerToFloat", ["r", "m", "s", "ms", "z", "mz", "f"], ["y"], domain=MS)
    ),
    "DynamicQuantizeMatMul": [
        N("Flatten", ["x"], ["r"], axis=3),
        N("DynamicQuantizeMatMul", ["r", "m", "w1", "w0", "f"], ["y"], domain=MS),
    ],
    "QGemm": rows(
        N("QGemm", ["r", "s", "z", "m", "w1", "w0", "c", "t", "u"], ["v"], domain=MS, alpha=1.0), DQ
    ),
    "QGemm in float": rows(N("QGemm", ["r", "s", "z", "m", "ms", "mz", "c"], ["y"], domain=MS)),
    "QLinearAdd": [Q, N("QLinearAdd", ["q", "s", "z", "q", "w1", "z", "t", "u"], ["v"], domain=MS), DQ],
    "QLinearMul": [Q, N("QLinearMul", ["q", "s", "z", "q", "w1", "z", "t", "u"], ["v"], domain=MS), DQ],
    "QLinearSigmoid": [Q, N("QLinearSigmoid", ["q", "s", "z", "w1", "z"], ["v"], domain=MS), DQ],
    "QLinearLeakyRelu": [
        Q,
        N("QLinearLeakyRelu", ["q", "s", "u", "w1", "u"], ["v"], domain=MS, alpha=0.3),
        DQ,
    ],
    "QLinearSoftmax": rows(
        N("QLinearSoftmax", ["r", "t", "z", "w1", "z"], ["v"], domain=MS, axis=-1, opset=13), DQ
    ),
    "QLinearGlobalAveragePool": [
        Q,
        N("QLinearGlobalAveragePool", ["q", "s", "z", "w1", "z"], ["v"], domain=MS),
        DQ,
    ],
    "QLinearAveragePool": [
        Q,
        N("QLinearAveragePool", ["q", "s", "z", "w1", "z"], ["v"], domain=MS, kernel_shape=[2, 2]),
        DQ,
    ],
    "QLinearConcat": [
        Q,
        N("QLinearConcat", ["t", "u", "q", "s", "z", "q", "w1", "z"], ["v"], domain=MS, axis=1),
        DQ,
    ],
    "pooled and moved": [
        Q,
        N("MaxPool", ["q"], ["p"], kernel_shape=[2, 2], strides=[2, 2]),
        N("Transpose", ["p"], ["v"], perm=[0, 2, 3, 1]),
        DQ,
    ],
    "channels last": [
        Q,
        N("Transpose", ["q"], ["h"], perm=[0, 2, 3, 1]),
        N("NhwcMaxPool", ["h"], ["i"], domain=MS, kernel_shape=[2, 2], strides=[1, 1]),
        N(
            "QLinearConv",
            ["i", "s", "z", "k", "ws", "wz", "t", "u", "b"],
            ["v"],
            domain=MS,
            channels_last=1,
        ),
        DQ,
    ],
}


def whole_graph(nodes: list[Any], kind: int = TensorProto.FLOAT, source: str = "y") -> onnx.ModelProto:
    """The nodes, then a weight for each of their numbers and class."""
    tail = [N("Flatten", [source], ["flat"]), N("ReduceSum", ["flat", "last"], ["sum"], keepdims=1)]
    tail.append(N("Mul", ["sum", "each"], ["out"]))
    constants = [*CONSTANTS, constant("each", [[1.0, -2.0, 3.0]]), constant("last", [1], np.int64)]
    used = {name for node in (*nodes, *tail) for name in node.input}
    model = graph([*nodes, *tail], [c for c in constants if c.name in used], kind=kind, outputs=["out"])
    model.opset_import.append(helper.make_opsetid(MS, 1))
    model.ir_version = 8
    return model


@pytest.mark.parametrize("name", LAYERS)
def test_a_layer_gives_onnx_runtimes_scores(name: str, tmp_path: Path) -> None:
    nodes = LAYERS[name]
    of_rows = any("r" in node.output for node in nodes)
    if of_rows:  # rows of one image each, so that the scores are one row an image
        nodes = [*nodes, N("Reshape", ["y", "back"], ["rows"])]
    model = whole_graph(nodes, source="rows" if of_rows else "y")
    if of_rows:
        model.graph.initializer.append(
            constant("back", [-1, 24 if name != "QLinearSoftmax" else 16], np.int64)
        )
    path = save(model, tmp_path / "net.onnx")
    opened = load_onnx(path)
    alone = "Dynamic" in name
    wanted = runtime(path, IMAGES, one_by_one=alone)
    x = IMAGES.clone().requires_grad_()
    scores = opened.module(x)
    # A sum that lies between two whole numbers may become either of them: less than a percent of the largest score.
    torch.testing.assert_close(scores, wanted, rtol=0, atol=0.008 * float(wanted.abs().max()))
    scores.square().sum().backward()
    assert x.grad is not None and bool(x.grad.isfinite().all()) and float(x.grad.abs().max()) > 0
    assert "computed in float" in opened.remarks[0]
    if alone:
        assert "one image at a time" in opened.metadata["batch"]


def test_a_gradient_passes_through_a_rounding_and_stops_outside_the_range() -> None:
    x = torch.tensor([-1.0, 0.0, 0.26, 25.0, 26.0], requires_grad=True)
    y = quantize_linear(x, torch.tensor(0.1), torch.tensor(3, dtype=torch.uint8))
    assert y.tolist() == [0, 3, 6, 253, 255]
    back = dequantize_linear(y, torch.tensor(0.1), torch.tensor(3, dtype=torch.uint8))
    (gradient,) = torch.autograd.grad(back.sum(), x)
    torch.testing.assert_close(gradient, torch.tensor([0.0, 1.0, 1.0, 1.0, 0.0]))
    batched = torch.vmap(lambda a: quantize_linear(a, torch.tensor(0.1)))(x.detach().reshape(5, 1))
    assert batched.flatten().tolist() == [0, 0, 3, 250, 255]


@pytest.mark.parametrize(
    ("kind", "low", "high"), [(torch.uint8, 0, 255), (torch.int8, -128, 127), (torch.int16, -32_768, 32_767)]
)
def test_the_zero_points_type_says_the_range(kind: torch.dtype, low: int, high: int) -> None:
    y = quantize_linear(torch.tensor([-1e9, 1e9]), torch.tensor(1.0), torch.tensor(0, dtype=kind))
    assert y.tolist() == [low, high]


@pytest.fixture(scope="module")
def quantised(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Path]]:
    """LeNet-5 as ONNX Runtime's own tool quantises it, and as it was."""
    folder = tmp_path_factory.mktemp("quantised")
    module, shape = network("lenet")
    whole = export(module, shape, folder / "float.onnx", dynamo=False)
    logging.disable(logging.WARNING)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from onnxruntime import quantization as tool

        class Images(tool.CalibrationDataReader):  # type: ignore[misc]
            def __init__(self) -> None:
                self.left = [{"x": torch.rand(1, *shape).numpy()} for _ in range(4)]

            def get_next(self) -> Any:
                return self.left.pop() if self.left else None

        for name, form, each in (("qdq", "QDQ", True), ("operators", "QOperator", False)):
            tool.quantize_static(
                whole, folder / f"{name}.onnx", Images(), tool.QuantFormat[form], per_channel=each
            )
        tool.quantize_dynamic(whole, folder / "dynamic.onnx")
    logging.disable(logging.NOTSET)
    yield {path.stem: path for path in folder.glob("*.onnx")}


@pytest.mark.parametrize("name", ["qdq", "operators", "dynamic"])
def test_a_quantised_network_is_the_network_but_for_rounding(name: str, quantised: dict[str, Path]) -> None:
    opened, whole = load_onnx(quantised[name]), load_onnx(quantised["float"])
    assert opened.parameters == whole.parameters and not whole.remarks
    x = torch.rand(6, *whole.input_shape or (), requires_grad=True)
    scores, plain = opened.module(x), whole.module(x)
    wanted = runtime(quantised[name], x.detach(), one_by_one=name == "dynamic", precise=name != "operators")
    torch.testing.assert_close(scores, wanted, rtol=0, atol=0.02 * float(wanted.abs().max()))
    gradients = [torch.autograd.grad(s.square().sum(), x)[0].flatten() for s in (scores, plain)]
    assert float(torch.nn.functional.cosine_similarity(*gradients, dim=0)) > 0.8


def test_images_of_whole_numbers_that_are_dequantised_first(tmp_path: Path) -> None:
    first = N("DequantizeLinear", ["x", "s"], ["f"])
    model = classifier(first, source="f", kind=TensorProto.UINT8, constants=[constant("s", 1 / 255)])
    opened = load_onnx(save(model, tmp_path / "net.onnx"))
    whole = torch.randint(0, 256, (2, 1, 4, 4), dtype=torch.uint8)
    scores = opened.module(whole / 255)
    torch.testing.assert_close(scores, runtime(tmp_path / "net.onnx", whole), rtol=1e-4, atol=1e-4)


DAMAGED: dict[str, tuple[Any, str]] = {
    "scales for other channels": (
        [N("QuantizeLinear", ["x", "ws", "wz"], ["v"]), N("DequantizeLinear", ["v", "t"], ["y"])],
        "3 scales or zero points for 1 channels",
    ),
    "blocks that do not cover": (
        [N("QuantizeLinear", ["x", "block"], ["y"], axis=2, block_size=3)],
        "blocks do not cover",
    ),
    "endless blocks": (
        [N("QuantizeLinear", ["x", "block"], ["y"], axis=2, block_size=1 << 60)],
        "blocks do not cover",
    ),
    "another type": ([N("QuantizeLinear", ["x", "s"], ["y"], output_dtype=17)], "type that is not supported"),
    "unknown attribute": (
        [Q, N("QLinearConv", ["q", "s", "z", "k", "w1", "w0", "t", "u"], ["y"], secret=1)],
        "attribute 'secret', which is not supported",
    ),
    "too few inputs": ([Q, N("QLinearMatMul", ["q", "s"], ["y"])], "cannot be computed"),
    "no number": ([N("QuantizeLinear", ["x", "none"], ["y"])], "finite|cannot be computed"),
}


@pytest.mark.parametrize("name", DAMAGED)
def test_a_contradiction_is_answered_with_a_sentence(name: str, tmp_path: Path) -> None:
    nodes, sentence = DAMAGED[name]
    model = whole_graph(nodes)
    extra = [constant("block", np.ones((1, 1, 3, 4))), constant("none", np.nan)]
    named = {i for node in nodes for i in node.input}
    model.graph.initializer.extend(c for c in extra if c.name in named)
    with pytest.raises(ModelFileError, match=sentence):
        load_onnx(save(model, tmp_path / "net.onnx"))


def test_a_pad_beyond_the_limit_in_a_layer_of_whole_numbers_is_refused(tmp_path: Path) -> None:
    conv = N("QLinearConv", ["q", "s", "z", "k", "w1", "w0", "t", "u"], ["v"], name="big", pads=[10**7] * 4)
    with pytest.raises(RefusedFileError, match=r"'big' .Conv. asks for"):
        load_onnx(save(whole_graph([Q, conv, DQ]), tmp_path / "net.onnx"))
