"""Reports and cases of schema version 1, as an earlier version of the program wrote them, are read and verified."""

from __future__ import annotations

import json
import re
import shutil
from dataclasses import replace
from hashlib import sha256
from pathlib import Path

import pytest

from tests.results.test_schema import fits
from ti_core.cli.main import main
from ti_core.errors import CaseError, ReportError
from ti_core.rendering.page import html_report
from ti_core.rendering.verify import DIFFERS, HOLDS, NOT_COMPARED, compare_verdicts, verify_report
from ti_core.results.case import Case
from ti_core.results.case_files import load_case
from ti_core.results.reading import read_report
from ti_core.results.report import Report, report_schema

STORED = Path(__file__).parent / "version_1"
ROOT = Path(__file__).resolve().parents[2]


@pytest.mark.parametrize("name", ["clean", "patch"])
def test_a_json_of_version_1_is_read_and_has_its_seal(name: str) -> None:
    path = STORED / f"{name}.json"
    report = read_report(path).report
    assert report.schema_version == 1 and report.mapping is None and report.coverage == []
    assert report.seal == report.content_seal
    # It is written again letter by letter, without the fields that it never had.
    assert report.as_json() + "\n" == path.read_text(encoding="utf-8")
    found = {check.name: check.state for check in verify_report(path).checks}
    assert found == {"json": HOLDS, "code": DIFFERS, "model": NOT_COMPARED, "pack": NOT_COMPARED}


def test_what_version_1_said_is_said_without_what_it_did_not_know() -> None:
    clean, patch = (read_report(STORED / f"{name}.json").report for name in ("clean", "patch"))
    assert clean.heading() == "Inconclusive" and clean.limits() == []
    assert ": inconclusive, probability of a backdoor" in clean.sentence()
    assert replace(clean, verdict="clean").sentence().endswith("looks clean: probability of a backdoor 7%.")
    assert patch.heading() == f"Backdoored: a patch leads all images to class {patch.target_class_name}"


def test_a_page_of_version_1_is_verified_as_far_as_it_can_be(capsys: pytest.CaptureFixture[str]) -> None:
    found = {check.name: check.state for check in verify_report(STORED / "patch.html").checks}
    assert found["json"] == found["page"] == HOLDS and found["text"] == NOT_COMPARED
    assert main(["report", "verify", str(STORED / "patch.html")]) == 3
    assert "is backdoored" in capsys.readouterr().out


@pytest.mark.parametrize(
    "edit",
    [
        lambda text: text.replace("backdoored", "clean"),
        lambda text: re.sub(r'"probability": 0\.\d+', '"probability": 0.5', text, count=1),
    ],
)
def test_an_edit_of_a_json_of_version_1_is_noticed(edit: object, tmp_path: Path) -> None:
    assert callable(edit)
    path = tmp_path / "report.json"
    path.write_text(edit((STORED / "patch.json").read_text(encoding="utf-8")), encoding="utf-8")
    assert {check.name: check.state for check in verify_report(path).checks}["json"] == DIFFERS


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"trigger_kind": "warp"}, "trigger_kind"),
        ({"mapping": None}, "mapping is unknown"),
        ({"coverage": []}, "coverage is unknown"),
        ({"bearings": []}, "bearings is unknown"),
        ({"schema_version": True}, "schema_version"),
    ],
)
def test_version_1_has_no_field_of_version_2(change: dict[str, object], words: str) -> None:
    record = json.loads((STORED / "patch.json").read_text(encoding="utf-8"))
    with pytest.raises(ValueError, match=words):
        Report.from_dict(record | change)


def test_a_version_to_come_is_named(tmp_path: Path) -> None:
    path = tmp_path / "report.json"
    record = json.loads((STORED / "patch.json").read_text(encoding="utf-8")) | {"schema_version": 3}
    path.write_text(json.dumps(record), encoding="utf-8")
    with pytest.raises(ReportError, match="schema version 3; this program reads 1 and 2"):
        read_report(path)


def test_a_kept_case_of_version_1_opens_and_has_a_page(tmp_path: Path) -> None:
    folder = tmp_path / "case"
    shutil.copytree(STORED / "case", folder)
    case = load_case(folder)
    assert case.report.schema_version == 1 and case.report.coverage == []
    page = html_report(case)
    assert "What was looked for</h2>" not in page and "Backdoored: a patch leads all images" in page
    (tmp_path / "page.html").write_text(page, encoding="utf-8")
    found = {check.name: check.state for check in verify_report(tmp_path / "page.html").checks}
    assert found["json"] == found["page"] == found["text"] == HOLDS
    record = json.loads((folder / "case.json").read_text(encoding="utf-8"))
    record["report"]["coverage"] = []
    (folder / "case.json").write_text(json.dumps(record), encoding="utf-8")
    with pytest.raises(CaseError, match="coverage is unknown"):
        load_case(folder)


def test_a_new_inspection_is_compared_with_what_version_1_could_say(tiny_cases: dict[str, Case]) -> None:
    fresh = tiny_cases["patch"].report
    record = {
        k: v
        for k, v in json.loads(fresh.as_json()).items()
        if k not in ("mapping", "coverage", "bearings", "seal")
    }
    old = Report.from_dict(record | {"schema_version": 1})
    assert compare_verdicts(old, fresh).state == HOLDS


FROZEN = "e31f6e350c699bc2208a68c96502f015fea03670f3f1f5f61eaa46d1048467b4"
"""SHA-256 of the schema of version 1. It never changes: programs of others check reports with it."""


def test_the_published_schema_of_version_1_never_changes_and_fits_what_is_stored() -> None:
    content = (ROOT / "docs" / "report-schema-1.json").read_bytes()
    assert sha256(content).hexdigest() == FROZEN
    published = json.loads(content)
    assert set(published["properties"]).isdisjoint({"mapping", "coverage", "bearings"})
    for name in ("clean", "patch"):
        record = json.loads((STORED / f"{name}.json").read_text(encoding="utf-8"))
        assert fits(record, published, published)
        assert not fits(record | {"coverage": []}, published, published)


def test_every_field_of_version_1_is_still_read() -> None:
    """The reader knows each field of the frozen schema, with its values."""
    published = json.loads((ROOT / "docs" / "report-schema-1.json").read_text(encoding="utf-8"))
    current = report_schema(1).json
    assert published["properties"].keys() == current["properties"].keys()
    assert published["$defs"].keys() <= current["$defs"].keys()
    for name, group in published["$defs"].items():
        known = current["$defs"][name]
        assert group.get("properties", {}).keys() <= known.get("properties", {}).keys(), name
        assert set(known.get("required", ())) <= set(group.get("required", ())), name
