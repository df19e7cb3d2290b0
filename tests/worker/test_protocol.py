"""What a job may say, and the sentence for every way it can end."""

from __future__ import annotations

import os
import signal

import pytest

from ti_core.errors import ModelFileError
from ti_core.results.so_far import SoFar
from ti_core.text import plain
from ti_core.worker import endings
from ti_core.worker.child import sentence
from ti_core.worker.host import Host
from ti_core.worker.limits import GIB, Limits
from ti_core.worker.protocol import LONGEST_LINE, MalformedLineError, decode, encode

LIMITS = Limits(memory_bytes=2 * GIB, cpu_seconds=600, wall_seconds=90.0)


def test_a_line_is_read_as_it_was_written() -> None:
    event, holds = decode(encode("progress", stage="probes", share=0.25))
    assert (event.kind, event.stage, event.share, holds) == ("progress", "probes", 0.25, {})
    event, _ = decode(encode("failed", text="No.", fault="NoPackFitsError"))
    assert (event.kind, event.text, event.fault) == ("failed", "No.", "NoPackFitsError")
    event, _ = decode(encode("expected", stages={"probes": 1, "windowed": 2.5}))
    assert (event.kind, list(event.stages.items())) == ("expected", [("probes", 1.0), ("windowed", 2.5)])
    said = SoFar("clean", 0.1, ("saliency",), ("windowed",))
    event, _ = decode(encode("so far", so_far=said.as_dict()))
    assert (event.kind, event.so_far) == ("so far", said)
    assert decode(encode("progress", so_far=said.as_dict()))[0].so_far is None
    _, holds = decode(encode("isolation", holds={"network": "None."}))
    assert holds == {"network": "None."}


@pytest.mark.parametrize("share", [-1, -0.5, 1.5, 2])
def test_a_share_a_little_beyond_the_whole_is_held_in_it(share: float) -> None:
    assert decode(encode("progress", share=share))[0].share == min(max(share, 0.0), 1.0)


@pytest.mark.parametrize(
    "line",
    [
        b"\xff\xfe",
        b"{",
        b"[" * 100_000,
        b'["done"]',
        b"{}",
        b'{"kind": "exec"}',
        b'{"kind": "done", "stage": 1}',
        b'{"kind": "failed", "text": null}',
        b'{"kind": "failed", "fault": ["PackError"]}',
        b'{"kind": "progress", "share": true}',
        b'{"kind": "progress", "share": "half"}',
        b'{"kind": "progress", "share": 2.5}',
        b'{"kind": "progress", "share": NaN}',
        b'{"kind": "expected", "stages": ["probes"]}',
        b'{"kind": "expected", "stages": {"probes": "1"}}',
        b'{"kind": "expected", "stages": {"probes": true}}',
        b'{"kind": "expected", "stages": {"probes": -1}}',
        b'{"kind": "expected", "stages": {"probes": Infinity}}',
        b'{"kind": "expected", "stages": {"probes": NaN}}',
        b'{"kind": "expected", "stages": {' + b", ".join(b'"%d": 1' % i for i in range(65)) + b"}}",
        b'{"kind": "isolation", "holds": ["network"]}',
        b'{"kind": "so far"}',
        b'{"kind": "so far", "so_far": "clean"}',
        b'{"kind": "so far", "so_far": {"verdict": "clean", "probability": 0.1}}',
        b'{"kind": "isolation", "holds": {"network": 1}}',
    ],
)
def test_anything_else_is_refused(line: bytes) -> None:
    with pytest.raises(MalformedLineError):
        decode(line)


def test_no_line_is_longer_than_is_read_and_none_steers_a_terminal() -> None:
    line = encode("failed", text="é\x1b[2J" * 100_000)
    assert len(line) <= LONGEST_LINE and line.endswith(b"\n")
    assert "\x1b" not in decode(line)[0].text
    assert plain("a\nb\x00\udcffc", 10) == plain("a\nb\x00\udcffc", 10, lines=True).replace("\n", " ")
    assert "\n" in plain("one\ntwo", 10, lines=True) and plain("abcdef", 3) == "ab…"


@pytest.mark.parametrize(
    ("status", "words"),
    [
        (signal.SIGXCPU, "more than the 10 minutes of processor time"),
        (signal.SIGKILL, "ended by the system"),
        (signal.SIGSEGV, "crashed (SIGSEGV)"),
        (33, "crashed (signal 33)"),
        (7 << 8, "ended without a result (exit code 7)"),
    ],
)
def test_every_end_of_a_process_has_its_sentence(status: int, words: str) -> None:
    assert os.WIFSIGNALED(status) == (status < 128)
    assert words in endings.of_status(int(status), LIMITS)


def test_limits_are_told_in_their_units() -> None:
    assert "longer than the 90 seconds" in endings.too_long(LIMITS)
    assert "the 2.0 GB it may use" in endings.too_much_memory(LIMITS)
    assert f"the {LIMITS.folder_bytes / GIB:.1f} GB it may" in endings.too_large(LIMITS)


@pytest.mark.parametrize(
    ("error", "says"),
    [
        (ModelFileError("It is no model."), "It is no model."),
        (MemoryError(), "more memory than it may use"),
        (RuntimeError("DefaultCPUAllocator: can't allocate memory: 9 bytes"), "more memory than it may use"),
        (RecursionError(), "nested too deeply"),
        (FileNotFoundError(2, "No such file or directory", "/a/b/model.pt"), "model.pt: No such file"),
        (OSError("the disk is gone"), "the disk is gone."),
        (ValueError("odd\nsecond line"), "stopped the work (ValueError: odd)."),
        (KeyboardInterrupt(), "stopped the work (KeyboardInterrupt)."),
    ],
)
def test_what_stopped_a_task_is_one_sentence(error: BaseException, says: str) -> None:
    told = sentence(error)
    assert says in told and told.endswith(".") and "/a/b" not in told


def test_where_no_process_can_be_had_both_pipes_close(monkeypatch: pytest.MonkeyPatch) -> None:
    """So that the asking program is told, and its folder stays its own to remove."""

    def refused() -> int:
        raise OSError(11, "Resource temporarily unavailable")

    monkeypatch.setattr(os, "fork", refused)
    host = Host.__new__(Host)
    host.jobs, host.temporary = {}, {}
    (lines, theirs), (told, other) = os.pipe(), os.pipe()
    host.answer({"task": "any", "folder": "/nowhere", "temporary": True}, [theirs, other])
    assert os.read(lines, 1) == os.read(told, 1) == b"" and not host.jobs and not host.temporary
    os.close(lines)
    os.close(told)
