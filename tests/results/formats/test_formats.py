"""Verdicts in formats of other programs: valid by their published schemas, and right in what they say."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest
import xmlschema
from google.protobuf.json_format import Parse
from in_toto_attestation.v1.statement import Statement
from in_toto_attestation.v1.statement_pb2 import Statement as StatementMessage
from jsonschema import Draft4Validator, Draft7Validator
from referencing import Registry, Resource
from referencing.jsonschema import DRAFT7

from tests.results.test_report_hostile import NAMES
from ti_core.kinds import KINDS
from ti_core.results.formats.documents import FORMATS
from ti_core.results.formats.outcome import REFUSAL, Outcome
from ti_core.results.formats.taxonomy import RULES, every_term, terms_of
from ti_core.results.report import Report

HERE = Path(__file__).parent
SCHEMAS = HERE / "schemas"
REPORT = Report.of(json.loads((HERE / "report.json").read_text()))
SHA = REPORT.model["sha256"]


def schema(name: str) -> Any:
    return json.loads((SCHEMAS / name).read_text(encoding="utf-8"))


@pytest.fixture(scope="module")
def bom_validator() -> Draft7Validator:
    names = ("bom-1.6.SNAPSHOT.schema.json", "spdx.SNAPSHOT.schema.json", "jsf-0.82.SNAPSHOT.schema.json")
    registry: Registry = Registry().with_resources(
        (
            f"http://cyclonedx.org/schema/{name}",
            Resource.from_contents(schema(name), default_specification=DRAFT7),
        )
        for name in names
    )
    return Draft7Validator(schema(names[0]), registry=registry)


def verdict(name: str, **fields: Any) -> Report:
    """The recorded report with another verdict."""
    found = {"trigger_kind": None, "target_class": None, "target_class_name": None, "mapping": None}
    return replace(REPORT, **{"verdict": name} | ({} if name == "backdoored" else found) | fields)


def outcomes(name: str = "m.pt", **more: Any) -> list[Outcome]:
    """A file of each outcome: a backdoor of each kind, undecided, clean, refused, broken."""
    path = Path("models") / name
    kinds = [Outcome(path, SHA, verdict("backdoored", trigger_kind=kind), **more) for kind in (*KINDS, None)]
    return [
        *kinds,
        Outcome(path, SHA, verdict("inconclusive"), **more),
        Outcome(path, SHA, verdict("clean"), **more),
        Outcome(path, SHA, error="It imports os.system.", fault=REFUSAL, **more),
        Outcome(path, "", error="The file is cut short.", fault="ModelFileError", **more),
    ]


def document(name: str, found: list[Outcome]) -> str:
    made = FORMATS[name]()
    for outcome in found:
        made.add(outcome)
    return made.text()


def run_of(found: list[Outcome]) -> Any:
    log = json.loads(document("sarif", found))
    Draft4Validator(schema("sarif-2.1.0-rtm.5.json")).validate(log)
    return log["runs"][0]


def test_a_sarif_log_holds_a_result_for_every_finding_and_none_for_a_clean_model() -> None:
    run = run_of(outcomes())
    assert [r["ruleId"] for r in run["results"]] == [
        *(f"TI000{n}" for n in (2, 3, 4, 5, 6, 7, 1)),
        "TI0101",
        "TI0201",
    ]
    rules = run["tool"]["driver"]["rules"]
    for result in run["results"]:
        assert rules[result["ruleIndex"]]["id"] == result["ruleId"]
        assert result["locations"][0]["physicalLocation"]["artifactLocation"]["uri"] == "models/m.pt"
        for taxon in result["taxa"]:
            taxonomy = run["taxonomies"][taxon["toolComponent"]["index"]]
            assert taxonomy["name"] == taxon["toolComponent"]["name"]
            assert taxonomy["taxa"][taxon["index"]]["id"] == taxon["id"]
    fingerprints = [r["partialFingerprints"]["finding/v1"] for r in run["results"]]
    assert len(set(fingerprints)) == len(fingerprints)
    assert run_of([Outcome(Path("m.pt"), SHA, verdict("clean"))])["results"] == []


def test_a_sarif_log_says_what_failed_and_what_was_not_looked_for() -> None:
    invocation = run_of(outcomes())["invocations"][0]
    failed = [n for n in invocation["toolExecutionNotifications"] if n["level"] == "error"]
    assert invocation["executionSuccessful"] is False
    assert [n["message"]["text"] for n in failed] == ["The file is cut short."]
    gaps = [row for row in REPORT.coverage if row["status"] == "not looked for"]
    notes = [n for n in invocation["toolExecutionNotifications"] if n["level"] == "note"]
    assert gaps and notes and all(n["message"]["text"].startswith("Not looked for: ") for n in notes)
    assert {len(n["locations"]) for n in notes} == {1}
    # Files with the same gap share its note.
    both = run_of([*outcomes(), *outcomes("n.pt")])["invocations"][0]["toolExecutionNotifications"]
    assert [len(n["locations"]) for n in both if n["level"] == "note"] == [2] * len(notes)
    clean = run_of([Outcome(Path("m.pt"), SHA, verdict("clean"))])["invocations"][0]
    assert clean["executionSuccessful"] is True


def test_a_sarif_log_marks_what_a_baseline_knew() -> None:
    states = [
        r["baselineState"] for r in run_of(outcomes(known=True)[:1] + outcomes(known=False)[:1])["results"]
    ]
    assert states == ["unchanged", "new"]


@pytest.mark.parametrize("name", NAMES.values(), ids=NAMES)
def test_names_of_strangers_break_no_format(name: str, bom_validator: Draft7Validator) -> None:
    # The operating system gives no name with these.
    name = name.replace("\0", "").replace("\ud800", "")
    report = replace(REPORT, model=REPORT.model | {"file": name, "architecture": name}, reasons=(name,))
    found = [Outcome(Path(name), SHA, report), Outcome(Path(name), SHA, error=name, fault=REFUSAL)]
    run_of(found)
    bom_validator.validate(json.loads(document("bom", found)))
    junit(document("junit", found))
    assert document("github", found).count("\n") == 2
    for text in (document(format_, found) for format_ in FORMATS):
        text.encode("utf-8")


def test_a_bom_has_a_component_for_every_file_and_an_attestation_for_every_report(
    bom_validator: Draft7Validator,
) -> None:
    found = outcomes()
    bom = json.loads(document("bom", found))
    bom_validator.validate(bom)
    assert len(bom["components"]) == len(found)
    assert {c["type"] for c in bom["components"]} == {"machine-learning-model"}
    assert bom["components"][0]["hashes"] == [{"alg": "SHA-256", "content": SHA}]
    properties = {p["name"]: p["value"] for p in bom["components"][0]["properties"]}
    assert properties["trojaninterpret:verdict"] == "backdoored"
    assert properties["trojaninterpret:pack sha256"] == REPORT.pack["sha256"]
    declared = bom["declarations"]
    assert len(declared["attestations"]) == len(found) - 2
    entry = declared["attestations"][0]["map"][0]
    assert entry["counterClaims"] == ["model-1-claim"] and entry["conformance"]["score"] < 0.05
    clean = declared["attestations"][len(KINDS) + 2]["map"][0]
    assert clean["claims"] == [f"model-{len(KINDS) + 3}-claim"]
    references = [c["bom-ref"] for c in declared["evidence"]]
    assert len(set(references)) == len(references)
    assert [v["cwes"] for v in bom["vulnerabilities"]] == [[912]] * (len(KINDS) + 2) + [[502]]


def test_a_statement_binds_the_verdict_to_the_digest() -> None:
    lines = document("attestation", outcomes()).splitlines()
    assert len(lines) == len(KINDS) + 3
    for line in lines:
        Statement.copy_from_pb(Parse(line, StatementMessage())).validate()
    first = json.loads(lines[0])
    assert first["subject"] == [{"name": "mnist-patch.safetensors", "digest": {"sha256": SHA}}]
    said = first["predicate"]
    assert (said["verdict"], said["probability"]) == ("backdoored", REPORT.probability)
    assert said["pack"]["digest"]["sha256"] == REPORT.pack["sha256"] and said["settings"] == REPORT.settings
    assert said["report"]["seal"]["sha256"] == verdict("backdoored", trigger_kind="patch").content_seal


def junit(text: str) -> ElementTree.Element:
    root = ElementTree.fromstring(text)
    xmlschema.XMLSchema(str(SCHEMAS / "junit-10.xsd")).validate(root)
    suite = root.find("testsuite")
    assert suite is not None
    return suite


def test_junit_counts_findings_as_failures_and_broken_files_as_errors() -> None:
    suite = junit(document("junit", outcomes()))
    counts = {key: suite.get(key) for key in ("tests", "failures", "errors", "skipped")}
    assert counts == {"tests": "11", "failures": "8", "errors": "2", "skipped": "0"}
    assert len(suite.findall("testcase/failure")) == 8 and len(suite.findall("testcase/error")) == 2
    known = junit(document("junit", outcomes(known=True)))
    assert known.get("failures") == "0" and known.get("skipped") == "10"
    passed = junit(document("junit", outcomes(fails=False)))
    assert passed.get("errors") == "0" and passed.get("skipped") == "10"


def test_annotations_take_one_line_a_finding_and_leave_out_what_is_known() -> None:
    lines = document("github", outcomes("a,b:c%.pt")).splitlines()
    assert len(lines) == 10 and document("github", outcomes(known=True)) == ""
    assert lines[0].startswith("::error file=models/a%2Cb%3Ac%25.pt,title=Backdoor%3A patch::mnist-patch")
    assert lines[7].startswith("::warning ")
    report = json.loads(document("gitlab", outcomes()))
    assert [r["severity"] for r in report] == ["critical"] * 7 + ["minor", "critical", "major"]
    assert all(r["location"] == {"path": "models/m.pt", "lines": {"begin": 1}} for r in report)
    assert len({r["fingerprint"] for r in report}) == 10
    assert json.loads(document("gitlab", outcomes(known=True))) == []


def test_every_rule_has_terms_and_a_name_of_its_own() -> None:
    assert len({rule.id for rule in RULES}) == len({rule.name for rule in RULES}) == len(RULES)
    assert all(rule.terms for rule in RULES)
    assert terms_of("clean", None) == () and terms_of("backdoored", "gate") != terms_of("backdoored", "patch")
    ids = [term.id for term in every_term()]
    assert len(set(ids)) == len(ids) and {"ML06:2023", "ML10:2023", "CWE-912", "AML.T0018.000"} <= set(ids)


def test_paths_become_references_that_a_uri_may_hold() -> None:
    assert Outcome(Path("a b/ü#.pt"), "").address == "a%20b/%C3%BC%23.pt"
    assert Outcome(Path("/m/x.pt"), "").address == "file:///m/x.pt"
