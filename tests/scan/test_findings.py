"""What a scan tells beside its lines: documents, pages, an exit code of one's own, and only what is new."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tests.cli.quick import QUICK
from tests.scan.test_scan import folder
from ti_core.cli.main import main
from ti_core.errors import SettingsError
from ti_core.reference.pack import Pack
from ti_core.scan.baseline import Baseline
from ti_core.scan.ledger import known_lines

__all__ = ["folder"]


def test_a_scan_writes_documents_of_all_files_also_of_those_passed_over(
    folder: Path, tiny_pack: Pack, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    lines, log = tmp_path / "out.jsonl", tmp_path / "log.sarif"
    scan = ["scan", str(folder), "--pack", str(tiny_pack.folder), *QUICK]
    code = main([*scan, "--jsonl", str(lines), "--sarif", str(log)])
    printed = capsys.readouterr()
    reports = [json.loads(line) for line in lines.read_text().splitlines()]
    assert code in (1, 2) and len(reports) == 3
    table = printed.out.splitlines()
    assert table[0].split()[0] == "file" and table[-1].startswith("3 files in ") and printed.err == ""
    assert sum(str(folder)[-8:] in line for line in table) == 3
    first = json.loads(log.read_text())["runs"][0]
    broken = [n for n in first["invocations"][0]["toolExecutionNotifications"] if n["level"] == "error"]
    assert len(broken) == 1 and "broken.pt" in str(broken[0]["locations"])
    # The second time all files are passed over. The documents say the same, and the table nothing new.
    again = tmp_path / "again.sarif"
    assert main([*scan, "--jsonl", str(lines), "--sarif", str(again), "--quiet"]) == code
    assert capsys.readouterr().out == "" and json.loads(again.read_text())["runs"][0] == first
    # Everything is known from the first scan, so nothing fails.
    known = [*scan, "--jsonl", "-", "--baseline", str(lines), "--sarif", str(log)]
    assert main(known) == 0
    assert [json.loads(line)["file"] for line in capsys.readouterr().out.splitlines()] == [
        line["file"] for line in reports
    ]
    results = json.loads(log.read_text())["runs"][0]["results"]
    assert {r["baselineState"] for r in results} <= {"unchanged"}


def test_only_the_outcomes_that_were_named_fail(
    folder: Path, tiny_pack: Pack, capsys: pytest.CaptureFixture[str]
) -> None:
    broken = ["scan", str(folder / "broken.pt"), "--pack", str(tiny_pack.folder), *QUICK]
    assert main(broken) == main([*broken, "--fail-on", "error"]) == 2
    assert main([*broken, "--fail-on", "backdoored", "--fail-on", "inconclusive"]) == 0
    capsys.readouterr()
    assert main([*broken, "--github", "-"]) == 2
    out = capsys.readouterr().out
    assert out.startswith("::error file=") and out.count("\n") == 1
    assert main([*broken, "--html", "x", "--engine", "ray"]) == 2
    assert "leave out --engine ray" in capsys.readouterr().err


def test_one_model_gets_the_same_documents(
    tiny_models: dict[str, Path], tiny_pack: Pack, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    inspect = ["inspect", str(tiny_models["patch"]), "--pack", str(tiny_pack.folder), *QUICK]
    code = main([*inspect, "--attestation", "-"])
    verdict = json.loads(capsys.readouterr().out)["predicate"]["verdict"]
    assert {"clean": 0, "backdoored": 1, "inconclusive": 3}[verdict] == code
    fails = "inconclusive" if verdict == "backdoored" else "backdoored"
    assert main([*inspect, "--fail-on", fails, "--quiet"]) == 0
    assert capsys.readouterr().out == ""
    evil = tmp_path / "evil.pt"
    evil.write_bytes(b"cos\nsystem\n(S'true'\ntR.")
    assert main(["inspect", str(evil), "--sarif", str(tmp_path / "s"), "--fail-on", "backdoored"]) == 2
    result = json.loads((tmp_path / "s").read_text())["runs"][0]["results"][0]
    assert result["ruleId"] == "TI0201" and "can run code" in result["message"]["text"]


def test_a_scan_writes_the_page_of_each_model(
    tiny_models: dict[str, Path], tiny_pack: Pack, tmp_path: Path
) -> None:
    model, lines, pages = tiny_models["clean"], tmp_path / "out.jsonl", tmp_path / "pages"
    evil = tmp_path / "evil.pt"
    evil.write_bytes(b"cos\nsystem\n(S'true'\ntR.")
    scan = ["scan", str(model), str(evil), "--pack", str(tiny_pack.folder), *QUICK]
    assert main([*scan, "--jsonl", str(lines), "--html", str(pages)]) in (1, 2)
    line = next(line for line in map(json.loads, lines.read_text().splitlines()) if "error" not in line)
    assert [page.name for page in pages.iterdir()] == [f"{model.name}-{line['sha256'][:8]}.html"]
    assert main(["report", "verify", str(next(pages.iterdir())), "--model", str(model)]) in (0, 3)


def test_a_baseline_knows_a_finding_by_content_verdict_and_target(tmp_path: Path) -> None:
    line: dict[str, Any] = {"file": "a", "sha256": "1", "verdict": "backdoored", "target_class": 3}
    known = Baseline([line, {"file": "gone", "sha256": "", "error": "x"}])
    assert known.knows(line | {"file": "elsewhere"}) and known.knows({"file": "gone", "error": "y"})
    changes = ({"sha256": "2"}, {"verdict": "inconclusive"}, {"target_class": 4}, {"trigger_kind": "blend"})
    assert not any(known.knows(line | change) for change in changes)
    # A baseline is only read: its cut line stays.
    file = tmp_path / "lines"
    file.write_text(json.dumps(line) + '\n{"file": "ha')
    assert list(known_lines(file, mend=False)) == [line] and file.read_text().endswith('"ha')
    file.write_text("notes\n")
    with pytest.raises(SettingsError):
        Baseline(known_lines(file, mend=False))
