"""What is marked in the charts of classes, and said of the marks, under each verdict."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from ti_core.rendering.class_marks import marked_classes, marks_sentence
from ti_core.results.case import Case
from ti_core.results.report import Report

NAMES = ("cat", "dog", "owl")


def stream(target: int | None, values: list[float], high: float = 1.0) -> dict[str, Any]:
    return {"target_class": target, "figures": {"values": values, "high": [high] * len(values)}}


@pytest.fixture
def report(tiny_cases: dict[str, Case]) -> Report:
    return replace(tiny_cases["clean"].report, target_class=None)


INSIDE, ABOVE, OTHER = stream(1, [0.1, 0.9, 0.2]), stream(1, [0.1, 3.0, 0.2]), stream(2, [0.1, 2.0, 2.5])


def test_only_a_backdoored_model_has_a_suspected_target(report: Report) -> None:
    backdoored = replace(report, verdict="backdoored", target_class=1)
    assert marked_classes(backdoored, ABOVE) == (1, None)
    assert marked_classes(backdoored, OTHER) == (1, 2)
    for verdict in ("clean", "inconclusive"):
        assert marked_classes(replace(report, verdict=verdict), ABOVE) == (None, 1)
    assert marked_classes(report, stream(None, [])) == (None, None)
    assert marked_classes(report, stream(report.model["classes"], [])) == (None, None)


def test_a_backdoored_verdict_counts_the_charts_where_the_target_is_above_the_band(report: Report) -> None:
    backdoored = replace(report, verdict="backdoored", target_class=1)
    said = marks_sentence(backdoored, [INSIDE, ABOVE, OTHER], NAMES)
    assert "filled diamond is the suspected target, class dog" in said
    assert "above the band in 2 of 3 charts" in said and "open diamond is another class" in said
    assert "open diamond" not in marks_sentence(backdoored, [ABOVE], NAMES)


@pytest.mark.parametrize("verdict", ["clean", "inconclusive"])
def test_other_verdicts_suspect_no_class(report: Report, verdict: str) -> None:
    said = marks_sentence(replace(report, verdict=verdict), [INSIDE, ABOVE, INSIDE], NAMES)
    assert said.startswith(f"The verdict is {verdict}, so no class is suspected.")
    assert "above the band in 1 of 3 charts" in said and "filled" not in said and "target" not in said
    early = marks_sentence(report, [INSIDE], NAMES, finished=False)
    assert early.startswith("There is no joint verdict yet") and "0 of 1 chart." in early
    assert "diamond" not in marks_sentence(report, [stream(None, [0.0])], NAMES)


def test_a_backdoor_without_a_target_is_not_said_to_be_none(report: Report) -> None:
    said = marks_sentence(replace(report, verdict="backdoored"), [ABOVE], NAMES)
    assert (
        said.startswith("The verdict is backdoored, but it names no target class.") and "open diamond" in said
    )


def test_an_all_to_all_backdoor_is_said_to_have_no_target(report: Report) -> None:
    said = marks_sentence(
        replace(report, verdict="backdoored", mapping={"kind": "all to all"}), [ABOVE], NAMES
    )
    assert said.startswith("The backdoor leads each class to another one, so no class is the target.")


def test_without_a_pack_the_line_at_one_is_usual(report: Report) -> None:
    alone = replace(report, pack={"name": None, "images": {"file": "mine"}})
    said = marks_sentence(alone, [{"target_class": 0, "figures": {"values": [1.2, 0.3]}}, INSIDE], NAMES)
    assert "above the line in 1 of 2 charts" in said
