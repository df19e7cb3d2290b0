"""What the importer refuses, and the sentence it says."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper

from tests.loading.onnx.onnx_networks import classifier, constant, graph, save
from ti_core.errors import ModelFileError, RefusedFileError
from ti_core.loading import model_file
from ti_core.loading.onnx import limits, load_onnx

N = helper.make_node
BOOL = constant("yes", True, np.bool_)


def _body(name: str) -> onnx.GraphProto:
    value = helper.make_tensor_value_info(name, TensorProto.FLOAT, None)
    return helper.make_graph([N("Relu", ["x"], [name])], name, [], [value])


def _if(condition: str) -> onnx.NodeProto:
    return N("If", [condition], ["v"], name="choice", then_branch=_body("a"), else_branch=_body("b"))


def _loop() -> onnx.ModelProto:
    return classifier(
        N("Loop", ["", "yes", "x"], ["v"], name="again", body=_body("a")), source="v", constants=[BOOL]
    )


def _varying_if() -> onnx.ModelProto:
    nodes = [
        N("ReduceMax", ["x"], ["top"], keepdims=0),
        N("Cast", ["top"], ["c"], to=TensorProto.BOOL),
        _if("c"),
    ]
    return classifier(*nodes, source="v")


def _sparse() -> onnx.ModelProto:
    model = classifier(shape=[1, 1, 4, 4])
    values, indices = constant("s", [1.0]), constant("i", [3], np.int64)
    model.graph.sparse_initializer.append(helper.make_sparse_tensor(values, indices, [9]))
    return model


def _recursive() -> onnx.ModelProto:
    ops = [helper.make_opsetid("", 18), helper.make_opsetid("mine", 1)]
    call = N("Self", ["a"], ["b"], domain="mine")
    function = helper.make_function("mine", "Self", ["a"], ["b"], [call], ops)
    model = classifier(N("Self", ["x"], ["v"], domain="mine", name="start"), source="v", functions=[function])
    model.opset_import.append(ops[1])
    return model


def _exploding() -> onnx.ModelProto:
    """Fifteen functions, each calling the next one ten times."""
    ops = [helper.make_opsetid("", 18), helper.make_opsetid("mine", 1)]
    functions = []
    for i in range(15):
        inner = ("Relu", "") if i == 14 else (f"f{i + 1}", "mine")
        calls = [N(inner[0], ["a" if j == 0 else f"t{j}"], [f"t{j + 1}"], domain=inner[1]) for j in range(10)]
        functions.append(helper.make_function("mine", f"f{i}", ["a"], ["t10"], calls, ops))
    model = classifier(N("f0", ["x"], ["v"], domain="mine"), source="v", functions=functions)
    model.opset_import.append(ops[1])
    return model


def _doubling() -> onnx.ModelProto:
    nodes = [N("Concat", ["x" if i == 0 else f"v{i}"] * 2, [f"v{i + 1}"], axis=1) for i in range(60)]
    return classifier(*nodes, source="v60")


def _with(operator: str, *constants: tuple[Any, Any], **attributes: Any) -> onnx.ModelProto:
    """One operator on the image and constants, as a classifier."""
    names = [f"c{i}" for i in range(len(constants))]
    tensors = [constant(n, v, k) for n, (v, k) in zip(names, constants, strict=True)]
    return classifier(
        N(operator, ["x", *names], ["v"], name="big", **attributes), source="v", constants=tensors
    )


def _without_image(operator: str, value: Any, **attributes: Any) -> onnx.ModelProto:
    node = N(operator, ["c"], ["v"], name="big", **attributes)
    add = N("Add", ["x", "v"], ["u"])
    return classifier(node, add, source="u", constants=[constant("c", value, np.int64)])


BIG = 10**7
INT = np.int64
REFUSED: dict[str, tuple[Any, str]] = {
    "loop": (_loop, "'again' .Loop. is a loop"),
    "scan": (
        lambda: classifier(N("Scan", ["x"], ["v"], num_scan_inputs=1, body=_body("a")), source="v"),
        "is a loop",
    ),
    "varying if": (_varying_if, "branches on something that is not constant"),
    "custom domain": (
        lambda: classifier(N("Evil", ["x"], ["v"], domain="my.own"), source="v"),
        "custom domain 'my.own'",
    ),
    "sparse": (_sparse, "sparse constants"),
    "recursion": (_recursive, "functions more than 16 deep"),
    "exploding functions": (_exploding, "more than 5,000 nodes"),
    "doubling": (_doubling, "numbers, beyond"),
    "constant of shape": (
        lambda: _without_image("ConstantOfShape", [BIG, BIG]),
        "'big' .ConstantOfShape. asks for",
    ),
    "expand": (lambda: _with("Expand", ([BIG, 1, BIG, 4], INT)), "asks for"),
    "tile": (lambda: _with("Tile", ([1, BIG, 1, BIG], INT)), "asks for"),
    "pad": (lambda: _with("Pad", ([0, 0, BIG, BIG, 0, 0, 0, 0], INT)), "asks for"),
    "resize": (lambda: _with("Resize", ([], np.float32), ([1, 1, 1e8, 1e8], np.float32)), "asks for"),
    "convolution": (lambda: _with("Conv", (np.ones((1, 1, 1, 1)), np.float32), pads=[BIG] * 4), "asks for"),
    "transposed": (
        lambda: _with("ConvTranspose", (np.ones((1, 1, 1, 1)), np.float32), strides=[BIG, BIG]),
        "asks for",
    ),
    "pool": (lambda: _with("AveragePool", kernel_shape=[1, 1], pads=[BIG] * 4), "asks for"),
    "gather": (lambda: _with("Gather", (np.zeros((1 << 9, 1 << 8)), INT)), "asks for"),
    "product": (
        lambda: _with("Einsum", (np.zeros(1 << 17), np.float32), equation="nchw,k->nchwk"),
        "asks for",
    ),
    "range": (lambda: _range(), "asks for"),
}


def _range() -> onnx.ModelProto:
    tensors = [constant("a", 0, INT), constant("b", 1 << 60, INT), constant("c", 1, INT)]
    nodes = [
        N("Range", ["a", "b", "c"], ["r"], name="big"),
        N("Cast", ["r"], ["f"], to=1),
        N("Add", ["x", "f"], ["u"]),
    ]
    return classifier(*nodes, source="u", constants=tensors)


@pytest.mark.parametrize("name", REFUSED)
def test_refused(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "MAX_NUMBERS", 1 << 20)
    monkeypatch.setattr(limits, "MAX_NODES", 5_000)
    make, sentence = REFUSED[name]
    with pytest.raises(RefusedFileError, match=sentence) as caught:
        load_onnx(save(make(), tmp_path / "model.onnx"))
    _one_sentence(caught.value)


def test_an_unsupported_operator_is_named_with_its_node(tmp_path: Path) -> None:
    model = classifier(N("NonMaxSuppression", ["x", "x"], ["v"], name="block/odd"), source="v")
    with pytest.raises(ModelFileError, match=r"'block/odd' \(NonMaxSuppression\).*not supported"):
        load_onnx(save(model, tmp_path / "model.onnx"))


UNFIT: dict[str, tuple[Any, str]] = {
    "old opset": (lambda: classifier(opset=6), "opset 6; opsets 7 to"),
    "future opset": (lambda: classifier(opset=99), "opset 99"),
    "unknown attribute": (lambda: _with("Relu6", odd=1), "not supported"),
    "a name that steers a terminal": (
        lambda: classifier(N("Relu6", ["x"], ["v"], name="a\x1b[31m\nb"), source="v"),
        r"'a\?\[31m\?b' \(Relu6\)",
    ),
    "odd attribute": (lambda: _with("LeakyRelu", odd=1), "attribute 'odd'"),
    "too many inputs": (lambda: _with("LeakyRelu", (1, np.float32)), "has 2 inputs, of which 1"),
    "shape from pixels": (
        lambda: classifier(
            N("Cast", ["x"], ["i"], to=7),
            N("Flatten", ["i"], ["f"]),
            N("Reshape", ["x", "f"], ["v"]),
            source="v",
        ),
        "from the pixels",
    ),
    "long list": (
        lambda: classifier(
            N("Reshape", ["x", "shape"], ["v"]),
            source="v",
            constants=[constant("shape", [1] * 5_000, np.int64)],
        ),
        "a tensor of 5,000 numbers as a list; the limit is 4,096",
    ),
    "count from pixels": (
        lambda: classifier(N("NonZero", ["x"], ["i"]), N("Cast", ["i"], ["v"], to=1), source="v"),
        "a number of values that depends on the pixels",
    ),
    "training": (
        lambda: _with("BatchNormalization", *[([1.0], np.float32)] * 4, training_mode=1),
        "'big' .BatchNormalization. is in training mode: .* the others of its batch.* eval",
    ),
    "training of old": (lambda: _old_training(), "is in training mode"),
    "a batch that answers together": (lambda: _together(), "depends on the others"),
    "two inputs": (lambda: _two_inputs(), "has 2: 'x', 'other'"),
    "flat images": (lambda: classifier(shape=["n", 16]), "shape . x 16, not images"),
    "whole numbers": (
        lambda: classifier(shape=["n", 1, 4, 4], kind=TensorProto.INT64),
        "holds int64, not pixels",
    ),
    "no scores": (lambda: graph([N("Relu", ["x"], ["y"])]), "No output of the graph .* 'y' 1 x 1 x 4 x 4"),
    "one score": (
        lambda: graph([N("ReduceMean", ["x"], ["y"], keepdims=0, axes=[2, 3])], opset=13),
        "No output",
    ),
    "constant scores": (lambda: _constant_scores(), "'y' constant"),
    "missing value": (lambda: classifier(source="nowhere"), "'nowhere', which nothing before it computes"),
    "wrong shape": (lambda: classifier(features=17), "'head' .Gemm. cannot be computed"),
    "not finite": (
        lambda: classifier(N("Div", ["x", "z"], ["v"]), source="v", constants=[constant("z", 0.0)]),
        "finite",
    ),
    "twice": (lambda: classifier(N("Relu", ["x"], ["a"]), N("Relu", ["x"], ["a"]), source="a"), "'a' twice"),
    "strings": (lambda: _strings(), "element type string"),
    "division": (lambda: _division(), "cannot be computed"),
}


def _two_inputs() -> onnx.ModelProto:
    model = classifier(N("Add", ["x", "other"], ["v"]), source="v")
    model.graph.input.append(helper.make_tensor_value_info("other", TensorProto.FLOAT, [1]))
    return model


def _old_training() -> onnx.ModelProto:
    """Before opset 14 the outputs tell it."""
    ones = [constant(n, [1.0]) for n in "abcd"]
    node = N("BatchNormalization", ["x", *"abcd"], ["v", "m", "s", "own_m", "own_s"])
    return classifier(node, source="v", constants=ones, opset=13)


def _together() -> onnx.ModelProto:
    """Each image less the mean of the two that go through at once."""
    nodes = [N("ReduceMean", ["x"], ["m"], axes=[0]), N("Sub", ["x", "m"], ["v"])]
    return classifier(*nodes, source="v", shape=[2, 1, 4, 4], opset=17)


def _constant_scores() -> onnx.ModelProto:
    nodes = [
        N("Shape", ["x"], ["s"], end=1),
        N("Concat", ["s", "three"], ["t"], axis=0),
        N("ConstantOfShape", ["t"], ["y"]),
    ]
    return graph(nodes, [constant("three", [3], np.int64)])


def _strings() -> onnx.ModelProto:
    model = classifier()
    model.graph.initializer.append(helper.make_tensor("s", TensorProto.STRING, [1], [b"text"]))
    return model


def _division() -> onnx.ModelProto:
    nodes = [N("Div", ["a", "zero"], ["b"]), N("Cast", ["b"], ["f"], to=1), N("Add", ["x", "f"], ["u"])]
    return classifier(
        *nodes, source="u", constants=[constant("a", 1, np.int64), constant("zero", 0, np.int64)]
    )


@pytest.mark.parametrize("name", UNFIT)
def test_unfit(name: str, tmp_path: Path) -> None:
    make, sentence = UNFIT[name]
    with pytest.raises(ModelFileError, match=sentence) as caught:
        load_onnx(save(make(), tmp_path / "model.onnx"))
    _one_sentence(caught.value)


def test_the_smallest_integer_over_minus_one_does_not_end_the_program(tmp_path: Path) -> None:
    nodes = [N(o, ["a", "b"], [o]) for o in ("Div", "Mod")]
    nodes += [N("Add", ["Div", "Mod"], ["i"]), N("Cast", ["i"], ["f"], to=1), N("Mul", ["x", "f"], ["u"])]
    constants = [constant("a", -(2**63), np.int64), constant("b", -1, np.int64)]
    load_onnx(save(classifier(*nodes, source="u", constants=constants), tmp_path / "model.onnx"))


def test_not_onnx(tmp_path: Path) -> None:
    for content in (b"", b"\x80\x02}q\x00.", b"PK\x03\x04" + bytes(100), b"\xff" * 100):
        path = tmp_path / "model.onnx"
        path.write_bytes(content)
        with pytest.raises(ModelFileError) as caught:
            load_onnx(path)
        _one_sentence(caught.value)


def test_not_a_plain_file(tmp_path: Path) -> None:
    with pytest.raises(ModelFileError):
        load_onnx(tmp_path)
    with pytest.raises(ModelFileError, match="No such file"):
        load_onnx(tmp_path / "missing.onnx")


def test_declared_sizes_are_checked_before_anything_is_allocated(tmp_path: Path) -> None:
    for dims in ([1 << 40], [1 << 20, 1 << 20, 1 << 20], [-4, -4], [2] * 40, [17]):
        model = classifier(shape=[1, 1, 4, 4])
        model.graph.initializer[0].dims[:] = dims
        with pytest.raises(ModelFileError) as caught:
            load_onnx(save(model, tmp_path / "model.onnx"))
        _one_sentence(caught.value)


def test_giant_declared_images_are_refused(tmp_path: Path) -> None:
    for shape in ([1, 3, 1 << 20, 1 << 20], [1 << 30, 1, 4, 4]):
        with pytest.raises(RefusedFileError, match="beyond the limits"):
            load_onnx(save(classifier(shape=shape), tmp_path / "model.onnx"))


def test_graphs_beyond_the_size_limit_are_not_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = save(classifier(), tmp_path / "model.onnx")
    monkeypatch.setattr(model_file, "LIMITS", dataclasses.replace(model_file.LIMITS, file_bytes=100))
    with pytest.raises(RefusedFileError, match="bytes; the limit for such a file is 100 bytes"):
        load_onnx(path)


def _one_sentence(error: Exception) -> None:
    text = str(error)
    assert text.endswith(".")
    assert "\n" not in text
    assert len(text) < 600
