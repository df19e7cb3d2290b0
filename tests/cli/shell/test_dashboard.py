"""``app``: Streamlit takes the command's place, in the folder of the dashboard."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest

from ti_core.cli.main import main
from ti_core.cli.options import model_of
from ti_core.cli.shell import dashboard
from ti_core.errors import SettingsError
from ti_core.system.folders import assets_folder

ROOT = Path(__file__).resolve().parents[3]


def test_streamlit_starts_in_the_dashboards_folder_with_absolute_paths(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    started: list[list[str]] = []
    monkeypatch.setattr(os, "execv", lambda program, command: started.append(command))
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("TROJANINTERPRET_HOME", "cases")
    monkeypatch.delenv("HOME")
    main(["app", "--port", "8600", "--", "--server.maxUploadSize=4"])
    streamlit = [sys.executable, "-m", "streamlit", "run", "app/main.py"]
    assert started == [[*streamlit, "--server.port=8600", "--server.maxUploadSize=4"]]
    assert Path.cwd() == ROOT and os.environ["TROJANINTERPRET_HOME"] == str(tmp_path / "cases")
    assert os.environ["HOME"] == "/nonexistent"


def test_without_its_extra_the_dashboard_says_what_to_install(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(dashboard, "find_spec", lambda name: None)
    assert main(["app"]) == 2
    assert "pip install 'trojaninterpret[dashboard]'" in capsys.readouterr().err


def test_a_bundled_sample_is_named_in_the_place_of_a_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert model_of(Path("sample:mnist-clean")) == assets_folder() / "samples" / "mnist-clean.safetensors"
    assert model_of(Path("m.pt")) == Path("m.pt")
    with pytest.raises(SettingsError, match=r"no sample '../x'; there are: cifar10-blend, "):
        model_of(Path("sample:../x"))
    monkeypatch.chdir(tmp_path)
    Path("sample:mnist-clean").write_bytes(b"")
    assert model_of(Path("sample:mnist-clean")) == Path("sample:mnist-clean")
