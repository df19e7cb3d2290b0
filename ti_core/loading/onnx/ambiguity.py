"""Values that an ONNX file gives twice.

Some programs read the first and some the second. A verdict on one network says nothing of the other.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from typing import Any

from onnx import AttributeProto, FunctionProto, GraphProto, ModelProto, NodeProto, TensorProto

from ti_core.loading.onnx.limits import shown

NUMBERS = ("float_data", "int32_data", "int64_data", "double_data", "uint64_data", "string_data")
"""The fields of a tensor that hold its numbers one by one; ``raw_data`` holds their bytes."""
VALUES: dict[int, str] = {
    AttributeProto.FLOAT: "f",
    AttributeProto.INT: "i",
    AttributeProto.STRING: "s",
    AttributeProto.TENSOR: "t",
    AttributeProto.GRAPH: "g",
    AttributeProto.SPARSE_TENSOR: "sparse_tensor",
    AttributeProto.TYPE_PROTO: "tp",
    AttributeProto.FLOATS: "floats",
    AttributeProto.INTS: "ints",
    AttributeProto.STRINGS: "strings",
    AttributeProto.TENSORS: "tensors",
    AttributeProto.GRAPHS: "graphs",
    AttributeProto.SPARSE_TENSORS: "sparse_tensors",
    AttributeProto.TYPE_PROTOS: "type_protos",
}
"""The field that holds an attribute's value, by the attribute's type."""


def given_twice(model: ModelProto) -> str | None:
    """A sentence on the first value that the file gives twice, or None.

    It looks at every part of the file, also at branches, functions, and nodes that no output needs.
    """
    for message in _messages(model):
        found = next(_doubles(message), None)
        if found is not None:
            return f"{found}. Programs would read different values; export the network again."
    return None


def _messages(message: Any) -> Iterator[Any]:
    """The message and all messages inside it."""
    yield message
    if isinstance(message, TensorProto):
        # Listing its fields would copy all its numbers.
        return
    for field, value in message.ListFields():
        if field.message_type is not None:
            for inner in (value,) if hasattr(value, "ListFields") else value:
                yield from _messages(inner)


def _doubles(message: Any) -> Iterator[str]:
    if isinstance(message, TensorProto):
        yield from _numbers(message)
    elif isinstance(message, AttributeProto):
        yield from _value(message)
    elif isinstance(message, NodeProto):
        whose = f"The node '{shown(message.name)}' ({shown(message.op_type)})"
        for name in _repeated(attribute.name for attribute in message.attribute):
            yield f"{whose} has two attributes '{name}'"
    elif isinstance(message, GraphProto):
        for name in _repeated(tensor.name for tensor in message.initializer):
            yield f"The graph has two constants '{name}'"
    elif isinstance(message, (ModelProto, FunctionProto)):
        versions = {(_domain(one.domain), one.version) for one in message.opset_import}
        for name in _repeated(domain for domain, _ in versions):
            yield f"The file names two versions of the operators of the domain '{name or 'ai.onnx'}'"


def _numbers(tensor: TensorProto) -> Iterator[str]:
    places = [name for name in NUMBERS if len(getattr(tensor, name))]
    if tensor.data_location == TensorProto.EXTERNAL or tensor.external_data:
        places.append("external_data")
    if places and tensor.HasField("raw_data") and tensor.raw_data:
        places.append("raw_data")
    whose = f"The constant '{shown(tensor.name)}'"
    if len(places) > 1:
        yield f"{whose} has its numbers in {places[0]} and again in {places[1]}"
    for name in _repeated(entry.key for entry in tensor.external_data):
        yield f"{whose} gives the {name} of its numbers in another file twice"


def _value(attribute: AttributeProto) -> Iterator[str]:
    names = VALUES.values()
    places = [
        field.name for field, value in attribute.ListFields() if field.name in names and _is_given(value)
    ]
    own = "ref_attr_name" if attribute.ref_attr_name else VALUES.get(attribute.type)
    if own is not None:
        # A value of 0 need not be written, so that the field of the attribute's type counts in any case.
        places = [own, *(name for name in places if name != own)]
    if len(places) > 1:
        whose = f"The attribute '{shown(attribute.name)}'"
        yield f"{whose} has a value in {places[0]} and another in {places[1]}"


def _is_given(value: Any) -> bool:
    return True if hasattr(value, "ListFields") else bool(value)


def _domain(domain: str) -> str:
    return "" if domain == "ai.onnx" else domain


def _repeated(names: Iterable[str]) -> list[str]:
    return [shown(name) for name, count in Counter(names).items() if count > 1]
