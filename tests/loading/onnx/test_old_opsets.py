"""Operators as opsets 7 to 12 write them: numbers in attributes that are inputs since."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from onnx import TensorProto, helper

from tests.loading.onnx.onnx_networks import classifier, constant, graph, runtime, save
from ti_core.errors import ModelFileError
from ti_core.loading.onnx import load_onnx

N = helper.make_node
IMAGES = torch.rand(3, 1, 4, 4, generator=torch.Generator().manual_seed(2))

STATISTICS = [
    constant(name, [value]) for name, value in (("a", 1.5), ("b", -0.5), ("mean", 0.3), ("var", 2.0))
]

FORMS: dict[str, tuple[int, list[Any], int]] = {
    "upsample": (7, [N("Upsample", ["x"], ["v"], scales=[1.0, 1.0, 2.0, 2.0], mode="nearest")], 64),
    "upsample linear": (8, [N("Upsample", ["x"], ["v"], scales=[1.0, 1.0, 2.0, 2.0], mode="linear")], 64),
    "slice": (7, [N("Slice", ["x"], ["v"], axes=[2, 3], starts=[1, -3], ends=[4, 9])], 9),
    "pad": (7, [N("Pad", ["x"], ["v"], pads=[0, 0, 1, 0, 0, 0, 0, 1], value=0.5)], 25),
    "pad by reflection": (8, [N("Pad", ["x"], ["v"], pads=[0, 0, 1, 2, 0, 0, 2, 1], mode="reflect")], 49),
    "clip": (7, [N("Clip", ["x"], ["v"], min=0.2, max=0.7)], 16),
    "dropout": (7, [N("Dropout", ["x"], ["v"], ratio=0.4)], 16),
    "batch norm": (7, [N("BatchNormalization", ["x", "a", "b", "mean", "var"], ["v"], momentum=0.9)], 16),
    "squeeze": (7, [N("Squeeze", ["x"], ["s"], axes=[1]), N("Unsqueeze", ["s"], ["v"], axes=[1])], 16),
    "sum": (8, [N("ReduceSum", ["x"], ["v"], axes=[2], keepdims=0)], 4),
    "softmax": (7, [N("Softmax", ["x"], ["v"])], 16),
    "split": (7, [N("Split", ["x"], ["v", "rest"], axis=3, split=[3, 1])], 12),
    "largest": (8, [N("TopK", ["x"], ["v", "where"], axis=3, k=2)], 8),
    "average pool": (
        7,
        [N("AveragePool", ["x"], ["v"], kernel_shape=[3, 3], pads=[1] * 4, count_include_pad=1)],
        16,
    ),
}


@pytest.mark.parametrize("name", FORMS)
def test_an_operator_in_its_old_form(name: str, tmp_path: Path) -> None:
    opset, nodes, features = FORMS[name]
    constants = STATISTICS if name == "batch norm" else []
    weights = constant("no bias", np.zeros(3))
    model = classifier(*nodes, source="v", features=features, opset=opset, constants=[*constants, weights])
    model.ir_version = 7
    model.graph.node[-1].input.append("no bias")  # it could not be left out before opset 11
    path = save(model, tmp_path / "net.onnx")
    opened = load_onnx(path)
    assert opened.metadata["opset"] == str(opset)
    torch.testing.assert_close(opened.module(IMAGES), runtime(path, IMAGES), rtol=1e-5, atol=1e-5)


def test_batch_normalisation_of_each_place(tmp_path: Path) -> None:
    """ONNX Runtime no longer computes it; each place of each channel has statistics of its own."""
    rng = np.random.default_rng(0)
    values = {name: rng.uniform(0.5, 1.5, (1, 4, 4)) for name in ("a", "b", "mean", "var")}
    node = N("BatchNormalization", ["x", *values], ["v"], spatial=0, epsilon=1e-3)
    constants = [constant(name, value) for name, value in values.items()]
    opened = load_onnx(
        save(classifier(node, source="v", opset=7, constants=constants), tmp_path / "net.onnx")
    )
    a, b, mean, var = (torch.tensor(value, dtype=torch.float32) for value in values.values())
    plain = load_onnx(save(classifier(opset=7), tmp_path / "plain.onnx"))
    wanted = plain.module((IMAGES - mean) / (var + 1e-3).sqrt() * a + b)
    torch.testing.assert_close(opened.module(IMAGES), wanted, rtol=1e-5, atol=1e-5)


def test_constants_among_the_inputs_are_constants(tmp_path: Path) -> None:
    """Before version 4 of its format a graph lists its weights as inputs too."""
    model = classifier(opset=8)
    model.ir_version = 3
    model.graph.input.append(helper.make_tensor_value_info("w", TensorProto.FLOAT, [3, 16]))
    path = save(model, tmp_path / "net.onnx")
    assert load_onnx(path).input_shape == (1, 4, 4)


def _branch(name: str, *nodes: Any) -> Any:
    return helper.make_graph(list(nodes), name, [], [helper.make_tensor_value_info(name, 1, None)])


@pytest.mark.parametrize("taken", [True, False])
def test_the_other_branch_is_not_read_into_the_network(taken: bool, tmp_path: Path) -> None:
    """It may hold what could not be opened: an unknown operator, and constants beyond the limits."""
    used = _branch("used", N("Exp", ["x"], ["used"]))
    other = _branch("other", N("NoSuchThing", ["x"], ["o"]), N("Add", ["o", "wide"], ["other"]))
    other.initializer.append(TensorProto(name="wide", dims=[1 << 40], data_type=1))
    then, instead = (used, other) if taken else (other, used)
    choice = N("If", ["c"], ["v"], then_branch=then, else_branch=instead)
    constants = [constant("c", taken, np.bool_)]
    opened = load_onnx(save(classifier(choice, source="v", constants=constants), tmp_path / "net.onnx"))
    plain = load_onnx(save(classifier(), tmp_path / "plain.onnx"))
    torch.testing.assert_close(opened.module(IMAGES), plain.module(IMAGES.exp()))


def baked(exported: int, **options: Any) -> Any:
    """A graph that declares any number of images and reshapes them to `exported` rows."""
    target = constant("target", [exported, 4, 4], np.int64)
    nodes = [N("Reshape", ["x", "target"], ["v"])]
    return classifier(*nodes, source="v", constants=[target], **options)


@pytest.mark.parametrize("exported", [1, 2, 4, 16])
def test_a_number_of_images_that_is_hidden_in_the_graph_is_found(exported: int, tmp_path: Path) -> None:
    opened = load_onnx(save(baked(exported), tmp_path / "net.onnx"))
    plain = load_onnx(save(classifier(), tmp_path / "plain.onnx"))
    assert f"exported for {exported} image(s) at a time" in opened.metadata["batch"]
    for count in (1, 2, 3, 16, 17):
        images = torch.rand(count, 1, 4, 4)
        torch.testing.assert_close(opened.module(images), plain.module(images))


def test_a_hidden_number_that_no_reshape_tells_goes_through_in_pieces(tmp_path: Path) -> None:
    """A constant that is joined to the images' rows has as many rows as they had in the export."""
    nodes = [N("Concat", ["x", "two"], ["v"], axis=1)]
    model = classifier(*nodes, source="v", features=32, constants=[constant("two", np.ones((2, 1, 4, 4)))])
    opened = load_onnx(save(model, tmp_path / "net.onnx"))
    assert (
        "exported for 2 image(s) at a time; larger batches go through in pieces" in opened.metadata["batch"]
    )
    images = torch.rand(16, 1, 4, 4)
    scores = opened.module(images)
    torch.testing.assert_close(scores[:2], runtime(tmp_path / "net.onnx", images[:2]))
    torch.testing.assert_close(scores[14:], runtime(tmp_path / "net.onnx", images[14:]))


def test_a_hidden_number_beyond_the_limit_is_not_tried(tmp_path: Path) -> None:
    with pytest.raises(ModelFileError, match=r"\(Reshape\) cannot be computed"):
        load_onnx(save(baked(1 << 20), tmp_path / "net.onnx"))


def test_rows_that_hang_on_the_other_images_are_still_refused(tmp_path: Path) -> None:
    mean = N("ReduceMean", ["x"], ["m"], axes=[0])
    model = graph(
        [mean, N("Sub", ["x", "m"], ["v"]), N("Reshape", ["v", "t"], ["f"]), N("Gemm", ["f", "w"], ["y"])],
        [constant("t", [2, 16], np.int64), constant("w", np.random.default_rng(0).normal(size=(16, 3)))],
        opset=13,
    )
    with pytest.raises(ModelFileError, match="depends on the others"):
        load_onnx(save(model, tmp_path / "net.onnx"))
