"""The recipe of the container image, without a builder: what it copies, installs and starts is there and fits."""

from __future__ import annotations

import ast
import json
import re
import shlex
import shutil
import subprocess
import tomllib
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from packaging.version import Version

ROOT = Path(__file__).resolve().parents[2]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]


def instructions() -> list[tuple[str, str]]:
    """The recipe's instructions in their order. Comments are left out, and continued lines are one."""
    text = (ROOT / "Dockerfile").read_text(encoding="utf-8")
    lines = [line for line in text.splitlines() if line.strip() and not line.lstrip().startswith("#")]
    whole = "\n".join(lines).replace("\\\n", " ")
    return [(name, rest) for name, _, rest in (line.partition(" ") for line in whole.splitlines())]


def of(name: str) -> list[str]:
    return [rest for instruction, rest in instructions() if instruction == name]


def installed() -> dict[str, Version]:
    """What the image installs, with its version: PyTorch, and the requirements that its own command leaves."""
    cut = next(rest for rest in of("RUN") if "requirements.txt" in rest)
    sed = re.search(r"sed '([^']+)'", cut)
    assert sed is not None
    done = subprocess.run(
        ["sed", sed[1], str(ROOT / "requirements.txt")], capture_output=True, text=True, check=True
    )
    pinned = re.findall(r"^([\w.-]+)==(\S+)$", done.stdout, re.M) + re.findall(r"(torch)==(\S+)", cut)
    return {canonicalize_name(name): Version(version) for name, version in pinned}


def test_everything_that_is_copied_is_there_and_reaches_the_builder() -> None:
    allowed = {line[1:] for line in (ROOT / ".dockerignore").read_text().splitlines() if line.startswith("!")}
    copied = [shlex.split(rest) for rest in of("COPY") if not rest.startswith("--from")]
    sources = {source for words in copied for source in words[:-1]}
    assert sources == allowed and all((ROOT / source).exists() for source in sources)


def test_the_versions_are_those_of_the_tests_and_within_the_projects_ranges() -> None:
    found = installed()
    extras = PROJECT["optional-dependencies"]
    needed = [
        Requirement(line) for line in (*PROJECT["dependencies"], *extras["dashboard"], *extras["keras"])
    ]
    # Streamlit brings pandas along.
    missing = [r.name for r in needed if canonicalize_name(r.name) not in found]
    assert missing == ["pandas"]
    outside = [
        r.name for r in needed if r.name != "pandas" and found[canonicalize_name(r.name)] not in r.specifier
    ]
    assert outside == []
    of_the_tests = {canonicalize_name(Requirement(line).name) for line in extras["dev"]}
    assert not of_the_tests & set(found)
    torch = re.search(r"torch==(\S+)", (ROOT / "Makefile").read_text())
    assert torch is not None and Version(torch[1]) == found["torch"]
    # The tests' version is the lower end of the range that pyproject.toml allows.
    assert f"torch>={found['torch'].major}.{found['torch'].minor}" in PROJECT["dependencies"][0]


def test_the_python_of_the_base_is_one_that_the_project_supports() -> None:
    base = next(rest for rest in of("ARG") if rest.startswith("BASE="))
    version = re.fullmatch(r"BASE=python:(3\.\d+)-slim", base)
    assert version is not None
    assert f"Programming Language :: Python :: {version[1]}" in PROJECT["classifiers"]
    assert of("FROM") == ["${BASE} AS build", "${BASE}"]


@pytest.mark.skipif(shutil.which("bash") is None, reason="the steps are for a shell")
def test_every_step_is_one_that_a_shell_reads() -> None:
    for step in of("RUN"):
        read = subprocess.run(["bash", "-n"], input=step, capture_output=True, text=True, check=False)
        assert (read.returncode, read.stderr) == (0, ""), step


def test_the_user_the_volume_and_the_port_are_the_same_everywhere() -> None:
    (user,), (volume,), (port,) = of("USER"), of("VOLUME"), of("EXPOSE")
    made = next(step for step in of("RUN") if "useradd" in step)
    assert (
        re.search(r"useradd --uid (\d+) .*--shell /usr/sbin/nologin reviewer", made)[1] == user.split(":")[0]
    )  # type: ignore[index]
    assert f"install -d -m 700 -o reviewer -g reviewer {volume} " in f"{made} "
    environment = dict(word.split("=", 1) for word in shlex.split(of("ENV")[0]))
    assert environment["TROJANINTERPRET_HOME"] == volume
    known = "".join(
        p.read_text(encoding="utf-8") for place in ("ti_core", "app") for p in (ROOT / place).rglob("*.py")
    )
    ours = [name for name in environment if name.startswith("TROJANINTERPRET_")]
    assert len(ours) == 2 and all(f'"{name}"' in known for name in ours)
    (program,) = (json.loads(rest.partition("CMD ")[2]) for rest in of("HEALTHCHECK"))
    assert program[:2] == ["python", "-c"] and f":{port}/_stcore/health" in ast.unparse(ast.parse(program[2]))
    configured = tomllib.loads((ROOT / ".streamlit" / "config.toml").read_text())["server"].get("port", 8501)
    assert configured == int(port)


def test_the_command_is_one_that_streamlit_reads() -> None:
    cli = pytest.importorskip("streamlit.web.cli")
    (command,) = map(json.loads, of("CMD"))
    assert command[:2] == ["streamlit", "run"] and (ROOT / command[2]).is_file()
    context = cli.main_run.make_context("run", command[2:])
    assert context.params["server_address"] == "0.0.0.0"
    with pytest.raises(Exception, match="No such option"):
        cli.main_run.make_context("run", [command[2], "--server.adress=0.0.0.0"])
