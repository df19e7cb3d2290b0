from __future__ import annotations

import json
import re
import subprocess
import sys
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

import pytest

from ti_core.results.case import Case
from ti_core.results.limits import check_plain
from ti_core.results.report import Report, report_record, report_schema
from ti_core.settings import Settings

SCHEMA = report_schema()
PUBLISHED = Path(__file__).resolve().parents[2] / "docs" / "report-schema.json"


PAIR = {"source": 0, "source_name": "a", "target": 1, "target_name": "b", "moved": 0.9}
ROW = {
    "kind": "patch",
    "mapping": "all to one",
    "status": "looked for, not found",
    "streams": [],
    "why": None,
    "figures": None,
    "weak": True,
}
OPINION = {
    "method": "strip",
    "title": "STRIP",
    "source": "Y. Gao, ACSAC 2019",
    "measures": "share of images",
    "statistic": 0.25,
    "threshold": None,
    "decision": None,
    "target_class": 1,
    "sentence": "A quarter is rejected.",
    "beside": None,
    "seconds": 0.5,
}


def record(case: Case) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(case.report.as_json())
    return found


def test_the_schema_is_the_dataclass() -> None:
    assert set(SCHEMA.children("")) == {f.name for f in fields(Report)}


def test_every_group_is_described_and_every_description_ends() -> None:
    assert all(f.says.endswith(".") for f in SCHEMA.fields)
    paths = [f.path for f in SCHEMA.fields]
    assert len(paths) == len(set(paths))
    groups = {f.path for f in SCHEMA.fields if f.kind == "group"}
    assert {p.rsplit(".", 1)[0] for p in paths if "." in p} == groups


@pytest.mark.parametrize("label", ["clean", "blend", "patch", "partial"])
def test_real_reports_are_as_the_schema_says(label: str, tiny_cases: dict[str, Case]) -> None:
    found = record(tiny_cases[label])
    assert SCHEMA.problems(found) == []
    assert set(found["settings"]) == set(Settings().as_dict())


def test_what_is_always_there_is_there_in_some_report_and_what_is_not_is_not_always(
    tiny_cases: dict[str, Case],
) -> None:
    """There is no description of a field that no report holds."""
    seen: set[str] = set()

    def walk(group: dict[str, Any], path: str) -> None:
        known = SCHEMA.children(path)
        for name, value in group.items():
            field = known.get(name) or known["*"]
            seen.add(field.path)
            if field.kind == "group":
                walk(value, f"{field.path}.")

    for case in tiny_cases.values():
        walk(record(case), "")
    turned = record(tiny_cases["clean"])
    turned["pack"] |= {"changed_settings": {"bins": 16}, "all_streams": turned["pack"]["detects"]}
    turned["model"] |= {"remarks": ["Converted."], "notes": {"epoch": "7"}, "sketch": "flatten"}
    turned["model"]["reconstruction"] = {
        "first": 0.9,
        "second": 0.8,
        "agreement": 0.85,
        "runner_up": "relu",
        "images": 250,
        "labelled": True,
        "equal": ["leaky_relu 0.01 in place of relu"],
    }
    turned["opinions"] = [OPINION]
    assert SCHEMA.problems(turned) == []
    walk(turned, "")
    # Only a process of its own confines, and only images of one's own take a pack's place.
    # The tiny pack has no members that lead elsewhere than all to one, and no hard clean ones.
    elsewhere = {
        f.path
        for f in SCHEMA.fields
        if f.path.startswith(("pack.images", "isolation.", "streams.recovered"))
        or f.path.endswith(("*.mapping", "*.hard", "*.hard_alarms"))
    }
    assert {f.path for f in SCHEMA.fields} - seen - elsewhere == set()


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
    assert any(words in line for line in SCHEMA.problems(record(tiny_cases["patch"]) | change))
    without = {k: v for k, v in record(tiny_cases["patch"]).items() if k not in change or k == "extra"}
    assert bool(SCHEMA.problems(without)) == ("extra" not in change)


def test_every_reason_has_its_bearing(tiny_cases: dict[str, Case]) -> None:
    found = record(tiny_cases["patch"])
    assert len(found["bearings"]) == len(found["reasons"])
    assert any(
        "one entry for each" in line for line in SCHEMA.problems(found | {"bearings": found["bearings"][1:]})
    )
    known = {*found["streams"], "pack", ""}
    assert {b["of"] for b in found["bearings"]} <= known
    speaks = {b["speaks"] for b in found["bearings"] if b["of"] == "recovered_trigger"}
    # Where the decision hangs is no evidence of its own.
    none = "no evidence" in found["streams"]["recovered_trigger"]["sentence"]
    assert speaks == ({"against", "neither"} if none else {"for"})


def test_a_report_of_an_earlier_version_has_no_bearings_and_keeps_its_seal(
    tiny_cases: dict[str, Case],
) -> None:
    report = replace(tiny_cases["patch"].report, bearings=[])
    earlier = json.loads(report.as_json())
    assert "bearings" not in earlier and not SCHEMA.problems(earlier)
    again = Report.from_dict(earlier)
    assert again.content_seal == earlier["seal"] and again.bearings == []


def test_yes_is_no_number(tiny_cases: dict[str, Case]) -> None:
    found = record(tiny_cases["patch"])

    def with_images(labelled: object, count: object) -> list[str]:
        images = {"file": "mine.npz", "sha256": "0" * 64, "count": count, "labelled": labelled}
        pack = {"name": None, "sha256": None, "detects": {}, "images": images}
        return SCHEMA.problems(found | {"pack": pack})

    assert with_images(True, 3) == []
    assert with_images(True, True) == ["pack.images.count is no whole number."]
    assert with_images(1, 3) == ["pack.images.labelled is no yes or no."]
    assert SCHEMA.problems(found | {"schema_version": True}) != []
    assert SCHEMA.problems(found | {"target_class_name": None}) == []
    assert SCHEMA.problems(found | {"verdict": None}) != []


@pytest.mark.parametrize(
    ("group", "change"),
    [
        ("model", {"sha256": "0" * 63}),
        ("model", {"classes": 0}),
        ("model", {"input_shape": [1, 2]}),
        ("model", {"clean_accuracy": None}),
        ("pack", {"name": "../mnist"}),
        ("pack", {"name": None}),
        ("pack", {"sha256": None}),
        ("pack", {"images": None}),
        ("pack", {"images": {"file": "x", "sha256": "0" * 64, "count": 1, "labelled": True}}),
        ("streams", {"../x": {}}),
        ("streams", {"recovered_trigger": None}),
        ("settings", {"images": 10**9}),
        ("settings", {"colour": "blue"}),
        ("timings", {"saliency": -1.0}),
        ("versions", {"torch": 2}),
        ("isolation", {"\ud800": None}),
        ("", {"target_class": 4}),
        ("", {"target_class": -1}),
        ("", {"probability": -0.1}),
        ("", {"trigger_kind": "smell"}),
        ("", {"schema_version": 1}),
        ("", {"schema_version": 3}),
        ("", {"mapping": {"kind": "all to one"}}),
        ("mapping", {"target": 4}),
        ("mapping", {"target": None}),
        ("mapping", {"kind": "all to all"}),
        ("mapping", {"source": 1}),
        ("mapping", {"assignment": [PAIR | {"target": 4}]}),
        ("mapping", {"assignment": [PAIR | {"moved": 1.5}]}),
        ("", {"coverage": [{}]}),
        ("", {"coverage": [ROW | {"kind": "smell"}]}),
        ("", {"coverage": [ROW | {"status": "maybe"}]}),
        ("", {"coverage": [ROW | {"streams": ["../x"]}]}),
        ("", {"coverage": [ROW | {"figures": {"found": 1.0}}]}),
        ("", {"reasons": ["a", 1]}),
        ("", {"\ud800": 1}),
    ],
)
def test_what_no_report_can_hold_is_refused_in_a_sentence(
    group: str, change: dict[str, Any], tiny_cases: dict[str, Case]
) -> None:
    found = record(tiny_cases["patch"])
    changed = found | ({group: found[group] | change} if group else change)
    with pytest.raises(ValueError, match=r"^[^\n]{5,300}\.$"):
        Report.from_dict(changed)


@pytest.mark.parametrize("label", ["clean", "blend", "patch", "partial"])
def test_a_report_read_is_the_report_written_letter_by_letter(
    label: str, tiny_cases: dict[str, Case]
) -> None:
    report = tiny_cases[label].report
    assert Report.from_dict(json.loads(report.as_json())).as_json() == report.as_json()


def test_the_schema_has_the_fields_in_the_order_of_the_json(tiny_cases: dict[str, Case]) -> None:
    whole = replace(tiny_cases["patch"].report, opinions=[OPINION]).as_dict()
    assert list(SCHEMA.children("")) == list(whole) == list(report_record().model_fields)


def resolved(node: dict[str, Any], schema: dict[str, Any]) -> dict[str, Any]:
    return schema["$defs"][node["$ref"].rsplit("/", 1)[1]] if "$ref" in node else node


def fits(value: Any, node: dict[str, Any], schema: dict[str, Any]) -> bool:
    """Whether a value fits a schema of the few words that the published one uses."""
    node = resolved(node, schema)
    if "anyOf" in node:
        return any(fits(value, one, schema) for one in node["anyOf"])
    types = {
        "string": str,
        "integer": int,
        "boolean": bool,
        "null": type(None),
        "array": list,
        "object": dict,
    }
    kind = node.get("type")
    if kind == "number" and (not isinstance(value, (int, float)) or isinstance(value, bool)):
        return False
    if kind in types and not isinstance(value, types[kind]):
        return False
    if "enum" in node and value not in node["enum"]:
        return False
    if "pattern" in node and not re.search(node["pattern"], value):
        return False
    if isinstance(value, list):
        return all(fits(item, node.get("items", {}), schema) for item in value)
    if isinstance(value, dict):
        rest, known = node.get("additionalProperties", True), node.get("properties", {})
        if not set(node.get("required", [])) <= set(value):
            return False
        for name, item in value.items():
            one = known.get(name, rest)
            if one is False or (one is not True and not fits(item, one, schema)):
                return False
    return True


def test_the_published_schema_is_current_and_real_reports_fit_it(tiny_cases: dict[str, Case]) -> None:
    published = json.loads(PUBLISHED.read_text())
    assert published == SCHEMA.json
    for case in tiny_cases.values():
        found = record(case)
        assert fits(found, published, published)
        assert not fits(found | {"extra": 1}, published, published)
        assert not fits(found | {"verdict": "fine"}, published, published)
        assert not fits(found | {"model": found["model"] | {"sha256": "0"}}, published, published)


def nested(depth: int) -> list[object]:
    return [nested(depth - 1)] if depth else []


@pytest.mark.parametrize(
    "value",
    ["x" * 4001, [0] * 50_001, {"x" * 301: 1}, {1: 1}, nested(13), float("nan"), 2**63, -(2**63), b"x", (1,)],
    ids=["text", "list", "key", "key of another type", "nesting", "NaN", "large", "small", "bytes", "tuple"],
)
def test_values_beyond_the_limits_are_refused(value: Any) -> None:
    check_plain(["x" * 4000, {"x" * 300: nested(10)}, 2**63 - 1, True, None, 0.5])
    with pytest.raises(ValueError, match=r"^[A-Z].*\.$"):
        check_plain({"value": value} if not isinstance(value, dict) else value)


def test_the_help_answers_without_pydantic() -> None:
    code = "import sys; from ti_core.cli.main import parser; parser().format_help(); print('pydantic' in sys.modules)"
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert found.stdout.strip() == "False"
