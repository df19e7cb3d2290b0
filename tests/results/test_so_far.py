"""The verdict so far as plain data: it is checked, and its sentences say what it rests on and what is missing."""

from __future__ import annotations

import json
from typing import Any

import pytest

from ti_core.results.so_far import LONGEST_NAME, SoFar

SAID = SoFar("backdoored", 0.874, ("saliency", "inversion"), ("windowed", "trigger"), "seven")


def test_it_is_read_as_it_was_written() -> None:
    for said in (SAID, SoFar("clean", 0.0, ("graph",), ("universal",))):
        assert SoFar.of(json.loads(json.dumps(said.as_dict()))) == said


def test_its_sentences_say_what_it_rests_on_and_what_is_missing() -> None:
    assert SAID.sentence() == (
        "So far: backdoored, towards class seven (probability of a backdoor 87%), from saliency and inversion."
        " Not looked at yet: windowed and trigger."
    )
    assert SAID.stopped() == (
        "Before the inspection was stopped, the verdict so far was: backdoored, towards class seven (probability of a"
        " backdoor 87%), from saliency and inversion. Not looked at: windowed and trigger."
    )


@pytest.mark.parametrize(
    "changed",
    [
        {"verdict": "innocent"},
        {"verdict": None},
        {"probability": 1.5},
        {"probability": float("nan")},
        {"probability": True},
        {"streams": []},
        {"streams": ["saliency", "<b>"]},
        {"streams": ["trigger"]},
        {"streams": "saliency"},
        {"ahead": ["saliency\n"]},
        {"ahead": ["windowed"] * 50},
        {"target": 7},
        {"more": 1},
    ],
)
def test_anything_else_is_refused(changed: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=next(iter(changed))):
        SoFar.of(SAID.as_dict() | changed)
    for record in (None, [], "clean", {}):
        with pytest.raises(ValueError, match=r"record|missing"):
            SoFar.of(record)


def test_a_class_name_is_cut_and_made_plain() -> None:
    named = SoFar("backdoored", 0.9, ("saliency",), ("windowed",), "\x1b[31m" + "x" * 10_000)
    assert len(str(named.as_dict()["target"])) == LONGEST_NAME
    found = SoFar.of(named.as_dict() | {"target": named.target})
    assert found.target is not None and "\x1b" not in found.target and len(found.target) == LONGEST_NAME
