"""The how-to for signed statements, command by command, and the statement beside its report."""

from __future__ import annotations

import base64
import hashlib
import json
import re
import shutil
import subprocess
from dataclasses import replace
from pathlib import Path

import pytest

from tests.results.formats.test_formats import REPORT
from tests.tools import tool
from ti_core.cli.main import main
from ti_core.cli.parser import parser
from ti_core.results.formats.attestation import is_stated, statement

ROOT = Path(__file__).resolve().parents[3]


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    Path("report.json").write_text(REPORT.as_json())
    Path("statement.json").write_text(json.dumps(statement(REPORT, REPORT.model["sha256"])) + "\n")
    return tmp_path


@pytest.mark.skipif(shutil.which("openssl") is None, reason="openssl is not installed")
def test_the_how_to_signs_a_statement_and_finds_a_change(folder: Path) -> None:
    page = (ROOT / "docs" / "formats.md").read_text(encoding="utf-8")
    sign, check = re.findall(r"^openssl dgst .*$", page, re.M)
    key = ["openssl", "genpkey", "-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-256", "-out", "key.pem"]
    subprocess.run(key, check=True, capture_output=True)
    subprocess.run(["openssl", "pkey", "-in", "key.pem", "-pubout", "-out", "key.pub"], check=True)
    subprocess.run(sign.split(), check=True, capture_output=True)
    assert subprocess.run(check.split(), capture_output=True, check=False).returncode == 0
    path = folder / "statement.json"
    path.write_text(path.read_text().replace("backdoored", "clean"))
    assert subprocess.run(check.split(), capture_output=True, check=False).returncode != 0


@pytest.mark.skipif(
    tool("model_signing") is None or shutil.which("openssl") is None,
    reason="model-signing is not installed: make tools",
)
def test_the_how_to_signs_a_model_and_its_statement(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The commands of the page as they stand there; the inspection is a recorded one."""
    page = (ROOT / "docs" / "how-to-sign-a-report.md").read_text(encoding="utf-8")
    part = page.partition("## Sign the model and its statement together")[2]
    commands = [line.split() for line in re.findall(r"^(?:openssl|model_signing|python -m) .*$", part, re.M)]
    generate, public, inspect, sign, verify, report = commands
    release = folder / "release"
    release.mkdir()
    (release / "model.safetensors").write_bytes(b"a model")
    sha256 = hashlib.sha256(b"a model").hexdigest()
    inspected = replace(REPORT, model=REPORT.model | {"sha256": sha256})
    options = parser().parse_args(inspect[3:])
    options.json.write_text(inspected.as_json())
    options.attestation.write_text(json.dumps(statement(inspected, sha256)) + "\n")

    def code(command: list[str]) -> int:
        program = [str(tool(command[0])), *command[1:]]
        return subprocess.run(program, capture_output=True, check=False).returncode

    assert [code(command) for command in (generate, public, sign, verify)] == [0, 0, 0, 0]
    bundle = json.loads((folder / "release.sig").read_text())
    assert bundle["mediaType"].startswith("application/vnd.dev.sigstore.bundle")
    signed = json.loads(base64.b64decode(bundle["dsseEnvelope"]["payload"]))
    digests = {r["name"]: r["digest"] for r in signed["predicate"]["resources"]}
    assert digests["model.safetensors"] == sha256 and set(digests) == {"model.safetensors", "statement.json"}
    assert main(report[3:]) != 1
    assert re.findall(r"^  (\w+) +(model|statement) ", capsys.readouterr().out, re.M) == [
        ("holds", "model"),
        ("holds", "statement"),
    ]
    whole = options.attestation.read_text()
    options.attestation.write_text(whole.replace("backdoored", "clean"))
    assert code(verify) != 0 and main(report[3:]) == 1
    options.attestation.write_text(whole)
    assert code(verify) == 0
    (release / "model.safetensors").write_bytes(b"another")
    assert code(verify) != 0 and main(report[3:]) == 1


def test_verify_compares_a_statement_with_its_report(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    verify = ["report", "verify", "report.json", "--attestation", "statement.json"]

    def state() -> str:
        main(verify)
        return next(line.split()[0] for line in capsys.readouterr().out.splitlines() if " statement " in line)

    assert state() == "holds"
    path = folder / "statement.json"
    whole = path.read_text()
    path.write_text("\n{}\nnot json\n" + whole)
    assert state() == "holds"
    for change in (("backdoored", "clean"), (REPORT.model["sha256"], "0" * 64), ("0.97", "0.96")):
        path.write_text(whole.replace(*change))
        assert state() == "differs" and main(verify) == 1
        capsys.readouterr()
    path.unlink()
    assert main(verify) == 2
    assert not is_stated(b"[" * 100_000, REPORT)
