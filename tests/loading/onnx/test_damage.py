"""Damaged files: each opens as a network of the same form, or is answered with a sentence; nothing else happens."""

from __future__ import annotations

import random
from pathlib import Path

import numpy as np
import pytest
import torch
from onnx import helper

from tests.loading.onnx.onnx_networks import constant, export, graph, network
from ti_core.errors import ModelFileError
from ti_core.loading.onnx import load_onnx

N = helper.make_node


def _shaped() -> bytes:
    """A graph rich in shapes and attributes, where damage finds more to break than in weights."""
    nodes = [
        N("Conv", ["x", "w"], ["a"], pads=[1, 1, 1, 1], strides=[1, 1], name="conv"),
        N("MaxPool", ["a"], ["b"], kernel_shape=[2, 2], strides=[2, 2], ceil_mode=1),
        N("Resize", ["b", "", "scales"], ["c"], mode="linear"),
        N("Pad", ["c", "pads"], ["d"], mode="reflect"),
        N("Shape", ["d"], ["s"]),
        N("Slice", ["s", "zero", "one"], ["n"]),
        N("Concat", ["n", "minus"], ["t"], axis=0),
        N("Reshape", ["d", "t"], ["e"]),
        N("Expand", ["e", "ones"], ["f"]),
        N("ReduceSum", ["f", "one"], ["g"], keepdims=1),
        N("Div", ["f", "g"], ["h"]),
        N("Gemm", ["h", "m"], ["y"], name="head"),
    ]
    random_values = np.random.default_rng(0)
    constants = [
        constant("w", random_values.normal(size=(2, 1, 3, 3))),
        constant("scales", [1, 1, 2, 2]),
        constant("pads", [0, 0, 1, 1, 0, 0, 1, 1], np.int64),
        constant("zero", [0], np.int64),
        constant("one", [1], np.int64),
        constant("minus", [-1], np.int64),
        constant("ones", [1, 1], np.int64),
        constant("m", random_values.normal(size=(128, 3))),
    ]
    return graph(nodes, constants, shape=["n", 1, 6, 6]).SerializeToString()


def _lenet(folder: Path) -> bytes:
    module, shape = network("softmax")
    return export(module, shape, folder / "whole.onnx", dynamo=False).read_bytes()


@pytest.mark.parametrize("source", ["shapes", "exported"])
def test_flipped_and_truncated_bytes(source: str, tmp_path: Path) -> None:
    content = _shaped() if source == "shapes" else _lenet(tmp_path)
    path = tmp_path / "model.onnx"
    path.write_bytes(content)
    whole = load_onnx(path)
    chance = random.Random(11)
    opened = refused = 0
    for case in range(300 if source == "shapes" else 100):
        damaged = bytearray(content)
        if case % 10 == 0:
            damaged = damaged[: chance.randrange(len(damaged))]
        else:
            # Most of an exported file is weights; half of the flips go to its first part, the graph.
            end = len(damaged) if case % 2 else min(len(damaged), 2000)
            for _ in range(1 + case % 3):
                damaged[chance.randrange(end)] ^= 1 << chance.randrange(8)
        path.write_bytes(bytes(damaged))
        try:
            model = load_onnx(path)
        except ModelFileError as error:
            assert "\n" not in str(error)
            refused += 1
            continue
        assert model.classes is not None
        channels, height, width = model.input_shape or whole.input_shape or (1, 6, 6)
        with torch.no_grad():
            assert model.module(torch.rand(2, channels, height or 6, width or 6)).shape == (2, model.classes)
        opened += 1
    assert opened > 20
    assert refused > 20
