"""The files for pipelines: valid by their published schemas, and every command in them is one of the program's."""

from __future__ import annotations

import json
import re
import shlex
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml
from jsonschema import Draft7Validator

from tests.tools import tool
from ti_core.cli.parser import parser
from ti_core.scan.scan import MODEL_ENDINGS

ROOT = Path(__file__).resolve().parents[2]
SCHEMAS = Path(__file__).parent / "schemas"


def read(name: str) -> Any:
    return yaml.safe_load((ROOT / name).read_text(encoding="utf-8"))


def valid(name: str, schema: str) -> Any:
    found = read(name)
    Draft7Validator(json.loads((SCHEMAS / schema).read_text(encoding="utf-8"))).validate(found)
    return found


def parsed(command: str) -> Any:
    """The options of a command of the program, as its own parser reads them."""
    words = shlex.split(re.sub(r"\$\{?\w+(\[@\])?\}?", "1", command))
    start = words.index("trojaninterpret") if "trojaninterpret" in words else words.index("ti_core")
    return parser().parse_args(words[start + 1 :])


def test_the_action_scans_and_uploads() -> None:
    steps = valid("action.yml", "github-actions.json")["runs"]["steps"]
    by_name = {step.get("name"): step for step in steps}
    script = by_name["Scan"]["run"]
    # No input is part of a script: it would be run as code.
    assert not [step for step in steps if "${{" in step.get("run", "")]
    command = script[script.index("trojaninterpret scan") : script.index("|| code")].replace("\\\n", " ")
    options = parsed(command.replace('"${fail_on[@]}"', "--fail-on error"))
    assert options.sarif == Path(by_name["Upload"]["with"]["sarif_file"])
    assert options.jsonl == Path(read("action.yml")["outputs"]["lines"]["value"])
    assert "always()" in by_name["Upload"]["if"]


@pytest.mark.skipif(shutil.which("bash") is None, reason="the action's scripts are for bash")
def test_the_actions_script_keeps_the_code_and_prints_the_annotations(tmp_path: Path) -> None:
    script = next(s for s in read("action.yml")["runs"]["steps"] if s.get("id") == "scan")["run"]
    program = tmp_path / "bin" / "trojaninterpret"
    program.parent.mkdir()
    program.write_text(
        '#!/bin/sh\nprintf "%s\\n" "$@" > told\necho "::error::x" > trojaninterpret.annotations\nexit 3\n'
    )
    program.chmod(0o755)
    environment = {
        "PATH": f"{program.parent}:/usr/bin:/bin",
        "SCANNED": "a b\n\n$(touch made)\n",
        "FAIL_ON": "backdoored error",
        "MINUTES": "5",
    }
    done = subprocess.run(
        ["bash", "-e", "-c", script],
        cwd=tmp_path,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 3 and done.stdout == "::error::x\n", done.stderr
    told = (tmp_path / "told").read_text().splitlines()
    assert told[:3] == ["scan", "a b", "$(touch made)"] and not (tmp_path / "made").exists()
    assert told[3:7] == ["--fail-on", "backdoored", "--fail-on", "error"]


def test_the_gitlab_template_keeps_what_the_scan_writes() -> None:
    job = valid("pipelines/gitlab.yml", "gitlab-ci.json")["trojaninterpret"]
    options = parsed(job["script"][0])
    assert str(options.gitlab) == job["artifacts"]["reports"]["codequality"]
    assert str(options.junit) == job["artifacts"]["reports"]["junit"]
    assert {str(options.jsonl), str(options.sarif)} == set(job["artifacts"]["paths"])


def test_the_hook_takes_every_kind_of_model_file() -> None:
    (hook,) = read(".pre-commit-hooks.yaml")
    assert parsed(f"{hook['entry']} model.pt").command == "scan"
    # A folder of archives and old checkpoints is scanned, but no commit holds them by these names alone.
    taken = {ending for ending in MODEL_ENDINGS if re.search(hook["files"], f"m{ending}")}
    assert MODEL_ENDINGS - taken == {".tar", ".t7"}


def test_the_cluster_jobs_scan_as_a_user_without_rights() -> None:
    job, policy = yaml.safe_load_all((ROOT / "pipelines/kubernetes-job.yaml").read_text())
    pod = job["spec"]["template"]["spec"]
    (container,) = pod["containers"]
    options = parsed(shlex.join(container["args"]))
    mounted = {m["mountPath"]: m["name"] for m in container["volumeMounts"]}
    assert options.command == "scan" and {str(p) for p in (*options.paths, options.jsonl.parent)} <= set(
        mounted
    )
    assert set(mounted.values()) == {v["name"] for v in pod["volumes"]}
    assert container["securityContext"]["readOnlyRootFilesystem"] and pod["securityContext"]["runAsNonRoot"]
    assert policy["spec"]["podSelector"]["matchLabels"] == job["spec"]["template"]["metadata"]["labels"]
    ray = read("pipelines/ray-job.yaml")["spec"]
    assert parsed(ray["entrypoint"]).engine == "ray"
    groups = [ray["rayClusterSpec"]["headGroupSpec"], *ray["rayClusterSpec"]["workerGroupSpecs"]]
    for group in groups:
        spec = group["template"]["spec"]
        assert {m["name"] for m in spec["containers"][0]["volumeMounts"]} == {
            v["name"] for v in spec["volumes"]
        }


@pytest.mark.skipif(tool("hadolint") is None, reason="hadolint is not installed: make tools")
def test_the_dockerfile_is_linted() -> None:
    command = [str(tool("hadolint")), "Dockerfile"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout
