"""Opinions in a report: sealed, apart from the verdict, and checked like the rest of it."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from ti_core.methods.beside import Beside
from ti_core.methods.opinion import Opinion, Opinions
from ti_core.reference.pack import Pack
from ti_core.rendering.figures import all_figures
from ti_core.rendering.opinions import drawing
from ti_core.rendering.opinions.reported import opinion_of, records, with_opinions, with_reason
from ti_core.rendering.page import html_report, report_json
from ti_core.rendering.verify import DIFFERS, HOLDS, verify_report
from ti_core.results.case import Case
from ti_core.results.report import Report


@pytest.fixture
def found(tiny_pack: Pack) -> Opinions:
    given = (
        Opinion("neural_cleanse", 3.5, 2.0, True, "It leads to class <b>top</b>.", 0, (1.0,), 0.4),
        Opinion("strip", 0.25, None, None, "A quarter is rejected.", 1, (), 0.2),
    )
    unmet = {"mntd": "MNTD needs <u>more</u>."}
    return Opinions("x.pt", tiny_pack.name, tiny_pack.sha256, tiny_pack.class_names, given, unmet)


@pytest.fixture
def case(tiny_cases: dict[str, Case], found: Opinions) -> Case:
    plain = tiny_cases["clean"]
    return replace(plain, report=with_opinions(plain.report, found))


def states(path: Path) -> dict[str, str]:
    return {check.name: check.state for check in verify_report(path).checks}


def test_a_report_without_opinions_is_written_as_before(tiny_cases: dict[str, Case]) -> None:
    """So that the seals of earlier reports hold."""
    assert "opinions" not in tiny_cases["clean"].report.as_dict()
    with pytest.raises(ValueError):
        Report.from_dict(tiny_cases["clean"].report.as_dict() | {"opinions": [{}]})


def test_opinions_leave_the_verdict_and_stand_in_json_and_page(
    case: Case, tiny_cases: dict[str, Case], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        drawing, "beside", lambda one, pack, sha256: Beside((0.1, 0.2), (3.0,)) if one.threshold else None
    )
    plain, written = tiny_cases["clean"].report, case.report.as_dict()
    assert {k: v for k, v in written.items() if k not in ("opinions", "seal")} == {
        k: v for k, v in plain.as_dict().items() if k != "seal"
    }
    assert written["seal"] != plain.as_dict()["seal"]
    page = html_report(case)
    for tag in ("<b>", "<u>", "<script"):
        assert tag not in page
    assert page.count("<h2>Second opinions</h2>") == 1 and "take no part in the verdict" in page
    assert "Anomaly index of the smallest mask: 3.5; backdoored above 2." in page
    assert (
        "Not asked. MNTD needs &lt;u&gt;more&lt;/u&gt;." in page
        and "https://arxiv.org/abs/1902.06531" in page
    )
    assert page.count('title="Second opinions beside reference networks"') == 1
    assert [f.name for f in all_figures(case, []) if f.name.startswith("opinion")] == [
        "opinion-neural_cleanse"
    ]
    for name, text in (("report.html", page), ("report.json", report_json(case.report))):
        (tmp_path / name).write_text(text, encoding="utf-8")
        checks = states(tmp_path / name)
        assert {checks[c] for c in ("json", "page", "text") if c in checks} == {HOLDS}, checks


def test_a_changed_opinion_breaks_the_seal_of_json_and_page(case: Case, tmp_path: Path) -> None:
    changed = json.loads(report_json(case.report))
    changed["opinions"][0]["decision"] = "clean"
    path = tmp_path / "report.json"
    path.write_text(json.dumps(changed), encoding="utf-8")
    assert states(path)["json"] == DIFFERS
    del changed["opinions"]
    path.write_text(json.dumps(changed), encoding="utf-8")
    assert states(path)["json"] == DIFFERS
    page = tmp_path / "report.html"
    page.write_text(html_report(case).replace("✗ backdoored</strong>", "✓ clean</strong>"), encoding="utf-8")
    checks = states(page)
    assert checks["page"] == DIFFERS and checks["text"] == DIFFERS


@pytest.mark.parametrize(
    "change",
    [
        {"target_class": 99},
        {"decision": "harmless"},
        {"statistic": None},
        {"statistic": float("inf")},
        {"seconds": -1.0},
        {"method": "../x"},
        {"more": 1},
    ],
)
def test_what_no_method_says_is_refused(change: dict[str, Any], case: Case) -> None:
    record = json.loads(report_json(case.report))
    record["opinions"][0] |= change
    with pytest.raises(ValueError):
        Report.from_dict(record)


def test_opinions_come_back_from_a_report(case: Case, found: Opinions) -> None:
    read = Report.from_dict(json.loads(report_json(case.report)))
    assert read.opinions == case.report.opinions == records(found)
    first, second, third = map(opinion_of, read.opinions)
    assert first == replace(found.given[0], per_class=()) and second == found.given[1] and third is None
    assert opinion_of(read.opinions[0] | {"method": "of_another_program"}) is None


def test_opinions_on_another_pack_are_refused_and_a_reason_stands_for_each_method(
    case: Case, tiny_cases: dict[str, Case], found: Opinions
) -> None:
    plain = tiny_cases["clean"].report
    with pytest.raises(ValueError, match="another reference pack"):
        with_opinions(plain, replace(found, pack_sha256="0" * 64))
    with pytest.raises(ValueError, match="names a class"):
        with_opinions(plain, replace(found, given=(replace(found.given[0], target=99),)))
    stopped = with_reason(case.report, ["strip", "mm_bd"], "There was no time.")
    said = {one["method"]: (one["statistic"], one["sentence"]) for one in stopped.opinions}
    assert said["strip"] == said["mm_bd"] == (None, "There was no time.")
    assert said["neural_cleanse"][0] == 3.5 and list(said) == ["mm_bd", "neural_cleanse", "strip", "mntd"]


def test_the_drawing_of_a_report_is_a_file_of_its_own() -> None:
    alone = drawing._alone(Opinion("mm_bd", 2.0, 1.3, True, "."), Beside((0.0, 1.0), (3.0,)))
    assert alone.startswith('<svg xmlns="http://www.w3.org/2000/svg"') and "currentColor" not in alone
    assert len(re.findall('class="(?:clean|backdoored|own|limit)" d="M[\\d.]+ [^>]*stroke="#', alone)) == 5
