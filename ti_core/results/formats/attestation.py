"""in-toto statements: which verdict a file got, by its digest. One statement a line."""

from __future__ import annotations

import json
from typing import Any

from ti_core.results.coverage import rows_of, short
from ti_core.results.formats.outcome import Outcome
from ti_core.results.formats.taxonomy import terms_of
from ti_core.results.report import Report
from ti_core.system.strict_json import parse
from ti_core.text import shown

STATEMENT = "https://in-toto.io/Statement/v1"
PREDICATE = "urn:trojaninterpret:inspection:v1"


class Statements:
    """The statements of all files that have a report. Nothing is stated about a file without one."""

    def __init__(self) -> None:
        self._lines: list[str] = []

    def add(self, outcome: Outcome) -> None:
        """One more file."""
        if outcome.report is not None:
            self._lines.append(json.dumps(statement(outcome.report, outcome.sha256)) + "\n")

    def text(self) -> str:
        """All statements, one a line."""
        return "".join(self._lines)


def is_stated(lines: bytes, report: Report) -> bool:
    """Whether one of these statements, which a stranger may have written, says exactly what a report says."""
    expected = json.loads(json.dumps(statement(report, report.model["sha256"])))
    for line in lines.splitlines():
        try:
            if line.strip() and parse(line) == expected:
                return True
        except ValueError:
            continue
    return False


def statement(report: Report, sha256: str) -> dict[str, Any]:
    """What a report says about the file with that digest."""
    return {
        "_type": STATEMENT,
        "subject": [{"name": shown(report.model["file"], 500), "digest": {"sha256": sha256}}],
        "predicateType": PREDICATE,
        "predicate": {
            "verdict": report.verdict,
            "probability": report.probability,
            "triggerKind": report.trigger_kind,
            "targetClass": report.target_class,
            "mapping": None if report.mapping is None else report.mapping["kind"],
            "lookedFor": short(rows_of(report.coverage)),
            "taxonomy": [term.id for term in terms_of(report.verdict, report.trigger_kind)],
            "pack": {"name": report.pack.get("name"), "digest": {"sha256": report.pack.get("sha256")}},
            "settings": report.settings,
            "program": {"name": "trojaninterpret", "versions": report.versions},
            "report": {"schemaVersion": report.schema_version, "seal": {"sha256": report.content_seal}},
        },
    }
