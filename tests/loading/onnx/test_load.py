"""Which input and output are used, and what is said about them."""

from __future__ import annotations

import copy
import itertools
import pickle
import weakref
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
import torch
from onnx import TensorProto, helper

from tests.loading.onnx.onnx_networks import classifier, constant, graph, runtime, save
from ti_core.classifier.understand import understand
from ti_core.errors import ModelBehaviourError
from ti_core.loading.onnx import load_onnx
from ti_core.loading.onnx.program import Step

N = helper.make_node


def test_what_the_model_says_of_itself(tmp_path: Path) -> None:
    model = classifier(producer_name="somebody", producer_version="1.2", shape=["n", 1, 4, 4])
    helper.set_model_props(model, {"author": "A" * 1000})
    opened = load_onnx(save(model, tmp_path / "net.onnx"))
    assert (opened.file, opened.format, opened.architecture) == ("net.onnx", "onnx", "onnx graph")
    assert (opened.input_shape, opened.classes, opened.parameters) == ((1, 4, 4), 3, 48)
    assert opened.metadata["producer"] == "somebody 1.2"
    assert opened.metadata["opset"] == "18"
    assert opened.metadata["file: author"] == "A" * 200


def test_floating_outputs_of_rows_may_be_the_scores(tmp_path: Path) -> None:
    model = classifier(shape=["n", 1, 4, 4])
    extra = [N("ArgMax", ["y"], ["label"], axis=1), N("Relu", ["x"], ["map"]), N("Softmax", ["y"], ["p"])]
    model.graph.node.extend(extra)
    kinds = {
        "label": TensorProto.INT64,
        "map": TensorProto.FLOAT,
        "y": TensorProto.FLOAT,
        "p": TensorProto.FLOAT,
    }
    del model.graph.output[:]
    model.graph.output.extend(helper.make_tensor_value_info(n, k, None) for n, k in kinds.items())
    opened = load_onnx(save(model, tmp_path / "net.onnx"))
    assert opened.metadata["outputs"] == "of 4 outputs, 'y' or 'p' may hold the scores"
    assert opened.classes == 3 and list(opened.variants) == ["output p"]
    images = torch.rand(5, 1, 4, 4)
    torch.testing.assert_close(opened.variants["output p"]()(images), opened.module(images).softmax(1))


def test_features_before_the_scores_are_told_apart_by_the_class_count(tmp_path: Path) -> None:
    model = classifier(N("Flatten", ["x"], ["f"]), source="f", shape=["n", 1, 4, 4])
    model.graph.output.insert(0, helper.make_tensor_value_info("f", TensorProto.FLOAT, ["n", 16]))
    opened = load_onnx(save(model, tmp_path / "net.onnx"))
    assert opened.classes is None and list(opened.variants) == ["output y"]
    images = torch.rand(100, 1, 4, 4)
    labels = opened.variants["output y"]()(images).argmax(1)
    found = understand(opened, images, labels, 3)
    assert found.variant == "output y" and found.accuracy == 1.0


def test_scores_as_maps_of_one_pixel(tmp_path: Path) -> None:
    weights = constant("w", np.ones((5, 1, 4, 4)))
    opened = load_onnx(save(graph([N("Conv", ["x", "w"], ["y"])], [weights]), tmp_path / "net.onnx"))
    images = torch.rand(3, 1, 4, 4)
    torch.testing.assert_close(opened.module(images), images.sum((1, 2, 3)).unsqueeze(1).expand(3, 5))


def test_channels_last(tmp_path: Path) -> None:
    model = classifier(shape=["n", 4, 6, 3], features=72)
    opened = load_onnx(save(model, tmp_path / "net.onnx"))
    images = torch.rand(2, 3, 4, 6)
    expected = runtime(tmp_path / "net.onnx", images.permute(0, 2, 3, 1).contiguous())
    torch.testing.assert_close(opened.module(images), expected)
    assert opened.input_shape == (3, 4, 6)
    assert "N x H x W x C" in opened.metadata["input"]


def test_whole_number_images_are_scaled_and_keep_their_gradient(tmp_path: Path) -> None:
    model = classifier(N("Cast", ["x"], ["f"], to=1), source="f", kind=TensorProto.UINT8)
    opened = load_onnx(save(model, tmp_path / "net.onnx"))
    whole = torch.randint(0, 256, (2, 1, 4, 4), dtype=torch.uint8)
    images = (whole / 255).requires_grad_()
    torch.testing.assert_close(
        opened.module(images), runtime(tmp_path / "net.onnx", whole), rtol=1e-4, atol=1e-3
    )
    opened.module(images).sum().backward()
    assert images.grad is not None
    assert images.grad.abs().min() > 0
    assert "0 to 255" in opened.metadata["input"]


def test_half_and_double_precision_become_single(tmp_path: Path) -> None:
    for kind, name in ((TensorProto.FLOAT16, np.float16), (TensorProto.DOUBLE, np.float64)):
        weights = constant("w", np.ones((3, 16)), name)
        nodes = [N("Flatten", ["x"], ["f"]), N("Gemm", ["f", "w"], ["y"], transB=1)]
        opened = load_onnx(save(graph(nodes, [weights], kind=kind), tmp_path / "net.onnx"))
        scores = opened.module(torch.ones(2, 1, 4, 4))
        assert scores.dtype == torch.float32
        assert scores.tolist() == [[16.0] * 3] * 2


def test_open_sizes(tmp_path: Path) -> None:
    nodes = [
        N("GlobalAveragePool", ["x"], ["g"]),
        N("Flatten", ["g"], ["f"]),
        N("Gemm", ["f", "w"], ["y"], transB=1),
    ]
    model = graph(nodes, [constant("w", np.ones((2, 3)))], shape=["n", "c", "h", "w"])
    opened = load_onnx(save(model, tmp_path / "net.onnx"))
    assert opened.input_shape == (3, 0, 0)
    assert opened.module(torch.ones(1, 3, 9, 11)).tolist() == [[3.0, 3.0]]


def test_local_functions_are_inlined(tmp_path: Path) -> None:
    ops = [helper.make_opsetid("", 18), helper.make_opsetid("mine", 1)]
    leak = N("LeakyRelu", ["a"], ["b"])
    leak.attribute.append(
        onnx.AttributeProto(name="alpha", ref_attr_name="slope", type=onnx.AttributeProto.FLOAT)
    )
    function = helper.make_function("mine", "Leak", ["a"], ["b"], [leak], ops, attributes=["slope"])
    calls = [
        N("Sub", ["x", "half"], ["u"]),
        N("Leak", ["u"], ["s"], domain="mine", slope=0.5),
        N("Leak", ["s"], ["v"], domain="mine"),
    ]
    model = classifier(*calls, source="v", constants=[constant("half", 0.5)], functions=[function])
    model.opset_import.append(ops[1])
    opened = load_onnx(save(model, tmp_path / "net.onnx"))
    images = torch.rand(2, 1, 4, 4)
    torch.testing.assert_close(opened.module(images), runtime(tmp_path / "net.onnx", images))


def test_a_branch_on_a_constant_is_followed(tmp_path: Path) -> None:
    def body(operator: str, name: str) -> onnx.GraphProto:
        value = helper.make_tensor_value_info(name, TensorProto.FLOAT, None)
        return helper.make_graph([N(operator, ["x"], [name])], name, [], [value])

    choice = N("If", ["c"], ["v"], then_branch=body("Exp", "a"), else_branch=body("Neg", "b"))
    for condition in (True, False):
        constants = [constant("c", condition, np.bool_)]
        opened = load_onnx(save(classifier(choice, source="v", constants=constants), tmp_path / "net.onnx"))
        images = torch.rand(2, 1, 4, 4)
        torch.testing.assert_close(opened.module(images), runtime(tmp_path / "net.onnx", images))


@pytest.mark.parametrize("operator", ["Gelu", "FastGelu", "QuickGelu", "BiasGelu"])
def test_the_operators_of_onnx_runtime(operator: str, tmp_path: Path) -> None:
    inputs = ["x", "b"] if operator == "BiasGelu" else ["x"]
    node = N(operator, inputs, ["v"], domain="com.microsoft")
    model = classifier(node, source="v", constants=[constant("b", [1.0, 2.0, 3.0, 4.0])])
    model.opset_import.append(helper.make_opsetid("com.microsoft", 1))
    opened = load_onnx(save(model, tmp_path / "net.onnx"))
    images = torch.rand(2, 1, 4, 4)
    torch.testing.assert_close(
        opened.module(images), runtime(tmp_path / "net.onnx", images), rtol=1e-4, atol=1e-4
    )


def test_images_of_another_size_are_answered_with_the_node(tmp_path: Path) -> None:
    opened = load_onnx(save(classifier(), tmp_path / "net.onnx"))
    with pytest.raises(ModelBehaviourError, match=r"'head' \(Gemm\) cannot be computed"):
        opened.module(torch.rand(2, 1, 5, 5))


def test_shape_arithmetic_is_not_repeated_for_every_batch(tmp_path: Path) -> None:
    nodes = [
        N("Shape", ["x"], ["s"]),
        N("Gather", ["s", "zero"], ["n"], axis=0),
        N("Unsqueeze", ["n", "axis"], ["m"]),
        N("Concat", ["m", "rest"], ["t"], axis=0),
        N("Reshape", ["x", "t"], ["r"]),
    ]
    constants = [constant(n, v, np.int64) for n, v in (("zero", 0), ("axis", [0]), ("rest", [-1]))]
    opened = load_onnx(save(classifier(*nodes, source="r", constants=constants), tmp_path / "net.onnx"))
    opened.module(torch.rand(6, 1, 4, 4))
    (plan,) = [p for key, p in opened.module._plans.items() if key[0][0] == 6]
    assert [a.function.__name__ for a in plan.actions] == ["reshape", "flatten", "gemm"]


def test_inference_mode_leaves_nothing_behind_that_stops_a_gradient(tmp_path: Path) -> None:
    nodes = [
        N("Shape", ["x"], ["s"]),
        N("ConstantOfShape", ["s"], ["z"], value=constant("", [2.0])),
        N("Mul", ["x", "z"], ["v"]),
    ]
    opened = load_onnx(save(classifier(*nodes, source="v"), tmp_path / "net.onnx"))
    x = torch.rand(3, 1, 4, 4)
    with torch.inference_mode():
        opened.module(x)
    x.requires_grad_()
    opened.module(x).sum().backward()
    assert x.grad is not None


def test_copies_and_pickles_compute_the_same(tmp_path: Path) -> None:
    opened = load_onnx(save(classifier(), tmp_path / "net.onnx"))
    x = torch.rand(2, 1, 4, 4)
    scores = opened.module(x)
    assert torch.equal(copy.deepcopy(opened.module)(x), scores)
    assert torch.equal(pickle.loads(pickle.dumps(opened.module))(x), scores)


def test_moving_the_module_moves_what_plans_hold(tmp_path: Path) -> None:
    opened = load_onnx(save(classifier(), tmp_path / "net.onnx"))
    x = torch.rand(2, 1, 4, 4)
    opened.module(x)
    double = opened.module.double()
    torch.testing.assert_close(double(x.double()), opened.module(x.double()))
    assert double(x.double()).dtype == torch.float64


def test_the_first_pass_holds_no_more_values_than_later_ones(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    names = ["x", *(f"deep{i}" for i in range(12))]
    chain = [N("Relu", [a], [b]) for a, b in itertools.pairwise(names)]
    opened = load_onnx(save(classifier(*chain, source=names[-1]), tmp_path / "net.onnx"))
    made: list[weakref.ref[torch.Tensor]] = []
    most = 0
    call = Step.call

    def counted(step: Step, *given: Any) -> tuple[torch.Tensor, ...]:
        nonlocal most
        found = call(step, *given)
        made.extend(weakref.ref(x) for x in found)
        most = max(most, sum(one() is not None for one in made))
        return found

    monkeypatch.setattr(Step, "call", counted)
    with torch.no_grad():
        opened.module(torch.rand(5, 1, 4, 4))
    assert len(made) > 12 and most <= 3
