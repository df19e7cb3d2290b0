"""Where files are stored, also for a user who has no home, or one that cannot be written to."""

from __future__ import annotations

import os
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from ti_core.system.folders import default_folder, is_writable, library_folder, temporary_folder, user_folder

NOWHERE = "/dev/null/home"
"""A home that not even root can write to."""


def no_entry(_: int) -> None:
    raise KeyError("this user is in no list of users")


def test_the_users_folder_is_the_variables_or_one_in_the_home(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", "/home/u")
    for unusable in ("", "relative"):
        monkeypatch.setenv("XDG_CACHE_HOME", unusable)
        assert user_folder("XDG_CACHE_HOME", ".cache") == Path("/home/u/.cache/trojaninterpret")
    monkeypatch.setenv("XDG_CACHE_HOME", "/x")
    assert user_folder("XDG_CACHE_HOME", ".cache") == Path("/x/trojaninterpret")


def test_without_a_home_there_is_no_cache(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
    monkeypatch.setenv("HOME", "")
    assert user_folder("XDG_CACHE_HOME", ".cache") is None
    monkeypatch.delenv("HOME")
    monkeypatch.setattr("pwd.getpwuid", no_entry)
    assert user_folder("XDG_CACHE_HOME", ".cache") is None
    monkeypatch.delenv("TROJANINTERPRET_CACHE")
    assert default_folder() is None
    monkeypatch.setenv("TROJANINTERPRET_CACHE", "here")
    assert default_folder() == Path("here")


def test_libraries_store_their_files_in_the_cache(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("TROJANINTERPRET_CACHE", "new/cache")
    folder = library_folder()
    assert folder == tmp_path / "new" / "cache" / "libraries" and folder.is_absolute()
    assert {stat.S_IMODE(f.stat().st_mode) for f in (folder, folder.parent)} == {0o700}


def test_and_in_a_temporary_folder_if_they_cannot(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TROJANINTERPRET_CACHE", NOWHERE)
    assert not is_writable(Path(NOWHERE))
    folder = library_folder()
    assert folder == temporary_folder("libraries") and os.access(folder, os.W_OK)
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700


def test_a_temporary_folder_goes_with_the_process_that_made_it(tmp_path: Path) -> None:
    """And not with one that was forked from it."""
    code = (
        "import os, sys; from ti_core.system.folders import temporary_folder; folder = temporary_folder('x');"
        " (folder / 'file').touch();\nif os.fork() == 0: sys.exit()\nos.wait(); print(folder, folder.is_dir())"
    )
    environment = os.environ | {"TMPDIR": str(tmp_path)}
    done = subprocess.run(
        [sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True
    )
    folder, was_there = done.stdout.split()
    assert Path(folder).parent == tmp_path and was_there == "True" and not list(tmp_path.iterdir())
