"""A scan of a thousand files: a line each and a summary, while nothing that grows with the reports is kept."""

from __future__ import annotations

import json
import tracemalloc
import weakref
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from tests.results.formats.test_formats import REPORT
from ti_core.cli.main import main
from ti_core.results.report import Report
from ti_core.scan import scan as scanning
from ti_core.scan.ledger import known_lines

FILES, EVERY = 1000, 20
"""Number of files, and which of them get a report; the others are refused."""


class Ended:
    """An inspection that has ended."""

    state, fault = "done", "RefusedFileError"

    def __init__(self, number: int) -> None:
        self.number, self.error = number, "It imports os.system."
        self.state = "failed" if number % EVERY else "done"

    def close(self) -> None:
        """Nothing is left over."""


def test_a_thousand_files_are_a_line_each_and_a_summary_in_constant_memory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    folder, out = tmp_path / "models", tmp_path / "lines.jsonl"
    folder.mkdir()
    for number in range(FILES):
        (folder / f"m{number:04}.pt").write_text(str(number))
    started, reports = 0, []

    def start(work: scanning.Work, path: Path, digest: str) -> Ended:
        nonlocal started
        assert sum(report() is not None for report in reports) <= 1, "an earlier report is kept"
        if started == FILES // 2:
            tracemalloc.start()
        started += 1
        return Ended(started - 1)

    def report_of(job: Ended) -> Report:
        verdict = "clean" if job.number % (2 * EVERY) else "inconclusive"
        found = replace(REPORT, verdict=verdict, trigger_kind=None, target_class=None, mapping=None)
        reports.append(weakref.ref(found))
        return found

    monkeypatch.setattr(scanning.Work, "start", start)
    monkeypatch.setattr(scanning, "report_of", report_of)
    code = main(["scan", str(folder), "--jsonl", str(out)])
    growth = tracemalloc.get_traced_memory()[0] / (FILES / 2)
    tracemalloc.stop()
    lines: list[dict[str, Any]] = list(known_lines(out))
    assert code == 2 and [Path(line["file"]).name for line in lines] == [f"m{n:04}.pt" for n in range(FILES)]
    shown = capsys.readouterr().out.splitlines()
    assert sum(line.lstrip(".").split()[0].endswith(".pt") for line in shown[1:-1]) == FILES
    assert shown[-1].startswith(f"{FILES} files in ") and shown[-1].endswith(
        ": 25 clean, 25 inconclusive, 950 error."
    )
    longest = max(len(json.dumps(line)) for line in lines)
    assert longest > 10_000 and growth < 600, f"{growth:.0f} bytes a file"
