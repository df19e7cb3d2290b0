"""Where a command's results go. ``-`` is standard output, and then nothing else goes there."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest

from tests.cli.quick import QUICK
from ti_core.cli.main import main
from ti_core.cli.output import lines_to, write
from ti_core.errors import SettingsError
from ti_core.reference.pack import Pack

DASH = Path("-")


@pytest.fixture(autouse=True)
def _folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")


def test_a_dash_is_standard_output_of_every_command(
    tiny_models: dict[str, Path], tiny_pack: Pack, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    model, pack = str(tiny_models["clean"]), ("--pack", str(tiny_pack.folder))
    kept = tmp_path / "report.json"
    assert main(["inspect", model, *pack, *QUICK, "--json", "-", "--html", str(tmp_path / "r.html")]) in (
        0,
        1,
        3,
    )
    report = json.loads(capsys.readouterr().out)
    assert main(["inspect", model, *pack, *QUICK, "--html", "-", "--json", str(kept)]) in (0, 1, 3)
    page = capsys.readouterr().out
    assert page.startswith("<!doctype html>") and page.endswith("</html>\n")
    assert json.loads(kept.read_text())["probability"] == report["probability"]
    assert main(["inspect", model, "--file-only", "--json", "-"]) == 0
    assert json.loads(capsys.readouterr().out)["opens"] is True
    assert main(["scan", model, *pack, *QUICK, "--jsonl", "-"]) in (0, 1, 3)
    assert json.loads(capsys.readouterr().out)["file"] == model
    (tmp_path / "r.html").write_text(page)
    main(["report", "verify", str(tmp_path / "r.html"), "--json", "-"])
    assert json.loads(capsys.readouterr().out)["file"] == str(tmp_path / "r.html")
    assert main(["evaluate", *pack, "--json", "-"]) == 0
    assert json.loads(capsys.readouterr().out)[0]["auc"] >= 0
    assert not list(Path().iterdir()), "no file is named -"


def test_a_page_on_standard_output_is_the_very_page(
    tiny_models: dict[str, Path], tiny_pack: Pack, capsysbinary: pytest.CaptureFixture[bytes], tmp_path: Path
) -> None:
    """Its digest holds, so no letter of it was replaced."""
    model, pack = str(tiny_models["clean"]), ("--pack", str(tiny_pack.folder))
    assert main(["inspect", model, *pack, *QUICK, "--html", "-"]) in (0, 1, 3)
    (tmp_path / "r.html").write_bytes(capsysbinary.readouterr().out)
    assert main(["report", "verify", str(tmp_path / "r.html"), "--model", model, *pack]) == 0


def test_two_reports_do_not_fit_on_one_standard_output(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["inspect", "x", "--json", "-", "--html", "-"]) == 2
    assert "Only one report can go to standard output" in capsys.readouterr().err


def test_no_folder_is_named_by_a_dash(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["zoo", "train", "--data", "x", "--out", "-"])
    assert "standard output is no folder" in capsys.readouterr().err


def test_a_closed_standard_output_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdout", None)
    with pytest.raises(SettingsError, match="Standard output is closed"):
        write(DASH, "x")
    with pytest.raises(SettingsError, match="Standard output is closed"), lines_to(DASH):
        pass


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="a device of Linux")
def test_a_full_disk_is_told_with_the_name_of_the_file() -> None:
    with pytest.raises(OSError, match="No space left on device: '/dev/full'"):
        write(Path("/dev/full"), "x" * 100_000)
    with (
        pytest.raises(OSError, match="No space left on device: '/dev/full'"),
        lines_to(Path("/dev/full")) as put,
    ):
        put("x")
    with pytest.raises(IsADirectoryError, match="'/dev'"):
        write(Path("/dev"), "x")


def test_lines_are_appended_as_they_come(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "lines"
    for line in ("a", "b"):
        with lines_to(file) as put:
            put(line)
            assert file.read_text().endswith(f"{line}\n")
    assert file.read_text() == "a\nb\n"
    with lines_to(DASH) as put:
        put("c")
    assert capsys.readouterr().out == "c\n"
