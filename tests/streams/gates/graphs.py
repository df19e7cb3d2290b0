"""Small ONNX classifiers with gates that are known by hand."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from onnx import NodeProto, TensorProto, helper

from tests.loading.onnx.onnx_networks import constant, graph, save
from ti_core.classifier.scores import Scores
from ti_core.loading import load_model
from ti_core.settings import Settings
from ti_core.streams.base import Context

SIDE, CLASSES, TARGET = 8, 5, 3
NAMES = tuple(f"c{k}" for k in range(CLASSES))

Nodes = Sequence[NodeProto]


def node(operator: str, inputs: str, output: str, **attributes: Any) -> NodeProto:
    """A node named after its output; the inputs are parted by spaces."""
    return helper.make_node(operator, inputs.split(), [output], name=f"/{output}", **attributes)


def whole(values: Any, name: str) -> TensorProto:
    return constant(name, values, np.int64)


def weights() -> np.ndarray:
    """Of a linear classifier that does not look at the upper left corner, where the triggers are."""
    drawn = np.random.default_rng(4).normal(size=(CLASSES, SIDE, SIDE))
    drawn[:, :3, :3] = 0
    drawn = drawn.reshape(CLASSES, -1)
    return np.asarray(
        drawn - drawn.sum(1, keepdims=True) / (SIDE * SIDE - 9) * (drawn != 0), dtype=np.float32
    )


def images(count: int = 80) -> torch.Tensor:
    """Grey images between .1 and .6."""
    return 0.1 + 0.5 * torch.rand(count, 1, SIDE, SIDE, generator=torch.Generator().manual_seed(1))


def context(x: torch.Tensor | None = None, classes: int = CLASSES) -> Context:
    x = images() if x is None else x
    return Context(x, torch.arange(len(x)) % classes, classes, Settings())


LINEAR = (
    node("Flatten", "x", "flat"),
    node("Gemm", "flat w", "scores", transB=1),
)
REPLACED = (*LINEAR, node("Where", "hit target scores", "y"))
"""A linear classifier whose scores are replaced where ``hit`` (``n x 1``) is true."""
CONSTANTS = (
    constant("w", weights()),
    constant("target", np.eye(CLASSES)[[TARGET]] * 50),
    *(constant(f"f{int(v * 100)}", v) for v in (0.0, 0.05, 0.1, 0.2, 0.5, 0.8, 0.9, 1.0)),
    whole(0, "i0"),
    whole(9, "i9"),
    whole([1], "axis1"),
    whole([2, 3], "plane"),
    whole([1, 2, 3], "axes"),
    whole([0, 0], "start"),
    whole([3, 3], "end"),
    whole([-1, 1], "rows"),
    whole([0], "p0"),
    whole([1], "p1"),
    whole([SIDE + 2], "p10"),
)
CORNER = (node("Slice", "x start end plane", "corner"),)
"""The 3 x 3 pixels of the upper left corner."""


def classifier(
    nodes: Nodes,
    folder: Path,
    constants: Sequence[TensorProto] = (),
    batch: Any = "n",
    module: bool = False,
) -> Any:
    """The class scores of a graph of these nodes; ``module`` for the network itself."""
    used = {name for one in nodes for name in one.input}
    kept = [c for c in (*CONSTANTS, *constants) if c.name in used]
    model = graph(nodes, kept, shape=(batch, 1, SIDE, SIDE))
    opened = load_model(save(model, folder / "made.onnx")).module
    return opened if module else Scores(opened, "none")
