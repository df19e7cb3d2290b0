"""Each of the kernel's means by itself, and what is said where one is missing."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from ti_core.worker.confinement import landlock

SCRIPT = """
import json, os, socket, subprocess, sys
from pathlib import Path
from ti_core.worker.confinement import claims, isolation
import pyseccomp

means, folder, outside, user = sys.argv[1].split("+"), Path(sys.argv[2]), Path(sys.argv[3]), int(sys.argv[4])
if user:
    os.setgroups([]); os.setgid(user); os.setuid(user)
says = isolation.isolate([folder], means=means)

def worked(act):
    try:
        act()
    except OSError as error:
        return type(error).__name__
    return "worked"

def connect():
    with socket.socket() as s:
        s.settimeout(1)
        s.connect(("127.0.0.1", int(sys.argv[5])))

found = {
    "connect": worked(connect),
    "outside": worked(lambda: (outside / "new").write_text("x")),
    "inside": worked(lambda: (folder / "new").write_text("x")),
    "program": worked(lambda: subprocess.run(["/bin/true"])),
    "root's capabilities": worked(lambda: os.chown(outside, 1, 1)),
}
print(json.dumps([claims.sentences(says), found]))
"""


def isolated(tmp_path: Path, means: str, user: int = 0) -> tuple[dict[str, str], dict[str, str]]:
    """What a process that uses only these means says of itself, and what it can still do."""
    import socket

    folder, outside = tmp_path / "inside", tmp_path / "outside"
    for path in (tmp_path, folder, outside):
        path.mkdir(exist_ok=True)
        path.chmod(0o777)
    if user:
        # pytest keeps its folders to their owner.
        for parent in tmp_path.parents:
            if Path(tempfile.gettempdir()) in parent.parents:
                parent.chmod(parent.stat().st_mode | 0o711)
    with socket.create_server(("127.0.0.1", 0)) as server:
        arguments = [means, str(folder), str(outside), str(user), str(server.getsockname()[1])]
        done = subprocess.run(
            [sys.executable, "-c", SCRIPT, *arguments], capture_output=True, text=True, check=False
        )
    assert done.returncode == 0, done.stderr
    says, found = json.loads(done.stdout)
    return says, found


def prevented(sentence: str) -> str:
    """The part of a sentence of the report that says what is prevented."""
    return sentence.partition("Not prevented: ")[0]


@pytest.fixture(scope="module")
def kernel_has_landlock() -> None:
    if landlock.version() == 0:
        pytest.skip("this kernel has no Landlock")


def test_seccomp_alone(tmp_path: Path) -> None:
    says, found = isolated(tmp_path, "seccomp")
    assert found["connect"] == found["program"] == "PermissionError" and found["inside"] == "worked"
    assert "TCP connections" in prevented(says["network"]) and "Not prevented" not in says["network"]
    assert found["outside"] == "worked"
    assert "writing and deleting files outside" not in prevented(says["files"])
    assert "Landlock: not tried" in says["files"]


@pytest.mark.usefixtures("kernel_has_landlock")
def test_landlock_alone(tmp_path: Path) -> None:
    says, found = isolated(tmp_path, "landlock")
    assert found["outside"] == found["program"] == "PermissionError" and found["inside"] == "worked"
    assert "writing and deleting files outside" in prevented(says["files"])
    assert "UDP packets (seccomp: not tried; network namespace: not tried)" in says["network"]
    assert "starting a program from a file" in prevented(says["processes"])
    assert "starting a program from memory" not in prevented(says["processes"])


def test_namespaces_alone(tmp_path: Path) -> None:
    says, found = isolated(tmp_path, "namespaces")
    if "UDP packets" not in prevented(says["network"]):
        pytest.skip("this machine allows no namespaces")
    assert found["connect"] != "worked" and found["inside"] == "worked"
    assert "Unix sockets in folders" not in prevented(says["network"])


def test_without_any_it_says_so(tmp_path: Path) -> None:
    says, found = isolated(tmp_path, "none")
    assert found["connect"] == found["outside"] == found["program"] == "worked"
    assert not any(prevented(sentence) for sentence in says.values())
    assert os.getuid() or found["root's capabilities"] == "PermissionError"


@pytest.mark.skipif(os.getuid() != 0, reason="needs to become another user")
@pytest.mark.usefixtures("kernel_has_landlock")
def test_an_ordinary_user_is_confined_too(tmp_path: Path) -> None:
    says, found = isolated(tmp_path, "namespaces+landlock+seccomp", user=65534)
    assert {k: v for k, v in found.items() if v == "worked"} == {"inside": "worked"}
    assert "Not prevented" not in says["network"] + says["processes"]
    assert says["files"].endswith("Not prevented: reading files.")
