"""Damaged cases and reports: each is read as what it was, or is refused in a sentence; nothing else happens."""

from __future__ import annotations

import random
from pathlib import Path

import pytest

from tests.damage import damaged
from ti_core.errors import CaseError, ReportError
from ti_core.rendering.page import html_report, report_json
from ti_core.rendering.verify import DIFFERS, NOT_COMPARED, verify_report
from ti_core.results.case import Case
from ti_core.results.case_files import load_case, save_case


@pytest.mark.parametrize("name", ["case.json", "case.safetensors"])
def test_a_mutated_case_is_read_or_refused(name: str, tiny_cases: dict[str, Case], tmp_path: Path) -> None:
    save_case(tiny_cases["patch"], tmp_path)
    data, rng = (tmp_path / name).read_bytes(), random.Random(name)
    refused = 0
    # A run of zeros within zeros changes nothing.
    changed = [other for other in (damaged(data, rng) for _ in range(60)) if other != data]
    for other in changed:
        (tmp_path / name).write_bytes(other)
        try:
            load_case(tmp_path)
        except CaseError as error:
            assert 10 < len(str(error)) < 600
            refused += 1
    assert refused == len(changed) if name == "case.safetensors" else refused > 30


@pytest.mark.parametrize("ending", ["json", "html"])
def test_a_mutated_report_never_holds(ending: str, tiny_cases: dict[str, Case], tmp_path: Path) -> None:
    """A change that says the same, such as another blank in the JSON, may hold; another content never does."""
    case = tiny_cases["patch"]
    text = report_json(case.report) if ending == "json" else html_report(case)
    path, rng = tmp_path / f"report.{ending}", random.Random(ending)
    found = {"refused": 0, DIFFERS: 0, NOT_COMPARED: 0}
    for _ in range(60):
        changed = damaged(text.encode(), rng)
        path.write_bytes(changed)
        try:
            verification = verify_report(path)
        except ReportError as error:
            assert 10 < len(str(error)) < 600
            found["refused"] += 1
            continue
        found[verification.state] += 1
        if verification.state == NOT_COMPARED:
            assert changed == text.encode() or ending == "json"
            assert not verification.report.seal or verification.report.as_json() == case.report.as_json()
    assert found["refused"] > 0 and found[DIFFERS] > 0
