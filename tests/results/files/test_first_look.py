"""What is said of a model before it is inspected: strict where it is read, plain where it is shown."""

from __future__ import annotations

from typing import Any

import pytest

from ti_core.results.files.first_look import first_look

RECORD: dict[str, Any] = {
    "format": "onnx",
    "architecture": "onnx graph",
    "sketch": "",
    "parameters": 61_725,
    "classes": 10,
    "input_shape": [1, 28, 28],
    "doubt": "",
    "fitting": ["mnist"],
    "pack": "mnist",
    "why": "It is compared with the reference pack mnist.",
    "seconds": {"quick": 2.0, "standard": 8.0, "thorough": 90.0},
}


def test_a_whole_record_is_read_and_told() -> None:
    look = first_look(RECORD)
    assert look.sentences() == [
        "onnx, onnx graph. Weights: 61,725; classes: 10; input: 1 × 28 × 28.",
        "It is compared with the reference pack mnist.",
    ]


@pytest.mark.parametrize(
    ("shape", "said"),
    [(None, "not said by the file"), ([3, 0, 0], "3 channels, any size"), ([3, 32, 48], "3 × 32 × 48")],
)
def test_the_input_in_words(shape: list[int] | None, said: str) -> None:
    assert first_look({**RECORD, "input_shape": shape}).takes == said


def test_a_reconstructed_network_is_told_by_its_sketch_and_its_doubt() -> None:
    look = first_look(
        {**RECORD, "sketch": "conv 16 5; relu", "doubt": "No verdict can rest on it.", "classes": None}
    )
    assert "reconstructed: conv 16 5; relu" in look.sentences()[0]
    assert "classes: not said" in look.sentences()[0] and look.sentences()[-1] == "No verdict can rest on it."


@pytest.mark.parametrize(
    "change",
    [
        {"parameters": -1},
        {"parameters": "many"},
        {"classes": 1.5},
        {"input_shape": [1, 28]},
        {"seconds": {"quick": 1.0}},
        {"seconds": {"quick": 1.0, "standard": -1.0, "thorough": 1.0}},
        {"seconds": {"quick": 1.0, "standard": 1e300, "thorough": 1e301}},
        {"seconds": {"quick": "1", "standard": 1.0, "thorough": 1.0}},
        {"unknown": 1},
    ],
)
def test_a_record_of_another_form_is_refused(change: dict[str, Any]) -> None:
    with pytest.raises(ValueError):
        first_look({**RECORD, **change})
