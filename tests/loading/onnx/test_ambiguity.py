"""A value that a file gives twice is refused wherever it stands, by the importer and by the file report."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import AttributeProto, ModelProto, NodeProto, TensorProto, helper, numpy_helper

from tests.loading.onnx.onnx_networks import classifier, constant, save
from ti_core.errors import RefusedFileError
from ti_core.loading import describe_file, load_model
from ti_core.loading.findings import Severity
from ti_core.loading.onnx.ambiguity import given_twice

N = helper.make_node


def twice(tensor: TensorProto) -> TensorProto:
    """A tensor whose bytes are given, with other numbers beside them."""
    tensor.float_data.extend([7.0] * int(np.prod(tensor.dims)))
    return tensor


def initialiser() -> ModelProto:
    model = classifier()
    twice(model.graph.initializer[0])
    return model


def typed() -> ModelProto:
    """Two typed fields, no bytes."""
    model = classifier()
    weight = model.graph.initializer[0]
    numbers = numpy_helper.to_array(weight).ravel().tolist()
    weight.ClearField("raw_data")
    weight.float_data.extend(numbers)
    weight.int64_data.append(1)
    return model


def outside() -> ModelProto:
    model = classifier()
    model.graph.initializer[0].external_data.add(key="location", value="model.onnx.data")
    return model


def place() -> ModelProto:
    """The place in another file has two offsets."""
    model = classifier()
    weight = model.graph.initializer[0]
    weight.ClearField("raw_data")
    weight.data_location = TensorProto.EXTERNAL
    for key, value in (("location", "w"), ("offset", "0"), ("offset", "8")):
        weight.external_data.add(key=key, value=value)
    return model


def in_constant() -> ModelProto:
    node = N("Constant", [], ["c"], value=twice(constant("inner", [1.0])))
    return classifier(node, N("Add", ["x", "c"], ["v"]), source="v")


def in_tensors() -> ModelProto:
    """An attribute that is a list of tensors, which no operator here has."""
    node = N("Relu", ["x"], ["v"])
    node.attribute.append(helper.make_attribute("many", [constant("a", [1.0]), twice(constant("b", [1.0]))]))
    return classifier(node, source="v")


def in_sparse() -> ModelProto:
    values, indices = twice(constant("s", [1.0])), constant("i", [3], np.int64)
    model = classifier()
    model.graph.sparse_initializer.append(helper.make_sparse_tensor(values, indices, [9]))
    return model


def in_sparse_attribute() -> ModelProto:
    sparse = helper.make_sparse_tensor(constant("s", [1.0]), twice_int(constant("i", [3], np.int64)), [9])
    return classifier(N("Constant", [], ["c"], sparse_value=sparse), N("Relu", ["x"], ["v"]), source="v")


def twice_int(tensor: TensorProto) -> TensorProto:
    tensor.int64_data.append(5)
    return tensor


def in_branch() -> ModelProto:
    """The branch that is never taken."""

    def body(name: str, value: TensorProto) -> onnx.GraphProto:
        declared = helper.make_tensor_value_info(name, TensorProto.FLOAT, None)
        return helper.make_graph([N("Add", ["x", value.name], [name])], name, [], [declared], [value])

    choice = N(
        "If",
        ["yes"],
        ["v"],
        then_branch=body("a", constant("one", [1.0])),
        else_branch=body("b", twice(constant("two", [1.0]))),
    )
    return classifier(choice, source="v", constants=[constant("yes", True, np.bool_)])


def in_function() -> ModelProto:
    ops = [helper.make_opsetid("", 18), helper.make_opsetid("mine", 1)]
    inner = N("Constant", [], ["c"], value=twice(constant("inner", [1.0])))
    function = helper.make_function("mine", "Unused", ["a"], ["c"], [inner], ops)
    model = classifier(functions=[function])
    model.opset_import.append(ops[1])
    return model


def leaky() -> tuple[NodeProto, AttributeProto]:
    node = N("LeakyRelu", ["x"], ["v"], alpha=0.5)
    return node, node.attribute[0]


def attribute() -> ModelProto:
    node, alpha = leaky()
    alpha.floats.append(0.25)
    return classifier(node, source="v")


def attribute_of_zero() -> ModelProto:
    """The value of the attribute's own type is 0 and need not be written."""
    node, alpha = leaky()
    alpha.ClearField("f")
    alpha.i = 3
    return classifier(node, source="v")


def two_attributes() -> ModelProto:
    node, alpha = leaky()
    node.attribute.add().CopyFrom(alpha)
    return classifier(node, source="v")


def reference() -> ModelProto:
    node, alpha = leaky()
    alpha.ref_attr_name = "slope"
    return classifier(node, source="v")


def two_initialisers() -> ModelProto:
    model = classifier()
    model.graph.initializer.add().CopyFrom(model.graph.initializer[0])
    return model


def two_versions() -> ModelProto:
    model = classifier()
    model.opset_import.append(helper.make_opsetid("ai.onnx", 13))
    return model


TWICE: dict[str, tuple[Callable[[], ModelProto], str]] = {
    "an initialiser": (initialiser, "constant '.*' has its numbers in float_data and again in raw_data"),
    "typed fields": (typed, "in float_data and again in int64_data"),
    "another file too": (outside, "in external_data and again in raw_data"),
    "two places": (place, "gives the offset of its numbers in another file twice"),
    "a Constant": (in_constant, "constant 'inner' has its numbers in"),
    "a list of tensors": (in_tensors, "constant 'b' has its numbers in"),
    "a sparse initialiser": (in_sparse, "constant 's' has its numbers in"),
    "a sparse attribute": (in_sparse_attribute, "constant 'i' has its numbers in int64_data and again"),
    "a branch": (in_branch, "constant 'two' has its numbers in"),
    "a function": (in_function, "constant 'inner' has its numbers in"),
    "an attribute": (attribute, "attribute 'alpha' has a value in f and another in floats"),
    "an attribute of 0": (attribute_of_zero, "attribute 'alpha' has a value in f and another in i"),
    "two attributes": (two_attributes, "has two attributes 'alpha'"),
    "a reference": (reference, "'alpha' has a value in ref_attr_name and another in f"),
    "two initialisers": (two_initialisers, "has two constants"),
    "two versions": (two_versions, "two versions of the operators of the domain 'ai.onnx'"),
}


@pytest.mark.parametrize("where", TWICE)
def test_a_value_that_is_given_twice_is_refused(where: str, tmp_path: Path) -> None:
    make, says = TWICE[where]
    path = save(make(), tmp_path / "model.onnx")
    with pytest.raises(RefusedFileError, match=says) as caught:
        load_model(path)
    findings = describe_file(path).findings
    assert (Severity.REFUSED, str(caught.value)) in [(f.severity, f.sentence) for f in findings]


def test_what_exporters_write_is_given_once(tmp_path: Path) -> None:
    """Empty fields, values of 0, two names of one domain at one version, and numbers in any one field."""
    model = classifier(N("LeakyRelu", ["x"], ["v"], alpha=0.0), source="v")
    weight = model.graph.initializer[0]
    weight.float_data.extend(numpy_helper.to_array(weight).ravel().tolist())
    weight.raw_data = b""
    model.opset_import.append(helper.make_opsetid("ai.onnx", model.opset_import[0].version))
    assert given_twice(model) is None
    weight.ClearField("raw_data")
    assert describe_file(save(model, tmp_path / "model.onnx")).opens
    assert load_model(tmp_path / "model.onnx").classes == 3
