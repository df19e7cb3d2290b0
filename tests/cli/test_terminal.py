"""Nothing that steers a terminal gets through, whoever prints it."""

from __future__ import annotations

import io
import logging
import sys
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from pathlib import Path

import pytest

from ti_core.cli.bar import LONG, SETTLED, Bar, JobBar
from ti_core.cli.main import main
from ti_core.cli.terminal import complain, shown_output
from ti_core.results.so_far import SoFar
from ti_core.system.terminal import Shown, progress_bar
from ti_core.system.time_left import TimeLeft

HOSTILE = "a\x1b[2J\r\b\x9bb\u202e\udcff\tc"
SAFE = "a [2J   b   c"


class Screen(io.StringIO):
    """A terminal that keeps what it is sent."""

    def isatty(self) -> bool:
        return True


@contextmanager
def on_screen() -> Iterator[Screen]:
    """What is printed meanwhile. No fixture: pytest's own capture would take the streams back before the test."""
    screen = Screen()
    with redirect_stdout(screen), redirect_stderr(screen):
        yield screen


def test_everything_that_is_printed_is_made_safe() -> None:
    with on_screen() as screen, shown_output():
        print(HOSTILE)
        print(HOSTILE, file=sys.stderr)
        sys.stderr.write(warnings.formatwarning(HOSTILE, UserWarning, "x", 1))
        logging.lastResort.handle(logging.makeLogRecord({"msg": HOSTILE, "levelno": 40}))  # type: ignore[union-attr]
    told = screen.getvalue()
    assert told.count(SAFE) >= 4 and told.replace("\n", "").isprintable()
    assert not isinstance(sys.stdout, Shown) and not isinstance(sys.stderr, Shown)


def test_a_line_break_in_a_name_makes_no_line_like_ours() -> None:
    with on_screen() as screen, shown_output():
        complain("The file x\ntrojaninterpret: y is clean.\nz")
    assert screen.getvalue() == "trojaninterpret: The file x\n  trojaninterpret: y is clean.\n  z\n"


@pytest.mark.parametrize("arguments", [["inspect", "x", "--no\x1b[2J\nforged"], ["x\x1b[2J\nforged"]])
def test_errors_of_the_arguments_take_one_line(arguments: list[str]) -> None:
    with on_screen() as screen, pytest.raises(SystemExit):
        main(arguments)
    told = screen.getvalue()
    assert told.splitlines()[-1].startswith("trojaninterpret") and "\\x1b[2J\\nforged" in told
    assert told.replace("\n", "").isprintable()


def test_a_bar_moves_the_cursor_but_shows_no_control_characters() -> None:
    with on_screen() as screen, shown_output():
        bar = Bar("a\x1b[31m\nb")
        bar("c\x9b2J\n", 0.5)
        bar.close()
    told = screen.getvalue()
    assert "a\\x1b[31m\\nb:  50% |" in told and "| c\\x9b2J\\n" in told
    assert "\x1b[31m" not in told and "\x9b" not in told and "\r" in told


def test_a_bar_is_nothing_where_there_is_no_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    for stream in (None, io.StringIO()):
        monkeypatch.setattr(sys, "stderr", stream)
        with shown_output():
            bar = Bar("a")
            bar("b", 0.5)
            bar.close()
        assert stream is None or stream.getvalue() == ""


def test_a_bar_of_a_training_is_drawn_in_one_line() -> None:
    with on_screen() as screen, shown_output(), progress_bar("training", 2, unit="network") as bar:
        bar.update()
        bar.set_postfix_str("a network")
    assert "training:  50%" in screen.getvalue() and screen.getvalue().count("\r") >= 2
    with on_screen() as screen, progress_bar("training", 2, draw=False) as bar:
        bar.update()
    assert screen.getvalue() == ""


def test_a_long_job_is_said_once_and_a_bar_shows_the_time_left(monkeypatch: pytest.MonkeyPatch) -> None:
    now = [0.0]
    monkeypatch.setattr("ti_core.cli.bar.TimeLeft", lambda: TimeLeft(lambda: now[0]))
    for seconds, said in ((3 * LONG, 1), (LONG / 2, 0)):
        with on_screen() as screen, shown_output():
            bar = JobBar("a.onnx")
            bar("opening", 0.0)
            bar.expect({"windowed": seconds})
            for share in (0.1, 0.5, 1.0):
                bar("windowed", 0.0)
                now[0] += max(SETTLED + 0.1, 0.1 * seconds)
                bar("windowed", share)
            bar.close()
        told = screen.getvalue()
        assert told.count("The inspection takes about") == said
        assert "windowed, about" in told and "left" in told and "100%" in told


def test_a_verdict_so_far_is_said_where_it_stands_for_some_time(monkeypatch: pytest.MonkeyPatch) -> None:
    now = [0.0]
    monkeypatch.setattr("ti_core.cli.bar.TimeLeft", lambda: TimeLeft(lambda: now[0]))
    said = SoFar("backdoored", 0.9, ("saliency",), ("windowed",), "\x1b[31mred")
    for seconds, terminal, times in ((2 * LONG, True, 1), (LONG / 2, True, 0), (2 * LONG, False, 0)):
        monkeypatch.setattr(Screen, "isatty", lambda self, terminal=terminal: terminal)
        with on_screen() as out, shown_output():
            bar = JobBar("a.onnx")
            bar.so_far(said)
            bar.expect({"saliency": 1.0, "windowed": seconds})
            bar("saliency", 1.0)
            bar.so_far(said)
            bar.close()
        assert out.getvalue().count("So far: backdoored") == times and "\x1b[31m" not in out.getvalue()


def test_what_the_encoding_lacks_is_spelt_out() -> None:
    raw = io.BytesIO()
    stream = Shown(io.TextIOWrapper(raw, encoding="ascii"), needed=True)
    stream.write("€…\n")
    stream.flush()
    assert raw.getvalue() == b"\\u20ac\\u2026\n"
    stream.exactly("€\x1b")
    stream.flush()
    assert raw.getvalue().endswith("€\x1b".encode()), "a document is written as it is"


class Broken(io.StringIO):
    """A stream that nobody reads any more, once."""

    encoding = "utf-8"

    def write(self, text: str) -> int:
        raise BrokenPipeError(32, "Broken pipe")


def test_output_that_was_lost_is_told_again_and_messages_are_dropped() -> None:
    output, messages = Shown(Broken(), needed=True), Shown(Broken(), needed=False)
    for _ in range(2):
        with pytest.raises(BrokenPipeError) as lost:
            output.write("x")
        assert lost.value.filename == "standard output"
    with pytest.raises(BrokenPipeError):
        output.flush()
    messages.write("x")
    messages.flush()


def test_it_is_a_terminal_where_its_stream_is_one(tmp_path: Path) -> None:
    assert Shown(Screen(), needed=True).isatty() and not Shown(io.StringIO(), needed=True).isatty()
    with (tmp_path / "x").open("w") as file:
        assert Shown(file, needed=False).fileno() == file.fileno()
