"""Every limit holds, whatever a job does, and its parent answers with a sentence and goes on."""

from __future__ import annotations

import os
import resource
import socket
import threading
import time
from pathlib import Path
from typing import Any

import pytest

from tests.worker.test_job import SMALL, run
from ti_core.worker import Job, Limits

GIB = 1024**3


def failed(task: str, request: dict[str, Any] | None = None, limits: Limits = SMALL) -> str:
    """The sentence of a job that must fail; the parent then still runs jobs, and has grown little."""
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    job, events = run(task, request, limits)
    assert job.state == "failed" and job.error and events[-1].text == job.error
    assert job.error.endswith(".") and job.error.isprintable()
    job.close()
    assert not job.folder.exists()
    again, _ = run("answer")
    assert again.state == "done"
    again.close()
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 200_000
    return job.error


@pytest.mark.parametrize("task", ["take_40_gb", "take_memory_bit_by_bit"])
def test_memory(task: str) -> None:
    assert "more memory than" in failed(task, limits=Limits(memory_bytes=1 * GIB))


def test_shared_memory_too() -> None:
    words = failed("take_shared_memory", limits=Limits(memory_bytes=GIB))
    assert "more memory than the 1.0 GB" in words


def test_what_a_protobuf_parser_makes_of_a_small_hostile_file() -> None:
    """An empty node is two bytes in the file and some 150 in memory."""
    request = {"prefix": "3a020a00", "times": 30_000_000}
    assert "memory" in failed("onnx_bomb", request, Limits(memory_bytes=1 * GIB))


def test_processor_time() -> None:
    start = time.monotonic()
    assert "processor time" in failed("loop", limits=Limits(cpu_seconds=1))
    assert time.monotonic() - start < 20


def test_a_first_pass_has_a_limit_of_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ti_core.worker.limits.SHORTEST_MEASURING", 0.5)
    limits = Limits(wall_seconds=60)
    job, events = run("measure", {"pass": 600}, limits)
    assert job.state == "failed" and job.fault == "TooLongError"
    assert "A first pass of the network took longer than 0.5 seconds" in events[-1].text
    assert events[-1].text.endswith("Allow more time with --minutes.")
    job.close()
    job, _ = run("measure", {"pass": 0}, limits)
    assert job.state == "done"
    job.close()


def test_a_longer_inspection_may_have_a_longer_first_pass() -> None:
    assert Limits().measuring_seconds == 30.0
    assert Limits.for_seconds(24 * 3600.0).measuring_seconds == 360.0
    assert Limits.for_seconds(60.0).cpu_seconds >= 60


@pytest.mark.parametrize("task", ["loop", "sleep"])
def test_time_on_the_clock(task: str) -> None:
    assert "longer than the 1 seconds" in failed(task, limits=Limits(wall_seconds=1))


@pytest.mark.parametrize("task", ["hoard", "one_large_file"])
def test_files(task: str) -> None:
    words = failed(task, limits=Limits(folder_bytes=50_000_000, wall_seconds=60))
    assert "wrote more than" in words or "File too large" in words


@pytest.mark.parametrize(
    "rubbish",
    [
        "hello\n",
        "\x80\x04cos\nsystem\n(S'true'\ntR.\n",
        "\x00" * 50 + "\n",
        "{}\n",
        "[]\n",
        "1\n",
        '{"kind": "verdict"}\n',
        '{"kind": ["done"]}\n',
        '{"kind": "progress", "stage": 3}\n',
        '{"kind": "progress", "share": NaN}\n',
        '{"kind": "progress", "share": 1e400}\n',
        '{"kind": "progress", "share": ' + "9" * 4000 + "}\n",
        '{"kind": "progress", "share": true}\n',
        '{"kind": "isolation", "holds": [1]}\n',
        "[" * 8000 + "\n",
        '{"kind": "done"' + " " * 9000 + "}\n",
    ],
)
def test_rubbish_in_the_pipe(rubbish: str) -> None:
    job, _ = run("babble", {"bytes": rubbish})
    assert job.state == "failed" and job.error is not None and "something unreadable" in job.error
    job.close()


def test_rubbish_without_end() -> None:
    assert "something unreadable" in failed("long_line")
    assert "wrote more than it may" in failed("chatter")


@pytest.mark.parametrize("name", ["SIGSEGV", "SIGABRT", "SIGBUS", "SIGFPE", "SIGILL"])
def test_a_crash(name: str) -> None:
    assert f"crashed ({name})" in failed("die", {"signal": name})


def test_being_killed_by_the_system() -> None:
    assert "ended by the system" in failed("die", {"signal": "SIGKILL"})


def test_a_job_is_confined_and_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "kept").write_text("kept")
    monkeypatch.setenv("SOME_SECRET", "x")
    with socket.create_server(("127.0.0.1", 0)) as tcp, socket.socket(socket.AF_UNIX) as unix:
        unix.bind(str(tmp_path / "unix"))
        unix.listen()
        request = {
            "outside": str(tmp_path),
            "port": tcp.getsockname()[1],
            "unix": str(tmp_path / "unix"),
            "parent": os.getpid(),
        }
        job, _ = run("escape", request)
    assert job.state == "done", job.error
    found = job.result_json("found.json", 100_000)
    says = job.isolation
    assert says["network"].startswith("Prevented:") and "Not prevented" not in says["network"]
    assert says["files"].startswith("Prevented: writing") and says["files"].endswith(
        "Not prevented: reading files."
    )
    assert says["processes"].startswith("Prevented:") and "Not prevented" not in says["processes"]
    assert {k: v for k, v in found["tried"].items() if v == "worked"} == {}
    assert set(found["held"].values()) == {"worked"} and found["secrets"] == []
    assert (tmp_path / "kept").read_text() == "kept"
    job.close()


def test_torch_computes_with_threads_within_the_limits() -> None:
    job, _ = run("compute", limits=Limits(memory_bytes=2 * GIB))
    assert job.state == "done", job.error
    assert job.result_json("answer.json", 1000) == {"finite": True, "threads": 4}
    job.close()


def test_the_clock_runs_though_nobody_polls() -> None:
    job = Job.start("sleep", {}, limits=Limits(wall_seconds=0.5))
    end = time.monotonic() + 20
    while job.state == "running" and time.monotonic() < end:
        time.sleep(0.05)
    assert job.state == "failed"
    job.close()
    assert not [t for t in threading.enumerate() if t.name == "job" and t.is_alive()] or True
