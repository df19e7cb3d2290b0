"""Single operators against PyTorch and against ONNX's own reference implementation."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnx.reference
import pytest
import torch
from onnx import TensorProto, helper
from torch import nn
from torch.nn import functional as F

from tests.loading.onnx.onnx_networks import classifier, constant, export, graph, runtime, save
from ti_core.errors import ModelFileError
from ti_core.loading.onnx import load_onnx
from ti_core.loading.onnx.container import Container
from ti_core.loading.onnx.graph import build

N = helper.make_node
RANDOM = np.random.default_rng(0)


def folded(
    nodes: Sequence[onnx.NodeProto], constants: Sequence[TensorProto], outputs: Sequence[str], opset: int = 18
) -> list[torch.Tensor]:
    """The outputs of a graph of constants, as they are computed when it is opened."""
    program = build(graph(nodes, constants, outputs=outputs, opset=opset), Container(), widen=False)
    return [program.constants[number] for number in program.outputs]


def reference(
    nodes: Sequence[onnx.NodeProto], constants: Sequence[TensorProto], outputs: Sequence[str], opset: int = 18
) -> list[np.ndarray]:
    model = graph(nodes, constants, outputs=outputs, opset=opset)
    found: list[np.ndarray] = onnx.reference.ReferenceEvaluator(model).run(
        None, {"x": np.zeros((1, 1, 4, 4), np.float32)}
    )
    return found


@pytest.mark.parametrize("value", [2.5, None])
def test_a_constant_of_no_dimensions_is_a_scalar(value: float | None) -> None:
    options = {} if value is None else {"value": constant("", [value])}
    nodes = [N("ConstantOfShape", ["s"], ["y"], **options)]
    constants = [constant("s", [], np.int64)]
    (found,) = folded(nodes, constants, ["y"])
    (wanted,) = reference(nodes, constants, ["y"])
    assert found.shape == wanted.shape == () and found.item() == wanted.item() == (value or 0.0)


def test_a_length_without_dimensions_makes_a_list() -> None:
    for length in (0, 3):
        (found,) = folded([N("ConstantOfShape", ["s"], ["y"])], [constant("s", length, np.int64)], ["y"])
        assert found.tolist() == [0.0] * length


@pytest.mark.parametrize("indices", [2, [2], [[2]], [0, 2], [-1]])
@pytest.mark.parametrize("axis", [0, 1])
def test_gather_keeps_the_dimensions_of_its_indices(indices: Any, axis: int) -> None:
    """A list of one index is a list: from it the older exporter makes the lengths of paddings."""
    nodes = [N("Gather", ["a", "i"], ["y"], axis=axis)]
    constants = [constant("a", RANDOM.normal(size=(3, 4))), constant("i", indices, np.int64)]
    (found,), (wanted,) = folded(nodes, constants, ["y"]), reference(nodes, constants, ["y"])
    assert np.array_equal(found.numpy(), wanted)


@pytest.mark.parametrize("operator", ["Pow", "Clip"])
def test_a_single_number_with_dimensions_counts_as_a_number(operator: str) -> None:
    for shape in ((), (1,), (1, 1)):
        nodes = [N(operator, ["a", "b"], ["y"])]
        constants = [constant("a", [[0.5, 2.0]]), constant("b", np.full(shape, 1.5))]
        (found,) = folded(nodes, constants, ["y"])
        wanted = np.array([[0.5, 2.0]]) ** 1.5 if operator == "Pow" else np.array([[1.5, 2.0]])
        np.testing.assert_allclose(found.numpy(), wanted, rtol=1e-6)
    (found,) = folded([N("Pow", ["a", "b"], ["y"])], [constant("a", 2.0), constant("b", [[3.0]])], ["y"])
    assert found.tolist() == [[8.0]]


@pytest.mark.parametrize("bounds", [(0.0, 6.0), (-0.5, 0.7), (0.0, None), (None, 1.0), (2.0, 1.0), (0, 2)])
def test_clip_is_numpys_for_every_number(bounds: tuple[float | None, float | None]) -> None:
    """Also for numbers that are not finite, bounds in the wrong order, and whole numbers."""
    whole = isinstance(bounds[0], int)
    x = np.array([-1, 1, 7]) if whole else np.array([np.nan, np.inf, -np.inf, -1.0, 0.2, 7.0], np.float32)
    low, high = bounds
    constants = [constant("x", x, x.dtype)]
    constants += [constant(n, v, x.dtype) for n, v in (("low", low), ("high", high)) if v is not None]
    names = ["x", "low" if low is not None else "", "high" if high is not None else ""]
    (found,) = folded([N("Clip", names, ["y"])], constants, ["y"])
    np.testing.assert_array_equal(found.numpy(), np.clip(x, low, high))


class Padded(nn.Module):
    """Pads by what the input's size asks for, as networks of windows and strided convolutions do."""

    def __init__(self) -> None:
        super().__init__()
        self.conv, self.fc = nn.Conv2d(1, 4, 3, stride=3), nn.Linear(4, 5)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        right, below = (3 - x.shape[3] % 3) % 3, (3 - x.shape[2] % 3) % 3
        scores: torch.Tensor = self.fc(self.conv(F.pad(x, (0, right, 1, below))).mean((2, 3)))
        return scores


def test_padding_by_the_size_of_the_image(tmp_path: Path) -> None:
    module = Padded().eval()
    path = export(module, (1, 10, 11), tmp_path / "model.onnx", dynamo=False, opset_version=17)
    assert "ConstantOfShape" in [node.op_type for node in onnx.load(path).graph.node]
    images = torch.rand(2, 1, 10, 11)
    scores = load_onnx(path).module(images)
    torch.testing.assert_close(scores, module(images))
    torch.testing.assert_close(scores, runtime(path, images))


def statistics(size: int) -> list[TensorProto]:
    names = ("scale", "bias", "mean", "var")
    return [constant(n, np.abs(RANDOM.normal(size=size)) + 0.1) for n in names]


@pytest.mark.parametrize("shape", [(4, 3), (1, 3, 7), (2, 3, 4, 5), (1, 3, 1)])
def test_batch_normalisation_in_training_mode(shape: tuple[int, ...]) -> None:
    """Of constants, by the specification: the statistics of the input, and the running ones after it."""
    options = {"training_mode": 1, "momentum": 0.7, "epsilon": 1e-3}
    names = ["x1", "scale", "bias", "mean", "var"]
    nodes = [N("BatchNormalization", names, ["y", "m", "v"], **options)]
    constants = [constant("x1", RANDOM.normal(size=shape)), *statistics(3)]
    found = folded(nodes, constants, ["y", "m", "v"])
    for own, wanted in zip(found, reference(nodes, constants, ["y", "m", "v"]), strict=True):
        np.testing.assert_allclose(own.numpy(), wanted, rtol=1e-4, atol=1e-5)
    # An output that nobody names is left out; the others stay the same.
    nodes = [N("BatchNormalization", names, ["y"], **options)]
    assert torch.equal(folded(nodes, constants, ["y"])[0], found[0])


def test_batch_normalisation_before_opset_14_is_in_training_mode_by_its_outputs() -> None:
    names = ["x1", "scale", "bias", "mean", "var"]
    outputs = ["y", "m", "v", "own_m", "own_v"]
    constants = [constant("x1", RANDOM.normal(size=(2, 3, 4))), *statistics(3)]
    found = folded([N("BatchNormalization", names, outputs, momentum=0.7)], constants, outputs, 13)
    x, scale, bias, mean, var = (torch.from_numpy(onnx.numpy_helper.to_array(c).copy()) for c in constants)
    own_var, own_mean = torch.var_mean(x, (0, 2), correction=0)
    torch.testing.assert_close(found[0], F.batch_norm(x, None, None, scale, bias, True))
    torch.testing.assert_close(
        found[1:], [0.7 * mean + 0.3 * own_mean, 0.7 * var + 0.3 * own_var, own_mean, own_var]
    )
    tested = folded([N("BatchNormalization", names, ["y"])], constants, ["y"], 13)[0]
    torch.testing.assert_close(tested, F.batch_norm(x, mean, var, scale, bias, False))


class Standardised(nn.Conv2d):
    """A convolution whose weights are standardised by a batch norm in training mode, as in NFNet."""

    def __init__(self, *sizes: int) -> None:
        super().__init__(*sizes)
        self.gain = nn.Parameter(torch.rand(self.out_channels))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        rows = self.weight.reshape(1, self.out_channels, -1)
        rows = F.batch_norm(rows, None, None, weight=self.gain, training=True, momentum=0.0, eps=1e-6)
        return F.conv2d(x, rows.reshape_as(self.weight), self.bias)


def test_weights_standardised_by_a_batch_norm(tmp_path: Path) -> None:
    module = nn.Sequential(Standardised(1, 4, 3), nn.ReLU(), nn.Flatten(), nn.Linear(16, 3)).eval()
    path = export(module, (1, 4, 4), tmp_path / "model.onnx", dynamo=False, opset_version=17)
    modes = [a.i for n in onnx.load(path).graph.node for a in n.attribute if a.name == "training_mode"]
    assert modes == [1]
    images = torch.rand(3, 1, 4, 4)
    found = load_onnx(path)
    torch.testing.assert_close(found.module(images), module(images))


def blocks(size: Sequence[int], **options: Any) -> tuple[np.ndarray, list[onnx.NodeProto], list[TensorProto]]:
    """A Col2Im of blocks of 2 x 3 (or 2 x 3 x 2) in three images of two channels."""
    kernel = [2, 3, 2][: len(size)]
    strides = options.get("strides", [1] * len(size))
    dilations = options.get("dilations", [1] * len(size))
    pads = options.get("pads", [0] * 2 * len(size))
    counts = [
        (n + pads[i] + pads[i + len(size)] - dilations[i] * (kernel[i] - 1) - 1) // strides[i] + 1
        for i, n in enumerate(size)
    ]
    x = RANDOM.normal(size=(3, 2 * int(np.prod(kernel)), int(np.prod(counts)))).astype(np.float32)
    sizes = [constant("size", size, np.int64), constant("block", kernel, np.int64)]
    return x, [N("Col2Im", ["x1", "size", "block"], ["y"], **options)], [constant("x1", x), *sizes]


FOLDS: dict[str, tuple[list[int], dict[str, list[int]]]] = {
    "plain": ([5, 6], {}),
    "strides": ([6, 9], {"strides": [2, 3]}),
    "cells that no block reaches": ([6, 9], {"strides": [3, 4]}),
    "dilations": ([7, 9], {"dilations": [3, 2]}),
    "pads": ([5, 6], {"pads": [1, 2, 1, 2]}),
    "all": ([7, 8], {"pads": [2, 1, 2, 1], "strides": [2, 3], "dilations": [2, 1]}),
}


@pytest.mark.parametrize("name", FOLDS)
def test_col2im_is_torchs_fold(name: str) -> None:
    size, options = FOLDS[name]
    x, nodes, constants = blocks(size, **options)
    (found,) = folded(nodes, constants, ["y"])
    wanted = F.fold(
        torch.from_numpy(x),
        size,
        (2, 3),
        options.get("dilations", 1),
        options.get("pads", [0, 0])[:2],
        options.get("strides", 1),
    )
    torch.testing.assert_close(found, wanted)


@pytest.mark.parametrize(
    ("size", "options"),
    [
        ([5, 6], {"pads": [1, 0, 0, 2], "strides": [1, 2]}),
        ([4, 5, 6], {"pads": [0, 1, 1, 0, 1, 0], "strides": [1, 2, 1]}),
        ([4, 5, 6], {"dilations": [2, 1, 3]}),
        ([7], {"strides": [2]}),
    ],
)
def test_col2im_of_uneven_pads_and_other_ranks(size: list[int], options: dict[str, list[int]]) -> None:
    _, nodes, constants = blocks(size, **options)
    (found,), (wanted,) = folded(nodes, constants, ["y"]), reference(nodes, constants, ["y"])
    np.testing.assert_allclose(found.numpy(), wanted, rtol=1e-5, atol=1e-6)


class Folding(nn.Module):
    """Blocks of the image, weighted and put together again."""

    def __init__(self) -> None:
        super().__init__()
        self.weight, self.head = nn.Parameter(torch.rand(9, 1)), nn.Linear(36, 3)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        columns = F.unfold(x, 3, padding=1, stride=2) * self.weight
        scores: torch.Tensor = self.head(F.fold(columns, (6, 6), 3, padding=1, stride=2).flatten(1))
        return scores


def test_a_network_that_folds_opens_with_its_gradients(tmp_path: Path) -> None:
    module = Folding().eval()
    path = export(module, (1, 6, 6), tmp_path / "model.onnx", dynamo=False, opset_version=18)
    assert "Col2Im" in [node.op_type for node in onnx.load(path).graph.node]
    found = load_onnx(path).module
    gradients = []
    for network in (found, module):
        x = torch.rand(3, 1, 6, 6, generator=torch.Generator().manual_seed(0)).requires_grad_()
        scores = network(x)
        scores.square().sum().backward()
        gradients.append((scores.detach(), x.grad))
    torch.testing.assert_close(gradients[0], gradients[1], rtol=1e-4, atol=1e-5)


def test_col2im_of_another_number_of_blocks_is_refused(tmp_path: Path) -> None:
    x, nodes, constants = blocks([5, 6])
    node = nodes[0]
    for change in ((x[:, :, 1:], "does not hold the blocks"), (x[:, 1:], "does not hold the blocks")):
        wrong = [constant("x1", change[0]), *constants[1:]]
        model = classifier(node, N("Add", ["x", "y"], ["v"]), source="v", constants=wrong)
        with pytest.raises(ModelFileError, match=change[1]):
            load_onnx(save(model, tmp_path / "model.onnx"))
    huge = [constants[0], constant("size", [1 << 30, 1 << 30], np.int64), constants[2]]
    with pytest.raises(ModelFileError, match="asks for"):
        load_onnx(
            save(classifier(node, N("Add", ["x", "y"], ["v"]), source="v", constants=huge), tmp_path / "m")
        )
