"""The stream of gates: what it says, and that its figures are sound for every network."""

from __future__ import annotations

import math
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import torch
from onnx import helper

from tests.streams.gates.graphs import NAMES, REPLACED, TARGET, classifier, context, images, node
from tests.streams.toys import Linear
from tests.streams.toys import weights as toy_weights
from ti_core.detector.own_classes import read_alone
from ti_core.loading.keras.layers.activations import Elementwise, ReLU
from ti_core.streams import Evidence, stack
from ti_core.streams.graph import CERTAIN, JUMPS, LETTERS, GraphGates, pixels

PIXEL = (node("Flatten", "x", "row"), node("Gather", "row p0", "a", axis=1))
STREAM = GraphGates()


def clean() -> dict[str, np.ndarray]:
    plain = STREAM.evidence(Linear(toy_weights(5)), context())
    return stack([plain] * 3)


def gated(folder: Path, name: str = "/hit") -> Evidence:
    hit = helper.make_node("Greater", ["a", "f80"], ["hit"], name=name)
    return STREAM.evidence(classifier((*PIXEL, hit, *REPLACED), folder), context())


def test_a_gate_is_told_with_node_pixel_value_and_class(tmp_path: Path) -> None:
    evidence = gated(tmp_path)
    reading = STREAM.read(evidence, clean(), NAMES)
    level = round(float(evidence["pattern"][0, 0, 0]) * 255)
    assert 204 < level <= 255
    assert reading.sentence == (
        "The graph holds a gate. The node '/hit' (Greater), which the node '/y' (Where) obeys, gives one answer on all"
        f" clean images. This pixel reverses it (row and column, from 0): (0, 0) at {level}/255. That turns 100% of"
        " unseen images into class c3. 0% of the clean models hold a gate that turns as many."
    )
    assert (reading.score, reading.clean_share, reading.target) == (1.0, 0.0, TARGET)


def test_a_solved_gate_decides_by_itself(tmp_path: Path) -> None:
    evidence, others = gated(tmp_path), clean()
    half = {**evidence, "flipped": np.array([0.45], dtype=np.float32)}
    assert STREAM.log_odds(stack([evidence, half]), {}).tolist() == pytest.approx([CERTAIN, 0])
    assert (STREAM.log_odds(others, {}) == -CERTAIN).all()
    assert STREAM.class_scores(others, others) is None
    assert STREAM.read(evidence, {}, NAMES).leads_to == TARGET
    assert STREAM.features(stack([evidence]), others).matrix.tolist() == [[1, 1]]


def test_a_gate_is_told_without_reference_models(tmp_path: Path) -> None:
    evidence = gated(tmp_path)
    reading = read_alone(STREAM, evidence, NAMES)
    assert math.isnan(reading.clean_share)
    assert reading.target == TARGET and reading.sentence.endswith("into class c3.")


def test_the_name_of_a_node_is_a_strangers_text(tmp_path: Path) -> None:
    sentence = STREAM.read(gated(tmp_path, "a\x1b[2J\u202e" + "b" * 300), clean(), NAMES).sentence
    assert sentence.isprintable() and "a?[2J?bbb" in sentence and "bb...' (Greater)" in sentence
    assert len(sentence) < 3 * LETTERS + 300


def test_a_network_of_known_layers(tmp_path: Path) -> None:
    evidence = STREAM.evidence(Linear(toy_weights(5)), context())
    own = gated(tmp_path)
    assert {k: v.shape for k, v in evidence.items()} == {k: v.shape for k, v in own.items()}
    reading = STREAM.read(evidence, clean(), NAMES)
    assert reading.sentence == "The network is made of known layers only, so it holds no gate."
    assert reading.target is None and reading.clean_share == 1


def test_what_is_said_where_nothing_was_solved(tmp_path: Path) -> None:
    unsolved = {**gated(tmp_path), "flipped": np.zeros(1, dtype=np.float32)}
    sentence = STREAM.read(unsolved, clean(), NAMES).sentence
    assert (
        "may hold a gate" in sentence and "turns 100% of them into class c3. No patch was found" in sentence
    )
    anywhere = {**unsolved, "target": np.array([-1.0]), "counts": np.array([1, 4, 1, 1200])}
    sentence = STREAM.read(anywhere, clean(), NAMES).sentence
    assert "turns most of them. No patch" in sentence and sentence.endswith(
        "1,200 more reversals were not tried."
    )
    none = {**unsolved, "counts": np.array([1, 4, 0, 0])}
    assert "in 4 nodes. None of them is a gate" in STREAM.read(none, clean(), NAMES).sentence
    empty = {**unsolved, "counts": np.array([1, 0, 0, 0])}
    assert STREAM.read(empty, clean(), NAMES).sentence.startswith("No node of the graph compares")


def test_pixels_in_words() -> None:
    mask, pattern = np.zeros((4, 4)), np.zeros((3, 4, 4))
    mask[1, 2], pattern[:, 1, 2] = 1, (1.0, 0.2, 0.0)
    assert (
        pixels(mask, pattern)
        == "This pixel reverses it (row and column, from 0): (1, 2) at (255/255, 51/255, 0/255)."
    )
    mask[:], pattern = 1, np.full((1, 4, 4), 0.3217)
    assert pixels(mask, pattern).endswith("(2, 0) at 0.3217 and 7 more.")


@pytest.mark.parametrize("count", [1, 2, 5])
def test_few_images(count: int, tmp_path: Path) -> None:
    scores = classifier((*PIXEL, node("Greater", "a f80", "hit"), *REPLACED), tmp_path)
    evidence = STREAM.evidence(scores, context(images(count)))
    assert all(np.isfinite(a).all() for a in evidence.values())


class Broken(torch.nn.Module):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return torch.full((len(x), 5), torch.nan)


def test_nan() -> None:
    evidence = STREAM.evidence(Broken(), context())
    assert all(np.isfinite(a).all() for a in evidence.values())
    assert STREAM.read(evidence, clean(), NAMES).score == 0


def test_a_step_that_is_not_followed_leaves_gates_open(tmp_path: Path) -> None:
    jump = (
        *PIXEL,
        node("ThresholdedRelu", "a", "over", alpha=0.9),
        node("Mul", "target over", "extra"),
        *REPLACED[:2],
    )
    nodes = (*jump, node("Add", "scores extra", "y"))
    evidence = STREAM.evidence(classifier(nodes, tmp_path), context())
    assert STREAM.unable(evidence) == JUMPS
    assert JUMPS in STREAM.read(evidence, clean(), NAMES).sentence
    # A gate beside it is told all the same.
    gate = (node("Add", "scores extra", "sum"), node("Greater", "a f80", "hit"))
    nodes = (*jump, *gate, node("Where", "hit target sum", "y"))
    found = STREAM.evidence(classifier(nodes, tmp_path), context())
    assert STREAM.unable(found) is None and STREAM.read(found, clean(), NAMES).target == TARGET


@pytest.mark.parametrize(
    ("layer", "left_open"),
    [
        (torch.nn.ReLU(), False),
        (torch.nn.Threshold(0.9, 0.0), True),
        (torch.nn.Hardshrink(), True),
        (ReLU(), False),
        (ReLU(threshold=0.9), True),
        (Elementwise(partial(torch.nn.functional.threshold, threshold=0.9, value=0.0)), True),
        (Elementwise(torch.nn.functional.hardshrink), True),
        (Elementwise(torch.nn.functional.softshrink), False),
    ],
)
def test_layers_that_jump_are_no_proof_that_there_is_no_gate(layer: torch.nn.Module, left_open: bool) -> None:
    network = torch.nn.Sequential(layer, Linear(toy_weights(5)))
    evidence = STREAM.evidence(network, context())
    assert STREAM.unable(evidence) == (JUMPS if left_open else "the network is not a graph")
    assert ("known layers only" in STREAM.read(evidence, clean(), NAMES).sentence) != left_open
