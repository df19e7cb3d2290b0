"""SARIF 2.1.0: findings as code-scanning services read them. A clean model has no result."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from typing import Any

from ti_core.results.coverage import NOT_LOOKED, lines_of, rows_of
from ti_core.results.formats.outcome import Outcome
from ti_core.results.formats.taxonomy import RULES, SCHEMES, Rule, Scheme, Term, every_term
from ti_core.version import __version__

SCHEMA = "https://docs.oasis-open.org/sarif/sarif/v2.1.0/errata01/os/schemas/sarif-schema-2.1.0.json"
GAP, FAILED = "not-looked-for", "not-inspected"


class Sarif:
    """A log with one run. It keeps findings and notes only, so that it stays small over many clean files."""

    def __init__(self) -> None:
        self._results: list[dict[str, Any]] = []
        self._failures: list[dict[str, Any]] = []
        self._gaps: dict[str, dict[str, dict[str, Any]]] = {}

    def add(self, outcome: Outcome) -> None:
        """One more file."""
        place = {"physicalLocation": {"artifactLocation": {"uri": outcome.address}}}
        if rule := outcome.rule:
            self._results.append(_result(outcome, rule, place))
        elif outcome.report is None:
            self._failures.append(_note(FAILED, "error", outcome.message, [place]))
        if outcome.report is not None:
            for line in lines_of(rows_of(outcome.report.coverage)):
                if line.status == NOT_LOOKED:
                    said = f"Not looked for: {line.what}, {line.leads}. Reason: {line.note}."
                    self._gaps.setdefault(said, {})[outcome.address] = place

    def text(self) -> str:
        """The log."""
        gaps = [_note(GAP, "note", said, list(places.values())) for said, places in self._gaps.items()]
        run = {
            "tool": {"driver": _driver()},
            "taxonomies": [_taxonomy(scheme) for scheme in SCHEMES],
            "invocations": [
                {
                    "executionSuccessful": not self._failures,
                    "toolExecutionNotifications": [*self._failures, *gaps],
                }
            ],
            "columnKind": "utf16CodeUnits",
            "results": self._results,
        }
        return json.dumps({"$schema": SCHEMA, "version": "2.1.0", "runs": [run]}, indent=2) + "\n"


def _driver() -> dict[str, Any]:
    return {
        "name": "TrojanInterpret",
        "version": __version__,
        "semanticVersion": __version__,
        "rules": [_rule(rule) for rule in RULES],
        "notifications": [
            {"id": GAP, "shortDescription": {"text": "A kind of backdoor that was not looked for."}},
            {"id": FAILED, "shortDescription": {"text": "A file that could not be inspected."}},
        ],
        "supportedTaxonomies": [_component(scheme) for scheme in SCHEMES],
    }


def _rule(rule: Rule) -> dict[str, Any]:
    return {
        "id": rule.id,
        "name": rule.name,
        "shortDescription": {"text": rule.title},
        "fullDescription": {"text": rule.says},
        "defaultConfiguration": {"level": rule.level},
        "relationships": [{"target": _reference(t), "kinds": ["relevant"]} for t in rule.terms],
        "properties": {"security-severity": f"{rule.severity}", "tags": ["security", *_ids(rule.terms)]},
    }


def _result(outcome: Outcome, rule: Rule, place: dict[str, Any]) -> dict[str, Any]:
    report = outcome.report
    target = None if report is None else report.target_class
    finding = hashlib.sha256(f"{rule.id} {target} {outcome.sha256}".encode()).hexdigest()
    result: dict[str, Any] = {
        "ruleId": rule.id,
        "ruleIndex": RULES.index(rule),
        "level": rule.level,
        "message": {"text": outcome.message},
        "locations": [place],
        "partialFingerprints": {"modelSha256/v1": outcome.sha256, "finding/v1": finding},
        "taxa": [_reference(term) for term in rule.terms],
    }
    if outcome.known is not None:
        result["baselineState"] = "unchanged" if outcome.known else "new"
    if report is not None:
        result["properties"] = {
            "verdict": report.verdict,
            "probability": report.probability,
            "pack": report.pack.get("name"),
            "packSha256": report.pack.get("sha256"),
            "seal": report.content_seal,
        }
    return result


def _note(identity: str, level: str, said: str, places: Sequence[dict[str, Any]]) -> dict[str, Any]:
    return {
        "descriptor": {"id": identity},
        "level": level,
        "message": {"text": said},
        "locations": list(places),
    }


def _taxonomy(scheme: Scheme) -> dict[str, Any]:
    return {
        "name": scheme.name,
        "version": scheme.version,
        "organization": scheme.organisation,
        "informationUri": scheme.address,
        "shortDescription": {"text": f"Entries of {scheme.name} that findings are related to."},
        "taxa": [
            {"id": term.id, "name": term.name, "helpUri": term.address}
            for term in every_term()
            if term.scheme is scheme
        ],
    }


def _component(scheme: Scheme) -> dict[str, Any]:
    return {"name": scheme.name, "index": SCHEMES.index(scheme)}


def _reference(term: Term) -> dict[str, Any]:
    own = [other for other in every_term() if other.scheme is term.scheme]
    return {"id": term.id, "index": own.index(term), "toolComponent": _component(term.scheme)}


def _ids(terms: Sequence[Term]) -> list[str]:
    """Tags. Services look for ``external/cwe/cwe-N``."""
    return [f"external/cwe/{t.id.lower()}" if t.id.startswith("CWE-") else t.id for t in terms]
