"""A job from the outside: it tells how far it is, ends in one of three ways, and can be stopped."""

from __future__ import annotations

import json
import os
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from ti_core.results.so_far import SoFar
from ti_core.worker import Event, Job, Limits, warm_up
from ti_core.worker.hosts import close_host, running_host
from ti_core.worker.results import ResultError

SMALL = Limits(memory_bytes=3 * 1024**3, cpu_seconds=60, wall_seconds=60)


def run(task: str, request: dict[str, Any] | None = None, limits: Limits = SMALL) -> tuple[Job, list[Event]]:
    events: list[Event] = []
    job = Job.start(task, request or {}, limits=limits)
    job.wait(events.append)
    return job, events


def alive(pid: int | None) -> bool:
    return pid is not None and Path(f"/proc/{pid}/stat").exists()


def until(true: Callable[[], bool], seconds: float = 20.0) -> bool:
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if true():
            return True
        time.sleep(0.01)
    return False


def test_an_honest_job_tells_its_progress_and_leaves_results() -> None:
    job, events = run("answer")
    assert job.state == "done" and job.error is None
    assert events[0] == Event("progress", "counting", 0.0) or events[0].stage == "counting"
    assert Event("partial", "first.json") in events
    assert events[-1] == Event("done")
    assert job.result_json("answer.json", 100) == {"threads": 1}
    assert job.folder.stat().st_mode & 0o777 == 0o700
    job.close()
    assert not job.folder.exists() and job.state == "done"


def test_the_verdict_so_far_stays_when_a_job_is_killed() -> None:
    job, events = run("die_after_a_verdict")
    said = SoFar("clean", 0.1, ("saliency",), ("windowed",))
    assert job.state == "failed" and job.so_far == said
    assert [e.so_far for e in events if e.kind == "so far"] == [said]
    job.close()


def test_torchs_optimisers_run_although_its_compiler_wants_a_folder() -> None:
    job, _ = run("optimise")
    assert job.error is None and job.result_json("answer.json", 100) == {"x": [0.5] * 3}


def test_results_can_go_to_a_folder_of_the_callers(tmp_path: Path) -> None:
    job = Job.start("answer", {}, folder=tmp_path)
    job.wait()
    assert json.loads((tmp_path / "answer.json").read_text()) == {"threads": 1}


def test_an_expected_error_is_the_jobs_sentence() -> None:
    job, events = run("refuse")
    assert job.state == "failed" and job.error == "The file is no model." and job.fault == "ModelFileError"
    assert events[-1] == Event("failed", text="The file is no model.")


@pytest.mark.parametrize(
    ("task", "words"),
    [
        ("stumble", "Something unexpected stopped the work (ZeroDivisionError: "),
        ("recurse", "nested too deeply"),
        ("leave", "ended without a result (exit code 7)"),
        ("crash", "crashed (SIGSEGV)"),
    ],
)
def test_every_other_end_has_a_sentence_of_its_own(task: str, words: str) -> None:
    job, events = run(task)
    assert job.state == "failed" and job.error is not None and words in job.error
    assert events[-1].text == job.error
    assert job.error.isprintable() and len(job.error) < 500


def test_jobs_run_side_by_side() -> None:
    jobs = [Job.start("answer", {}) for _ in range(6)]
    for job in jobs:
        job.wait()
    assert [job.state for job in jobs] == ["done"] * 6
    assert len({job.folder for job in jobs}) == 6
    for job in jobs:
        job.close()


def test_polling_does_not_wait() -> None:
    job = Job.start("sleep", {})
    start = time.monotonic()
    job.poll()
    assert time.monotonic() - start < 0.1 and job.state == "running"
    seen: list[Event] = []
    assert until(lambda: bool(seen.extend(job.poll()) or seen))
    assert seen == [Event("progress", "sleeping", 0.5)]
    job.close()


@pytest.mark.parametrize("task", ["sleep", "loop", "chatter"])
def test_a_cancelled_job_is_gone_within_a_second(task: str) -> None:
    job = Job.start(task, {})
    assert until(lambda: job.pid is not None)
    time.sleep(0.2)
    start = time.monotonic()
    job.cancel()
    assert time.monotonic() - start < 1.0
    assert job.state == "cancelled" and job.error == "The work was stopped."
    assert until(lambda: not alive(job.pid), 1.0)
    job.cancel()
    job.close()
    assert not job.folder.exists()


def test_a_job_that_has_not_started_is_cancelled_at_once() -> None:
    close_host()
    job = Job.start("compute", {})
    start = time.monotonic()
    job.cancel()
    assert time.monotonic() - start < 1.0 and job.state == "cancelled"
    assert until(lambda: job.pid is not None) and until(lambda: not alive(job.pid))
    job.close()


def test_a_host_that_was_lost_is_a_sentence_and_the_next_job_has_another() -> None:
    job = Job.start("sleep", {})
    assert until(lambda: job.pid is not None)
    running_host()._process.kill()
    job.wait()
    assert job.state == "failed" and job.error is not None and "lost; try again" in job.error
    assert until(lambda: not alive(job.pid)), "the kernel ends a job whose host is gone"
    again, _ = run("answer")
    assert again.state == "done"


def test_no_process_outlives_the_program(tmp_path: Path) -> None:
    import subprocess

    code = (
        "import os, sys, time\n"
        "from tests.worker import hostile\n"
        "from ti_core.worker import tasks\n"
        "from ti_core.worker import Job\n"
        "tasks.TASKS['sleep'] = tasks.Task(hostile.sleep)\n"
        "job = Job.start('sleep', {})\n"
        "while job.pid is None: time.sleep(0.01)\n"
        "print(job.pid, job.folder, flush=True)\n"
        "os.kill(os.getpid(), 9)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    pid, folder = done.stdout.split()
    assert done.returncode == -9 and until(lambda: not alive(int(pid)), 5.0)
    assert until(lambda: not Path(folder).exists(), 5.0), "nor does its folder"


def test_the_thread_that_starts_a_job_may_end() -> None:
    started: list[Job] = []
    thread = threading.Thread(target=lambda: started.append(Job.start("sleep", {})))
    thread.start()
    thread.join()
    assert until(lambda: started[0].pid is not None)
    time.sleep(0.3)
    assert started[0].state == "running" and alive(started[0].pid)
    started[0].close()


def test_a_warm_job_starts_in_well_under_a_third_of_a_second() -> None:
    if os.getloadavg()[0] > (os.cpu_count() or 1):
        pytest.skip("the machine is busy with other work")
    warm_up()
    run("compute")
    times = []
    for _ in range(5):
        start = time.perf_counter()
        job, _ = run("answer")
        times.append(time.perf_counter() - start)
        job.close()
    assert min(times) < 0.3


def test_a_request_that_is_too_long_fails() -> None:
    job, _ = run("answer", {"text": "x" * 200_000})
    assert job.state == "failed"
    job.close()


def test_the_asking_process_imports_no_torch() -> None:
    import subprocess

    code = (
        "import sys; from ti_core.worker import Job, warm_up; import ti_core.worker.tasks;"
        " print('torch' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True).stdout == "False\n"


@pytest.mark.parametrize("name", ["../x", "/etc/passwd", "", "..", "a/b"])
def test_a_result_has_a_plain_name(name: str) -> None:
    job, _ = run("answer")
    with pytest.raises(ResultError, match="no plain file name"):
        job.result(name, 100)
    job.close()


def test_results_are_read_as_a_strangers(tmp_path: Path) -> None:
    job, _ = run("answer")
    with pytest.raises(ResultError, match="larger than"):
        job.result("answer.json", 3)
    with pytest.raises(ResultError, match="is missing"):
        job.result("none.json", 3)
    (job.folder / "link").symlink_to("/etc/passwd")
    os.mkfifo(job.folder / "fifo")
    with pytest.raises(ResultError):
        job.result("link", 10_000)
    with pytest.raises(ResultError, match="no regular file"):
        job.result("fifo", 10_000)
    for text in ("[1]", "NaN", '{"a": NaN}', '{"a": 1e999}', '{"a": ' + "[" * 100_000, "\xff"):
        (job.folder / "x.json").write_bytes(text.encode("latin-1"))
        with pytest.raises(ResultError, match="not readable"):
            job.result_json("x.json", 10**6)
    job.close()


def test_everything_that_is_imported_ahead_is_there() -> None:
    """A host passes over a module that it cannot import, so a stale name would only lose the warm start."""
    from importlib import import_module

    from ti_core.worker.tasks import TASKS, WARM

    for name in (*WARM, *(name for task in TASKS.values() for name in task.modules({"case": True}))):
        import_module(name)
    assert "captum.attr" in TASKS["inspect"].modules({"case": True})
    assert "captum.attr" not in TASKS["inspect"].modules({"case": False})


@pytest.mark.parametrize("error", [MemoryError(), OSError(5, "Input/output error")], ids=["memory", "disk"])
def test_a_watch_that_fails_ends_the_job(error: BaseException, monkeypatch: pytest.MonkeyPatch) -> None:
    """Else whoever waits for the job would wait for ever."""

    def look(*_: object) -> None:
        raise error

    monkeypatch.setattr("ti_core.worker.watch.Watch._look", look)
    job, events = run("sleep")
    assert job.state == "failed" and f"({type(error).__name__})" in (job.error or "")
    assert events[-1].text == job.error and until(lambda: not alive(job.pid))
    job.close()
