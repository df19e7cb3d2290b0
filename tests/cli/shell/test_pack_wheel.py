"""Packages of packs: pip installs them, every command finds the pack, and nothing altered is packed."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
import sysconfig
import zipfile
from pathlib import Path

import pytest

from ti_core.cli.main import main
from ti_core.reference import known
from ti_core.reference.pack import Pack, load_pack, pack_names
from ti_core.system import folders
from ti_core.system.folders import named_pack
from ti_core.version import __version__


@pytest.fixture
def environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An environment without packs, and a user without any."""
    place = tmp_path / "environment"
    monkeypatch.setattr(folders.sysconfig, "get_path", lambda name: str(place))
    monkeypatch.setenv("TROJANINTERPRET_PACKS", str(tmp_path / "packs"))
    return place


def test_an_installed_package_is_found_by_name_and_gone_when_it_is_removed(
    tiny_pack: Pack,
    environment: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    out = tmp_path / "built"
    assert main(["pack", "wheel", str(tiny_pack.folder), "--out", str(out)]) == 0
    assert f"SHA-256 {tiny_pack.sha256}" in capsys.readouterr().out
    (wheel,) = out.iterdir()
    assert wheel.name == f"trojaninterpret_pack_bars-{__version__}-py3-none-any.whl"
    first = wheel.read_bytes()
    assert main(["pack", "wheel", str(tiny_pack.folder), "--out", str(out)]) == 0
    assert wheel.read_bytes() == first
    assert named_pack("bars") is None
    installing = [sys.executable, "-m", "pip", "install", "-q", "--no-index", "--no-deps"]
    done = subprocess.run(
        [*installing, "--prefix", str(environment), str(wheel)], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    found = load_pack("bars")
    assert found.folder == environment / "share" / "trojaninterpret" / "packs" / "bars"
    assert found.sha256 == tiny_pack.sha256 and len(found.images) == len(tiny_pack.images)
    capsys.readouterr()
    assert main(["pack", "list"]) == 0
    assert re.search(r"^bars: .*; not this version's own", capsys.readouterr().out, re.M)
    # A stranger's pack is never chosen by itself. One of the program's own is.
    assert "bars" not in pack_names()
    monkeypatch.setitem(known.KNOWN, "bars", tiny_pack.sha256)
    assert "bars" in pack_names()
    # What a package has installed hides what was added, and is not added again.
    assert main(["pack", "add", str(tiny_pack.folder)]) == 2
    shutil.rmtree(environment)
    assert named_pack("bars") is None and main(["pack", "add", str(tiny_pack.folder)]) == 0


def test_an_altered_or_unfinished_pack_is_not_packed(
    tiny_pack: Pack, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    copy, out = tmp_path / "copy", tmp_path / "built"
    shutil.copytree(tiny_pack.folder, copy)
    (copy / "notes.txt").write_text("mine")
    with (copy / "images.npz").open("ab") as file:
        file.write(b"x")
    assert main(["pack", "wheel", str(copy), "--out", str(out)]) == 2
    assert "was altered: images.npz" in capsys.readouterr().err
    (copy / "images.npz").unlink()
    assert main(["pack", "wheel", str(copy), "--out", str(out)]) == 2
    assert "lacks its file images.npz" in capsys.readouterr().err and not list(out.iterdir())
    shutil.copyfile(tiny_pack.folder / "images.npz", copy / "images.npz")
    assert main(["pack", "wheel", str(copy), "--out", str(out)]) == 0
    names = zipfile.ZipFile(next(out.iterdir())).namelist()
    assert not [name for name in names if "notes" in name] and names[-1].endswith(".dist-info/RECORD")


def test_packs_are_looked_for_where_packages_install_their_data() -> None:
    assert str(folders.installed_packs_folder()).startswith(sysconfig.get_path("data"))
