"""A page can be made by a user who has never used the program, and by one who has no home at all.

Captum imports Matplotlib, which stores a list of fonts; a confined process may store nothing.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.app.serving import ROOT, without_rights
from tests.cli.quick import QUICK
from ti_core.cli.main import main
from ti_core.reference.pack import Pack
from ti_core.worker.hosts import close_host

SAMPLE = "assets/samples/mnist-clean.safetensors"


@pytest.mark.parametrize("kind", ["empty", "cannot be written to"])
def test_a_page_needs_no_home(
    kind: str,
    tiny_models: dict[str, Path],
    tiny_pack: Pack,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    home = tmp_path / "home" if kind == "empty" else Path("/dev/null/home")
    if kind == "empty":
        home.mkdir()
    for variable in ("XDG_CACHE_HOME", "XDG_CONFIG_HOME", "TROJANINTERPRET_CACHE"):
        monkeypatch.delenv(variable, raising=False)
    monkeypatch.setenv("HOME", str(home))
    close_host()
    page = tmp_path / "r.html"
    model = str(tiny_models["clean"])
    arguments = [
        "inspect",
        model,
        "--pack",
        str(tiny_pack.folder),
        *QUICK,
        "--html",
        str(page),
        "--json",
        "-",
    ]
    try:
        assert main(arguments) in (0, 1, 3)
    finally:
        close_host()
    printed = capsys.readouterr()
    assert json.loads(printed.out)["verdict"] and page.read_text().startswith("<!doctype html>")
    if kind == "empty":
        assert printed.err == ""
        assert (home / ".cache" / "trojaninterpret" / "libraries").is_dir()
        assert [p.name for p in home.iterdir()] == [".cache"], "no library wrote to the home"
    else:
        assert "The cache folder cannot be used" in printed.err and printed.err.count("\n") == 1


def without_a_home() -> list[str]:
    """What is put before a command of a user in no list of users, as a container may run it.

    Only /tmp can be written to. The test is skipped where there is no such user, or where it cannot see the program.
    """
    homeless = (
        "env",
        "-u",
        "HOME",
        "-u",
        "TROJANINTERPRET_HOME",
        "-u",
        "TROJANINTERPRET_CACHE",
        "TMPDIR=/tmp",
    )
    try:
        confined = [*without_rights(), *homeless]
        tried = subprocess.run(
            [*confined, "sh", "-c", "touch /tmp/x && ! touch /x"], capture_output=True, check=False
        )
    except OSError:
        pytest.skip("this machine lacks unshare")
    if tried.returncode != 0:
        pytest.skip("this user may not make a read-only root")
    seen = ["sh", "-c", 'test -x "$1" && test -r "$2"', "sh", sys.executable, str(ROOT / SAMPLE)]
    if subprocess.run([*confined, *seen], check=False).returncode != 0:
        pytest.skip("the program lies where that user cannot see it, as below /tmp or in a private home")
    return confined


def test_streamlit_needs_a_name_for_the_home_and_no_folder() -> None:
    """docs/troubleshooting.md quotes the error; the Makefile gives the name."""
    confined = without_a_home()
    command = [sys.executable, "-m", "streamlit", "config", "show"]
    for name, words in (("", "RuntimeError: Could not determine home directory"), ("HOME=/nonexistent", "")):
        done = subprocess.run(
            [*confined, "env", *([name] if name else []), *command],
            cwd=ROOT,
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )
        assert (done.returncode == 0) == bool(name) and words in done.stderr, done.stderr
    assert 'HOME="$${HOME:-/nonexistent}"' in (ROOT / "Makefile").read_text()


def test_a_user_without_a_home_on_a_read_only_disk() -> None:
    confined = without_a_home()
    command = [sys.executable, "-m", "ti_core", "inspect", SAMPLE, "--set", "streams=saliency"]
    # Where coverage is measured, its own file could not be written either.
    environment = {k: v for k, v in os.environ.items() if not k.startswith(("XDG_", "COVERAGE_"))}
    done = subprocess.run(
        [*confined, *command, "--html", "/tmp/r.html", "--json", "-"],
        cwd=ROOT,
        env=environment,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode in (0, 1, 3) and done.stderr == "", done.stderr
    assert json.loads(done.stdout)["model"]["file"] == "mnist-clean.safetensors"
