from __future__ import annotations

import json
from dataclasses import fields
from typing import Any

import pytest

from ti_core.results.case import Case
from ti_core.results.report import Report
from ti_core.results.schema import FIELDS, children, fits, problems
from ti_core.settings import Settings


def record(case: Case) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(case.report.as_json())
    return found


def test_the_schema_is_the_dataclass() -> None:
    assert set(children("")) == {f.name for f in fields(Report)}


def test_every_group_is_described_and_every_description_ends() -> None:
    assert all(f.says.endswith(".") for f in FIELDS)
    paths = [f.path for f in FIELDS]
    assert len(paths) == len(set(paths))
    groups = {f.path for f in FIELDS if f.kind == "group"}
    assert {p.rsplit(".", 1)[0] for p in paths if "." in p} == groups


@pytest.mark.parametrize("label", ["clean", "blend", "patch", "partial"])
def test_real_reports_are_as_the_schema_says(label: str, tiny_cases: dict[str, Case]) -> None:
    found = record(tiny_cases[label])
    assert problems(found) == []
    assert set(found["settings"]) == set(Settings().as_dict())


def test_what_is_always_there_is_there_in_some_report_and_what_is_not_is_not_always(
    tiny_cases: dict[str, Case],
) -> None:
    """No description of a field that no report holds."""
    seen: set[str] = set()

    def walk(group: dict[str, Any], path: str) -> None:
        known = children(path)
        for name, value in group.items():
            field = known.get(name) or known["*"]
            seen.add(field.path)
            if field.kind == "group":
                walk(value, f"{field.path}.")

    for case in tiny_cases.values():
        walk(record(case), "")
    # Only a process of its own confines, and only images of one's own take a pack's place.
    elsewhere = {
        f.path for f in FIELDS if f.path.startswith(("pack.images", "isolation.", "streams.recovered"))
    }
    assert {f.path for f in FIELDS} - seen - elsewhere == set()


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"extra": 1}, "extra is unknown"),
        ({"probability": True}, "probability is no number"),
        ({"probability": "0.5"}, "probability is no number"),
        ({"target_class": 1.5}, "target_class is no whole number or null"),
        ({"timings": {"saliency": "long"}}, "timings.saliency is no number"),
        ({"streams": {"saliency": {}}}, "streams.*.score is missing"),
        ({"reasons": None}, "reasons is no list"),
    ],
)
def test_what_differs_is_named(change: dict[str, Any], words: str, tiny_cases: dict[str, Case]) -> None:
    assert any(words in line for line in problems(record(tiny_cases["patch"]) | change))
    without = {k: v for k, v in record(tiny_cases["patch"]).items() if k not in change or k == "extra"}
    assert bool(problems(without)) == ("extra" not in change)


def test_yes_is_no_number() -> None:
    assert fits(True, "yes or no") and not fits(True, "whole number") and not fits(1, "yes or no")
    assert fits(None, "text or null") and not fits(None, "text")
