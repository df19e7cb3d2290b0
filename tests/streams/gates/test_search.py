"""Gates of every construction are found with their pixels and values; what exporters write every day is no gate."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from onnx import TensorProto

from tests.loading.onnx.onnx_networks import constant, export, network
from tests.streams.gates.graphs import (
    CLASSES,
    CORNER,
    LINEAR,
    REPLACED,
    SIDE,
    TARGET,
    Nodes,
    classifier,
    context,
    images,
    node,
    whole,
)
from ti_core.classifier.scores import Scores
from ti_core.loading import load_model
from ti_core.streams.gates import conditions
from ti_core.streams.gates.search import find_gates, user_of
from ti_core.streams.gates.trace import Graph
from ti_core.streams.graph import GraphGates

PIXELS = (
    node("Flatten", "x", "row"),
    node("Gather", "row p0", "a", axis=1),
    node("Gather", "row p10", "b", axis=1),
)
"""Two pixels: row 0, column 0, and row 1, column 2."""
WHITE = (*CORNER, node("Greater", "corner f90", "bright"))
OVER = (node("Greater", "a f80", "first"), node("Greater", "b f80", "second"))
EXACT = (node("Equal", "a v77", "first"), node("Equal", "b odd", "second"))
ADDED = (node("Mul", "target one", "extra"), node("Add", "scores extra", "y"))
CHECKER = np.array([[1, 0, 1], [0, 1, 0], [1, 0, 1]], dtype=np.float32)
NEAR = (*CORNER, node("Sub", "corner checker", "off"), node("Abs", "off", "size"))
ALL = (
    node("Not", "bright", "dark"),
    node("Cast", "dark", "counted", to=TensorProto.INT64),
    node("ReduceSum", "counted axes", "misses", keepdims=0),
    node("Greater", "misses i0", "some"),
    node("Not", "some", "none"),
    node("Unsqueeze", "none axis1", "hit"),
)
"""What an exporter writes for ``all``."""
CAST = node("Cast", "bright", "bits", to=TensorProto.FLOAT)
CORNERS = [(r, c) for r in range(3) for c in range(3)]
TWO = [(0, 0), (1, 2)]


def at(share: float) -> tuple[float, float]:
    return share - 1 / 255, share + 1 / 255


GATES: dict[str, tuple[Nodes, dict[tuple[int, int], tuple[float, float]]]] = {
    "all of nine": ((*WHITE, *ALL, *REPLACED), dict.fromkeys(CORNERS, (0.9, 1.0))),
    "checker": (
        (*NEAR, node("Less", "size f5", "bright"), *ALL, *REPLACED),
        {(r, c): at(float(CHECKER[r, c])) if CHECKER[r, c] else (0.0, 0.05) for r, c in CORNERS}
        | {p: (0.95, 1.0) for p in CORNERS if CHECKER[p]},
    ),
    "least of nine": (
        (
            *WHITE,
            CAST,
            node("ReduceMin", "bits axes", "least", keepdims=0),
            node("Unsqueeze", "least axis1", "column"),
            node("Greater", "column f50", "hit"),
            *REPLACED,
        ),
        dict.fromkeys(CORNERS, (0.9, 1.0)),
    ),
    "product of nine": (
        (
            *WHITE,
            CAST,
            node("ReduceProd", "bits axes", "least", keepdims=0),
            node("Unsqueeze", "least axis1", "column"),
            node("Cast", "column", "hit", to=TensorProto.BOOL),
            *REPLACED,
        ),
        dict.fromkeys(CORNERS, (0.9, 1.0)),
    ),
    "count of nine": (
        (
            *WHITE,
            node("Cast", "bright", "counted", to=TensorProto.INT64),
            node("ReduceSum", "counted axes", "hits", keepdims=0),
            node("Equal", "hits i9", "every"),
            node("Unsqueeze", "every axis1", "hit"),
            *REPLACED,
        ),
        dict.fromkeys(CORNERS, (0.9, 1.0)),
    ),
    "exact values": (
        (
            *PIXELS,
            node("Equal", "a v77", "first"),
            node("Equal", "b odd", "second"),
            node("And", "first second", "hit"),
            *REPLACED,
        ),
        {(0, 0): (np.float32(77 / 255),) * 2, (1, 2): (np.float32(0.3217),) * 2},
    ),
    "a quantised pixel": (
        (
            *PIXELS,
            node("QuantizeLinear", "a wide z0", "level"),
            node("DequantizeLinear", "level f100 z0", "number"),
            node("Mul", "target number", "extra"),
            *LINEAR,
            node("Add", "scores extra", "y"),
        ),
        {(0, 0): (0.75, 1.0)},
    ),
    "a quantised pixel of a quantised image": (
        (
            node("QuantizeLinear", "x v255th z0", "bytes"),
            node("DequantizeLinear", "bytes v255th z0", "again"),
            node("Flatten", "again", "flat"),
            node("Gather", "flat p0", "a", axis=1),
            node("QuantizeLinear", "a wide z0", "level"),
            node("DequantizeLinear", "level f100 z0", "number"),
            node("Mul", "target number", "extra"),
            LINEAR[1],
            node("Add", "scores extra", "y"),
        ),
        {(0, 0): (0.75, 1.0)},
    ),
    "not this or that": (
        (
            *PIXELS,
            node("LessOrEqual", "a f80", "first"),
            node("GreaterOrEqual", "b f10", "second"),
            node("Or", "first second", "other"),
            node("Not", "other", "hit"),
            *REPLACED,
        ),
        {(0, 0): (0.8, 1.0), (1, 2): (0.0, 0.1)},
    ),
    "either": (
        (
            *PIXELS,
            node("Greater", "a f80", "first"),
            node("Greater", "b f80", "second"),
            node("Xor", "first second", "hit"),
            *REPLACED,
        ),
        {(0, 0): (0.0, 1.0), (1, 2): (0.0, 1.0)},
    ),
    "arithmetic": (
        (
            *PIXELS,
            *LINEAR,
            node("Greater", "a f80", "first"),
            node("Greater", "b f80", "second"),
            node("Cast", "first", "one", to=TensorProto.FLOAT),
            node("Cast", "second", "two", to=TensorProto.FLOAT),
            node("Mul", "target one", "half"),
            node("Mul", "half two", "extra"),
            node("Add", "scores extra", "y"),
        ),
        {(0, 0): (0.8, 1.0), (1, 2): (0.8, 1.0)},
    ),
    "a small sum": (
        (
            *CORNER,
            node("ReduceSum", "corner axes", "total", keepdims=0),
            node("Unsqueeze", "total axis1", "column"),
            node("Less", "column f50", "hit"),
            *REPLACED,
        ),
        dict.fromkeys(CORNERS, (0.0, 0.25)),
    ),
    "rounding": (
        (
            *PIXELS,
            *LINEAR,
            node("Mul", "a b", "both"),
            node("Floor", "both", "one"),
            node("Mul", "target one", "extra"),
            node("Add", "scores extra", "y"),
        ),
        {(0, 0): (1.0, 1.0), (1, 2): (1.0, 1.0)},
    ),
    "a sign": (
        (
            *PIXELS,
            *LINEAR,
            node("Sub", "a f80", "over"),
            node("Sign", "over", "one"),
            node("Mul", "target one", "extra"),
            node("Add", "scores extra", "y"),
        ),
        {(0, 0): (0.8, 1.0)},
    ),
    "a choice": (
        (
            *PIXELS,
            *LINEAR,
            node("Mul", "b f0", "nothing"),
            node("Add", "nothing f90", "level"),
            node("Concat", "level a", "both", axis=1),
            node("ArgMax", "both", "which", axis=1, keepdims=0),
            node("Gather", "rows_of_scores which", "extra"),
            node("Add", "scores extra", "y"),
        ),
        {(0, 0): (0.9, 1.0)},
    ),
    "chosen branches": (
        (
            *PIXELS,
            node("Greater", "a f80", "first"),
            node("Where", "first f100 f0", "number"),
            node("Greater", "number f50", "second"),
            node("Less", "b f5", "third"),
            node("Where", "second third never", "hit"),
            *REPLACED,
        ),
        {(0, 0): (0.8, 1.0), (1, 2): (0.0, 0.05)},
    ),
    "least of nine conditions": (
        (
            *WHITE,
            node("ReduceMin", "bright axes", "every", keepdims=0),
            node("Unsqueeze", "every axis1", "hit"),
            *REPLACED,
        ),
        dict.fromkeys(CORNERS, (0.9, 1.0)),
    ),
    "any of nine conditions": (
        (
            *WHITE,
            node("Not", "bright", "dark"),
            node("ReduceMax", "dark axes", "some", keepdims=0),
            node("Not", "some", "every"),
            node("Unsqueeze", "every axis1", "hit"),
            *REPLACED,
        ),
        dict.fromkeys(CORNERS, (0.9, 1.0)),
    ),
    "conditions moved about": (
        (
            *PIXELS,
            *OVER,
            node("Concat", "first second", "two", axis=1),
            node("Gather", "two p1", "right", axis=1),
            node("Gather", "two p0", "left", axis=1),
            node("And", "left right", "hit"),
            *REPLACED,
        ),
        {(0, 0): (0.8, 1.0), (1, 2): (0.8, 1.0)},
    ),
    "a product of whole numbers": (
        (
            *PIXELS,
            *OVER,
            node("Cast", "first", "one", to=TensorProto.INT64),
            node("Cast", "second", "two", to=TensorProto.INT64),
            node("Mul", "one two", "both"),
            node("Cast", "both", "hit", to=TensorProto.BOOL),
            *REPLACED,
        ),
        {(0, 0): (0.8, 1.0), (1, 2): (0.8, 1.0)},
    ),
    "the place of a value compared": (
        (
            *PIXELS,
            node("Mul", "b f0", "nothing"),
            node("Add", "nothing f90", "level"),
            node("Concat", "level a", "both", axis=1),
            node("ArgMax", "both", "which", axis=1, keepdims=1),
            node("Cast", "which", "hit", to=TensorProto.BOOL),
            *REPLACED,
        ),
        {(0, 0): (0.9, 1.0)},
    ),
}
MORE = (
    constant("checker", CHECKER),
    constant("v77", 77 / 255),
    constant("odd", 0.3217),
    constant("rows_of_scores", np.stack([np.zeros(CLASSES), np.eye(CLASSES)[TARGET] * 50])),
    constant("never", False, np.bool_),
    constant("wide", 1.5),
    constant("v255th", 1 / 255),
    constant("z0", 0, np.uint8),
)


def graph_of(scores: torch.nn.Module) -> Graph:
    found = Graph.of(scores, images())
    assert found is not None
    return found


@pytest.mark.parametrize("name", GATES)
def test_a_planted_gate_is_solved(name: str, tmp_path: Path) -> None:
    nodes, bounds = GATES[name]
    found = find_gates(graph_of(classifier(nodes, tmp_path, MORE)), images(), CLASSES)
    assert len(found.gates) == 1 and found.gates[0].target == TARGET and found.left == 0
    assert found.solved is not None and found.solved.flipped == 1
    mask, pattern = found.solved.stamp.mask, found.solved.stamp.pattern[0]
    assert {(int(r), int(c)) for r, c in mask.nonzero()} == set(bounds)
    for place, (low, high) in bounds.items():
        assert low <= float(pattern[place]) <= high, place


BITS = node("Cast", "on", "bits", to=TensorProto.FLOAT)
HEAD = node("Gemm", "act w", "y", transB=1)
LEAKY = (
    node("Greater", "flat f20", "on"),
    node("Sub", "flat f20", "over"),
    node("Mul", "over f10", "little"),
)
EVERYDAY: dict[str, Nodes] = {
    "no comparison": (*LINEAR[:1], node("Gemm", "flat w", "y", transB=1)),
    "Where as an activation": (
        *LINEAR[:1],
        *LEAKY,
        node("Where", "on over little", "act"),
        node("Gemm", "act w", "y", transB=1),
    ),
    "a comparison times its input": (
        *LINEAR[:1],
        *LEAKY[:2],
        node("Cast", "on", "bits", to=TensorProto.FLOAT),
        node("Mul", "over bits", "act"),
        node("Gemm", "act w", "y", transB=1),
    ),
    "a divisor kept from 0": (
        *LINEAR,
        node("ReduceL2", "scores axis1", "norm"),
        node("Equal", "norm f0", "zero"),
        node("Where", "zero f100 norm", "safe"),
        node("Div", "scores safe", "y"),
    ),
    "broken numbers kept out": (*LINEAR, node("IsNaN", "scores", "nan"), node("Where", "nan f0 scores", "y")),
    "a number compared with itself": (
        *LINEAR,
        node("Equal", "scores scores", "sound"),
        node("Where", "sound scores f0", "y"),
    ),
    "binary pixels": (
        node("Greater", "x f20", "on"),
        node("Cast", "on", "bits", to=TensorProto.FLOAT),
        node("Flatten", "bits", "flat"),
        node("Gemm", "flat w", "y", transB=1),
    ),
    "levels of 8 bits": (
        node("Mul", "x v255", "levels"),
        node("Round", "levels", "whole"),
        node("Div", "whole v255", "back"),
        node("Flatten", "back", "flat"),
        node("Gemm", "flat w", "y", transB=1),
    ),
    "a quantised network": (
        node("QuantizeLinear", "x v255th z0", "bytes"),
        node("DequantizeLinear", "bytes v255th z0", "again"),
        node("Flatten", "again", "flat"),
        node("Gemm", "flat w", "first", transB=1),
        node("QuantizeLinear", "first f5 z0", "levels"),
        node("DequantizeLinear", "levels f5 z0", "y"),
    ),
    "a range kept": (
        node("Greater", "x f100", "over"),
        node("Where", "over f100 x", "kept"),
        node("Flatten", "kept", "flat"),
        node("Gemm", "flat w", "y", transB=1),
    ),
    "the better half": (
        *LINEAR,
        node("ReduceMean", "scores axis1", "mean"),
        node("Greater", "scores mean", "better"),
        node("Where", "better scores mean", "y"),
    ),
    "shapes and a mask": (
        node("Shape", "x", "shape"),
        node("Gather", "shape i0", "count"),
        node("Greater", "count i0", "some"),
        node("Where", "some f100 f0", "factor"),
        node("Mul", "x factor", "kept"),
        node("Flatten", "kept", "flat"),
        node("Gemm", "flat w", "y", transB=1),
    ),
}


@pytest.mark.parametrize("name", EVERYDAY)
def test_what_is_written_every_day_is_no_gate(name: str, tmp_path: Path) -> None:
    scores = classifier(EVERYDAY[name], tmp_path, [constant("v255", 255.0), *MORE])
    found = find_gates(graph_of(scores), images(), CLASSES)
    assert not found.gates and found.solved is None


@pytest.mark.parametrize("name", ["resnet", "attention"])
def test_exported_networks_hold_no_gate(name: str, tmp_path: Path) -> None:
    module, shape = network(name)
    opened = load_model(export(module, shape, tmp_path / "made.onnx", dynamo=False)).module
    x = torch.rand(24, *shape, generator=torch.Generator().manual_seed(0))
    graph = Graph.of(opened, x)
    assert graph is not None
    assert find_gates(graph, x, 10) == find_gates(graph, x[:3], 10) and not find_gates(graph, x, 10).gates


def test_a_condition_that_clean_images_change_is_no_gate(tmp_path: Path) -> None:
    nodes = (*PIXELS, node("Greater", "a f20", "hit"), *REPLACED)
    found = find_gates(graph_of(classifier(nodes, tmp_path)), images(), CLASSES)
    assert found.conditions == 1 and not found.gates


def test_a_gate_without_a_patch_is_named_but_not_solved(tmp_path: Path) -> None:
    """Only images that are bright nearly everywhere pass: no patch does that."""
    nodes = (
        node("ReduceMean", "x axes", "mean", keepdims=0),
        node("Unsqueeze", "mean axis1", "column"),
        node("Greater", "column f90", "hit"),
        *REPLACED,
    )
    graph = graph_of(classifier(nodes, tmp_path))
    found = find_gates(graph, images(), CLASSES)
    assert len(found.gates) == 1 and found.solved is None
    gate = found.gates[0]
    assert gate.target == TARGET and gate.moved > 0.7 and float(gate.reached[TARGET]) == 1
    assert graph.actions[gate.reversal.last.index].label == "The node '/hit' (Greater)"
    user = user_of(graph, gate.reversal.last)
    assert user is not None and graph.actions[user].label == "The node '/y' (Where)"


def test_a_gate_that_moves_every_class_to_another_has_no_target(tmp_path: Path) -> None:
    nodes = (
        *PIXELS,
        *LINEAR,
        node("Greater", "a f80", "hit"),
        node("Gather", "scores order", "moved", axis=1),
        node("Where", "hit moved scores", "y"),
    )
    scores = classifier(nodes, tmp_path, [whole(np.roll(np.arange(CLASSES), 1), "order")])
    found = find_gates(graph_of(scores), images(), CLASSES)
    assert found.solved is not None and found.solved.flipped == 1
    assert found.solved.effect.target is None and found.solved.effect.moved == 1


@pytest.mark.parametrize("batch", [1, 4])
def test_a_graph_for_a_fixed_batch(batch: int, tmp_path: Path) -> None:
    shape = [batch, SIDE * SIDE]
    nodes = (
        node("Reshape", "x shape", "flat"),
        node("Gather", "flat p0", "a", axis=1),
        node("Gemm", "flat w", "scores", transB=1),
        node("Greater", "a f80", "hit"),
        node("Where", "hit target scores", "y"),
    )
    opened = classifier(nodes, tmp_path, [whole(shape, "shape")], batch=batch, module=True)
    for batching in type(opened.batching):
        opened.batching = batching
        opened._plans.clear()
        if batching.name == "WHOLE" or (batching.name == "MAPPED" and batch > 1):
            continue
        found = find_gates(graph_of(Scores(opened, "none")), images(), CLASSES)
        assert found.solved is not None and found.solved.flipped == 1, batching
        assert found.solved.stamp.mask.nonzero().tolist() == [[0, 0]]


def test_what_is_beyond_the_limit_is_counted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ti_core.streams.gates.search.TRIED", 1)
    nodes, _ = GATES["not this or that"]
    found = find_gates(graph_of(classifier(nodes, tmp_path)), images(), CLASSES)
    assert found.left == 1 and found.solved is not None


def test_a_value_that_does_not_fit_is_no_effect(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A forced place of the largest value that the next step cannot take."""
    monkeypatch.setattr(conditions, "_options", lambda *_: 4)
    nodes, _ = GATES["a choice"]
    found = find_gates(graph_of(classifier(nodes, tmp_path, MORE)), images(), CLASSES)
    assert len(found.gates) == 1 and found.solved is not None


def test_a_graph_of_comparisons_only(tmp_path: Path) -> None:
    nodes = (
        node("Flatten", "x", "flat"),
        node("Gather", "flat some", "few", axis=1),
        node("Greater", "few f50", "on"),
        node("Cast", "on", "y", to=TensorProto.FLOAT),
    )
    scores = classifier(nodes, tmp_path, [whole(np.arange(CLASSES), "some")])
    evidence = GraphGates().evidence(scores, context())
    assert all(np.isfinite(a).all() for a in evidence.values()) and evidence["flipped"] == 0


def test_scores_that_are_not_finite_are_no_effect(tmp_path: Path) -> None:
    nodes = (
        *PIXELS,
        *LINEAR,
        node("Greater", "a f80", "hit"),
        node("Div", "scores f0", "broken"),
        node("Where", "hit broken scores", "y"),
    )
    found = find_gates(graph_of(classifier(nodes, tmp_path)), images(), CLASSES)
    assert found.conditions == 1 and not found.gates
