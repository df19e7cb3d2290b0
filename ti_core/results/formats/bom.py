"""CycloneDX 1.6: a bill of materials in which each model is a component, and its inspection an attestation."""

from __future__ import annotations

import json
import uuid
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

from ti_core.results.coverage import FOUND, Row, rows_of, short
from ti_core.results.formats.outcome import Outcome
from ti_core.results.formats.taxonomy import Rule
from ti_core.results.report import Report
from ti_core.text import shown
from ti_core.version import __version__

PROGRAM = "pkg:pypi/trojaninterpret"
SCHEMA = "http://cyclonedx.org/schema/bom-1.6.schema.json"
SEVERITIES = {"error": "high", "warning": "unknown"}


class Bom:
    """A bill of materials with one component a file. A file without a report is a component without an attestation."""

    def __init__(self) -> None:
        self._components: list[dict[str, Any]] = []
        self._findings: list[dict[str, Any]] = []
        self._attestations: list[dict[str, Any]] = []
        self._claims: list[dict[str, Any]] = []
        self._evidence: list[dict[str, Any]] = []

    def add(self, outcome: Outcome) -> None:
        """One more file."""
        reference = f"model-{len(self._components) + 1}"
        self._components.append(_component(outcome, reference))
        if rule := outcome.rule:
            self._findings.append(_finding(outcome, rule, reference))
        if outcome.report is not None:
            self._attest(outcome.report, reference)

    def _attest(self, report: Report, reference: str) -> None:
        """The inspection: a claim for a clean model, a counter-claim for a backdoored one, and what it rests on."""
        rows = rows_of(report.coverage)
        evidence = [_evidence(f"{reference}-verdict", "trojaninterpret:verdict", report.sentence())]
        evidence += [
            _evidence(f"{reference}-kind-{n}", f"trojaninterpret:{row.kind}, {row.mapping}", _rates(row))
            for n, row in enumerate((r for r in rows if r.looked_for), start=1)
        ]
        against = report.verdict == "backdoored"
        said = [item["bom-ref"] for item in evidence]
        claim = f"{reference}-claim"
        self._claims.append(
            {
                "bom-ref": claim,
                "target": reference,
                "predicate": f"The model holds no backdoor of the kinds looked for ({short(rows) or 'none'}).",
                "reasoning": report.sentence(),
                ("counterEvidence" if against else "evidence"): said,
            }
        )
        self._attestations.append(
            {
                "summary": report.sentence(),
                "assessor": "trojaninterpret",
                "map": [
                    {
                        ("counterClaims" if against else "claims"): [claim],
                        "conformance": {
                            "score": round(1.0 - report.probability, 6),
                            "rationale": "One minus the calibrated probability of a backdoor.",
                        },
                    }
                ],
            }
        )
        self._evidence += evidence

    def text(self) -> str:
        """The document."""
        program = {
            "type": "application",
            "bom-ref": "program",
            "name": "trojaninterpret",
            "version": __version__,
            "purl": f"{PROGRAM}@{__version__}",
        }
        bom = {
            "$schema": SCHEMA,
            "bomFormat": "CycloneDX",
            "specVersion": "1.6",
            "serialNumber": f"urn:uuid:{uuid.uuid4()}",
            "version": 1,
            "metadata": {
                "timestamp": datetime.now(UTC).isoformat(timespec="seconds"),
                "tools": {"components": [program]},
            },
            "components": self._components,
            "vulnerabilities": self._findings,
            "declarations": {
                "assessors": [
                    {
                        "bom-ref": "trojaninterpret",
                        "thirdParty": True,
                        "organization": {"name": f"TrojanInterpret {__version__}"},
                    }
                ],
                "attestations": self._attestations,
                "claims": self._claims,
                "evidence": self._evidence,
            },
        }
        return json.dumps(bom, indent=2) + "\n"


def _component(outcome: Outcome, reference: str) -> dict[str, Any]:
    report = outcome.report
    component: dict[str, Any] = {
        "type": "machine-learning-model",
        "bom-ref": reference,
        "name": outcome.name,
        "properties": _properties(outcome),
    }
    if outcome.sha256:
        component["hashes"] = [{"alg": "SHA-256", "content": outcome.sha256}]
    if report is not None:
        component["modelCard"] = _card(report, reference)
    return component


def _card(report: Report, reference: str) -> dict[str, Any]:
    model, pack = report.model, report.pack
    parameters: dict[str, Any] = {
        "task": "image classification",
        "modelArchitecture": shown(str(model["architecture"])),
        "inputs": [{"format": f"image, {' x '.join(map(str, model['input_shape']))}"}],
        "outputs": [{"format": f"scores of {model['classes']} classes"}],
    }
    accuracy = model.get("clean_accuracy")
    if pack.get("name") is not None:
        # The images that it was inspected on. They tell what it was trained for where it classifies them correctly.
        parameters["datasets"] = [
            {"type": "dataset", "bom-ref": f"{reference}-images", "name": f"images of {pack['name']}"}
        ]
    card: dict[str, Any] = {
        "modelParameters": parameters,
        "considerations": {"technicalLimitations": report.limits()},
    }
    if accuracy is not None:
        metric = {"type": "accuracy on clean images", "value": f"{accuracy:.4f}"}
        card["quantitativeAnalysis"] = {"performanceMetrics": [metric]}
    return card


def _properties(outcome: Outcome) -> list[dict[str, str]]:
    report = outcome.report
    values: dict[str, object] = {"verdict": outcome.verdict}
    if report is None:
        values["error"] = outcome.message
    else:
        values |= {
            "probability": report.probability,
            "trigger kind": report.trigger_kind or "",
            "target class": "" if report.target_class is None else report.target_class,
            "parameters": report.model["parameters"],
            "format": report.model["format"],
            "pack": report.pack.get("name") or "",
            "pack sha256": report.pack.get("sha256") or "",
            "program source": report.versions.get("source", ""),
            "seal of the report": report.content_seal,
        }
    return [{"name": f"trojaninterpret:{name}", "value": str(value)} for name, value in values.items()]


def _finding(outcome: Outcome, rule: Rule, reference: str) -> dict[str, Any]:
    cwes = [int(t.id.removeprefix("CWE-")) for t in rule.terms if t.id.startswith("CWE-")]
    others: Sequence[Any] = [t for t in rule.terms if not t.id.startswith("CWE-")]
    return {
        "bom-ref": f"{reference}-finding",
        "id": f"{rule.id}-{reference}",
        "source": {"name": "TrojanInterpret"},
        "references": [{"id": t.id, "source": {"name": t.scheme.name, "url": t.address}} for t in others],
        "ratings": [{"severity": SEVERITIES[rule.level], "method": "other"}],
        "cwes": cwes,
        "description": outcome.message,
        "detail": rule.says,
        "analysis": {"state": "in_triage"},
        "affects": [{"ref": reference}],
    }


def _rates(row: Row) -> str:
    result = "found" if row.status == FOUND else "not found"
    if row.figures is None:
        return f"{result}; how often it is found was not measured"
    f = row.figures
    return (
        f"{result}; of {f.trojaned} such models {f.found:.0%} are found ({f.low:.0%} to {f.high:.0%}), of {f.clean}"
        f" clean ones {f.false_alarms:.0%} raise a false alarm"
    )


def _evidence(reference: str, name: str, said: str) -> dict[str, Any]:
    return {"bom-ref": reference, "propertyName": name, "description": said}
