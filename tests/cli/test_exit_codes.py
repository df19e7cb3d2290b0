"""Exit code 1 is a finding. Whatever goes wrong, at whatever layer, is 2 with one sentence."""

from __future__ import annotations

import errno
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from tests.cli.quick import QUICK
from tests.worker import hostile
from ti_core.cli import terminal
from ti_core.cli.main import main
from ti_core.errors import PackError
from ti_core.reference.pack import Pack
from ti_core.worker import tasks

COMMANDS = {
    "inspect.inspect_one": ["inspect", "x"],
    "scan.scan": ["scan", "x"],
    "changes.command.compare": ["changes", "x", "y"],
    "opinions.command.opinions": ["opinions", "x"],
    "data.command.examine": ["data", "x", "y"],
    "pack.pack": ["pack", "list"],
    "zoo.zoo": ["zoo", "train", "--data", "x", "--out", "y"],
    "evaluate.evaluate_pack": ["evaluate", "--pack", "mnist"],
    "report.verify": ["report", "verify", "x"],
}


class PanicError(BaseException):
    """What extensions in Rust raise: no Exception."""


FAULTS = [
    (RuntimeError("\x1b[31mred\nnext"), "(RuntimeError: \\x1b[31mred)"),
    (KeyError("name"), "(KeyError: 'name')"),
    (AssertionError(), "(AssertionError)"),
    (UnicodeDecodeError("utf-8", b"\xff", 0, 1, "bad"), "UnicodeDecodeError"),
    (RecursionError("deep"), "RecursionError"),
    (PanicError("rust"), "(PanicError: rust)"),
    (SystemExit(1), "(SystemExit: 1)"),
    (GeneratorExit(), "(GeneratorExit)"),
    (MemoryError(), "not enough memory"),
    (PackError("It is odd."), "It is odd."),
    (OSError(errno.EMFILE, "Too many open files"), "Too many open files"),
    (
        OSError(errno.ENOSPC, "No space left on device", "a\nb"),
        "a\\nb: No space left on device; free some space",
    ),
    (BrokenPipeError(errno.EPIPE, "Broken pipe"), "Broken pipe"),
]


def one_sentence(text: str) -> str:
    assert text.startswith("trojaninterpret: ") and text.count("\n") == 1 and "Traceback" not in text, text
    assert text.rstrip("\n").isprintable()
    return text


def fail(error: BaseException) -> Any:
    def raising(*_: object, **__: object) -> None:
        raise error

    return raising


@pytest.mark.parametrize("place", COMMANDS)
@pytest.mark.parametrize(("error", "words"), FAULTS, ids=[type(e).__name__ for e, _ in FAULTS])
def test_no_error_of_any_command_is_a_finding(
    place: str,
    error: BaseException,
    words: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr(f"ti_core.cli.{place}", fail(error))
    assert main(COMMANDS[place]) == 2
    printed = capsys.readouterr()
    assert words in one_sentence(printed.err) and printed.out == ""


def test_an_unforeseen_error_says_how_to_see_where(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("ti_core.cli.pack.pack", fail(ValueError("odd \x1b[2J")))
    assert main(["pack", "list"]) == 2
    assert "set TROJANINTERPRET_DEBUG=1 in the environment" in one_sentence(capsys.readouterr().err)
    monkeypatch.setenv(terminal.TRACEBACK, "1")
    assert main(["pack", "list"]) == 2
    error = capsys.readouterr().err
    assert error.startswith("Traceback") and "ValueError: odd  [2J" in error and "\x1b" not in error


def test_ctrl_c_is_130_as_of_other_tools(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("ti_core.cli.pack.pack", fail(KeyboardInterrupt()))
    assert main(["pack", "list"]) == 130
    assert one_sentence(capsys.readouterr().err) == "trojaninterpret: stopped.\n"


def test_no_error_of_reading_the_arguments_is_a_finding(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys.modules[main.__module__], "parser", fail(MemoryError()))
    assert main(["pack", "list"]) == 2
    assert "not enough memory" in one_sentence(capsys.readouterr().err)


def test_a_sentence_that_cannot_be_made_is_no_finding(monkeypatch: pytest.MonkeyPatch) -> None:
    class MuteError(Exception):
        def __str__(self) -> str:
            raise RuntimeError

    monkeypatch.setattr("ti_core.cli.pack.pack", fail(MuteError()))
    assert main(["pack", "list"]) == 2


@pytest.mark.parametrize(
    "place",
    [
        pytest.param("ti_core.cli.options.default_folder", id="settings"),
        pytest.param("ti_core.cli.inspect.digest_of", id="loading"),
        pytest.param("ti_core.worker.job.Job.start", id="worker"),
        pytest.param("ti_core.worker.job.Job.wait", id="worker, later"),
        pytest.param("ti_core.results.report.Report.from_dict", id="results"),
        pytest.param("ti_core.reference.pack.load_pack", id="reference"),
        pytest.param("ti_core.rendering.page.html_report", id="rendering"),
        pytest.param("pathlib.Path.write_text", id="writing"),
    ],
)
def test_no_error_of_any_layer_is_a_finding(
    place: str,
    tiny_models: dict[str, Path],
    tiny_pack: Pack,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr(place, fail(ArithmeticError("of a layer")))
    arguments = ["inspect", str(tiny_models["patch"]), "--pack", str(tiny_pack.folder), *QUICK]
    assert main([*arguments, "--html", str(tmp_path / "r.html")]) == 2
    assert "(ArithmeticError: of a layer)" in one_sentence(capsys.readouterr().err)


@pytest.mark.parametrize(
    ("task", "words"),
    [
        ("leave", "exit code 7"),
        ("leave_like_a_finding", "exit code 1"),
        ("crash", "SIGSEGV"),
        ("stumble", "ZeroDivisionError"),
        ("recurse", "nested too deeply"),
        ("answer", "report.json is missing"),
    ],
)
@pytest.mark.parametrize("more", [(), ("--file-only",)], ids=["model", "file"])
def test_no_end_of_the_worker_is_a_finding(
    task: str,
    words: str,
    more: tuple[str, ...],
    tiny_models: dict[str, Path],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    for name in ("inspect", "describe"):
        monkeypatch.setitem(tasks.TASKS, name, tasks.Task(getattr(hostile, task)))
    assert main(["inspect", str(tiny_models["patch"]), *more]) == 2
    assert words.replace("report", "file" if more else "report") in one_sentence(capsys.readouterr().err)


def test_a_worker_that_cannot_be_started_is_no_finding(
    tiny_models: dict[str, Path], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("ti_core.worker.job.running_host", fail(OSError(errno.EAGAIN, "no process")))
    assert main(["inspect", str(tiny_models["patch"])]) == 2
    assert "could not be started" in one_sentence(capsys.readouterr().err)


@pytest.mark.parametrize(
    "arguments", [["inspcet", "x"], ["inspect"], ["inspect", ""], ["inspect", "a\0b"], ["zoo"]]
)
def test_arguments_that_are_not_well_formed_are_no_finding(
    arguments: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as stopped:
        main(arguments)
    assert stopped.value.code == 2
    assert "error: " in capsys.readouterr().err


COMMAND = [sys.executable, "-m", "ti_core"]


def run(command: str, **more: str) -> subprocess.CompletedProcess[str]:
    """A command of the shell, in which ``$C`` is the command line."""
    environment = {**os.environ, **more, "C": " ".join(COMMAND)}
    return subprocess.run(
        ["bash", "-c", command], env=environment, capture_output=True, text=True, timeout=60, check=False
    )


def test_output_that_does_not_arrive_is_no_finding() -> None:
    """A reader that has gone is not worth a word; a full disk is. Neither shows when the interpreter ends."""
    gone = run("(sleep .3; $C pack list; echo $? >&2) | true; (sleep .3; $C --help 2>&1; echo $? >&2) | true")
    assert gone.stderr.split() == ["2", "2"]
    full = run(
        "$C pack list >/dev/full; echo $?; $C bogus 2>/dev/full; echo $?; $C pack list 2>/dev/full >&-; echo $?"
    )
    assert full.stdout.split() == ["2", "2", "0"]
    assert one_sentence(full.stderr).startswith("trojaninterpret: standard output: No space left on device")


def test_ctrl_c_ends_a_command_that_works(tmp_path: Path) -> None:
    waiting = (
        "import ti_core.cli.pack as p, time; p.pack = lambda _: print('there', flush=True) or time.sleep(60)"
    )
    code = f"import sys; {waiting}; from ti_core.cli.main import main; sys.exit(main(['pack', 'list']))"
    with subprocess.Popen([sys.executable, "-c", code], stdout=-1, stderr=-1, text=True) as process:
        assert process.stdout and process.stderr and process.stdout.readline() == "there\n"
        time.sleep(0.1)
        process.send_signal(signal.SIGINT)
        assert process.wait(timeout=30) == 130 and process.stderr.read() == "trojaninterpret: stopped.\n"
