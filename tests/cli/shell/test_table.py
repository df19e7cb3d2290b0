"""What people see of a scan: the table, the summary, colours on a terminal only, and help."""

from __future__ import annotations

import io
import os
import re
import subprocess
import sys
from dataclasses import fields
from pathlib import Path

import pytest

from tests.cli.test_terminal import HOSTILE, Screen
from tests.results.formats.test_formats import outcomes
from ti_core.cli.main import main
from ti_core.cli.shell.completion import packs, settings
from ti_core.cli.shell.table import Table, stream_for
from ti_core.reference.pack import pack_names
from ti_core.results.formats.outcome import Outcome
from ti_core.settings import Settings
from ti_core.system.terminal import Shown

COLOUR = re.compile(r"\x1b\[(\d+)m")


def lines_of(stream: io.StringIO) -> list[str]:
    return COLOUR.sub("", stream.getvalue()).splitlines()


def test_a_line_comes_when_its_file_is_finished_and_the_summary_counts_all() -> None:
    out, cleared = io.StringIO(), []
    found = outcomes()
    table = Table(out, [f.path for f in found], lambda: cleared.append(1))
    table.add(found[0])
    assert lines_of(out)[0].split() == ["file", "verdict", "probability", "target", "time"]
    assert lines_of(out)[1].split()[:4] == ["models/m.pt", "backdoored", "98%", "6"]
    for outcome in found[1:]:
        table.add(outcome)
    assert lines_of(out)[-1] == "  The file is cut short."
    table.summary([f.verdict for f in found], 2, 1)
    assert lines_of(out)[-1].startswith(
        "11 files in a second: 1 clean, 7 backdoored, 1 inconclusive, 2 error, "
    )
    assert lines_of(out)[-1].endswith("2 of them from an earlier scan, 1 finding known from the baseline.")
    assert "\x1b" not in out.getvalue() and len(cleared) == len(lines_of(out))


def test_colours_are_for_terminals_that_want_them(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.delenv("NO_COLOR", raising=False)
    screen = Screen()
    Shown(screen, needed=False).line([(HOSTILE, "red"), ("x", None)])
    told = screen.getvalue()
    assert COLOUR.findall(told) == ["31", "0"] and COLOUR.sub("", told).replace("\n", "").isprintable()
    for name, value in (("NO_COLOR", "1"), ("TERM", "dumb")):
        with monkeypatch.context() as patch:
            patch.setenv(name, value)
            assert not Shown(Screen(), needed=False).coloured
    assert not Shown(io.StringIO(), needed=False).coloured


def test_a_long_name_is_cut_so_that_the_line_fits(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    out = io.StringIO()
    path = Path("a" * 200 + "/model.pt")
    table = Table(out, [path])
    table.add(Outcome(path, "", outcomes()[0].report))
    assert max(map(len, lines_of(out))) <= 80 and "model.pt  " in lines_of(out)[1]


def test_the_table_never_mixes_with_json(monkeypatch: pytest.MonkeyPatch) -> None:
    assert stream_for(quiet=True, json_printed=False) is None
    assert stream_for(quiet=False, json_printed=False) is sys.stdout
    monkeypatch.setattr(sys, "stderr", io.StringIO())
    assert stream_for(quiet=False, json_printed=True) is None
    monkeypatch.setattr(sys, "stderr", Screen())
    assert stream_for(quiet=False, json_printed=True) is sys.stderr


@pytest.mark.parametrize("command", ["inspect", "scan"])
def test_help_says_what_for_with_examples_codes_and_settings(
    command: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as stop:
        main([command, "--help"])
    told = capsys.readouterr().out
    assert stop.value.code == 0
    assert f"  trojaninterpret {command} " in told and "exit codes: 0" in told and "--sarif FILE" in told
    assert all(f"  {setting.name}=" in told for setting in fields(Settings))


def test_a_shell_gets_completions_of_commands_packs_and_settings(capsys: pytest.CaptureFixture[str]) -> None:
    for shell in ("bash", "zsh", "fish", "powershell"):
        assert main(["completion", shell]) == 0
        assert "trojaninterpret" in capsys.readouterr().out
    assert packs() == pack_names() and "bins=" in settings()
    line = "trojaninterpret ins"
    asked = os.environ | {
        "_ARGCOMPLETE": "1",
        "_ARGCOMPLETE_IFS": "\n",
        "COMP_LINE": line,
        "COMP_POINT": str(len(line)),
        "_ARGCOMPLETE_STDOUT_FILENAME": "/dev/stdout",
    }
    code = "import sys; sys.argv[0] = 'trojaninterpret'; from ti_core.cli.main import main; main()"
    found = subprocess.run(
        [sys.executable, "-c", code], env=asked, capture_output=True, text=True, check=False
    )
    assert found.stdout.split() == ["inspect"]
