"""A job, seen from the program that asks for it: it can be polled, waited for and stopped, and never raises."""

from __future__ import annotations

import os
import select
import shutil
import signal
import tempfile
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

from ti_core.worker import endings
from ti_core.worker.hosts import running_host
from ti_core.worker.limits import Limits, held_files, held_memory
from ti_core.worker.protocol import LONGEST_LINE, MOST_BYTES, Event, MalformedLineError, decode
from ti_core.worker.results import read_json, read_result

WATCH = 0.2
"""Seconds between two looks at what a job uses."""
START_SECONDS = 120.0
"""How long importing and forking may take before a job counts as not started."""
GOING = 1.0
"""Seconds that a killed process is waited for."""


class Job:
    """One task in a process of its own.

    Attributes
    ----------
    state : "running", "done", "failed" or "cancelled".
    error : one sentence for a person if it failed or was cancelled, else None.
    folder : where its result files lie; :meth:`close` removes it.
    isolation : what the kernel keeps the process from, by "network", "files" and "processes".
    """

    def __init__(self, folder: Path, limits: Limits) -> None:
        self.folder = folder
        self.limits = limits
        self.state = "running"
        self.error: str | None = None
        self.isolation: dict[str, str] = {}
        self._events: list[Event] = []
        self._changed = threading.Condition()
        self._gone = threading.Event()
        self._pid: int | None = None
        self._pidfd: int | None = None

    @classmethod
    def start(
        cls,
        task: str,
        request: dict[str, Any],
        folder: Path | None = None,
        limits: Limits | None = None,
    ) -> Job:
        """Start a task of :data:`ti_core.tasks.TASKS`.

        Parameters
        ----------
        request : plain data (JSON), paths in it absolute; "cache" and "device" have the same meaning for every task.
        folder : an existing folder for the results; by default a new temporary one.
        limits : what it may use.
        """
        from ti_core.tasks import TASKS

        chosen = TASKS[task]
        own = Path(tempfile.mkdtemp(prefix="trojaninterpret-")) if folder is None else folder.resolve()
        job = cls(own, limits or Limits())
        lines, told = os.pipe2(os.O_CLOEXEC), os.pipe2(os.O_CLOEXEC)
        message = {
            "prepare": list(chosen.needs),
            "task": f"{chosen.run.__module__}:{chosen.run.__name__}",
            "request": request,
            "folder": str(own),
            "limits": job.limits.as_dict(),
        }
        try:
            running_host().send(message, (lines[1], told[1]))
        except OSError:
            job._end("failed", endings.NOT_STARTED)
        os.close(lines[1])
        os.close(told[1])
        Watch(job, lines[0], told[0]).start()
        return job

    def poll(self) -> list[Event]:
        """What happened since the last time; the last event of all is "done" or "failed", but for a cancelled job."""
        with self._changed:
            events, self._events = self._events, []
        return events

    def wait(self, on_event: Callable[[Event], None] | None = None) -> None:
        """Wait for the end; ``on_event`` is called with every event on the way."""
        while True:
            with self._changed:
                self._changed.wait_for(lambda: bool(self._events) or self.state != "running", timeout=1.0)
                ended = self.state != "running"
            for event in self.poll():
                if on_event:
                    on_event(event)
            if ended:
                return

    def cancel(self) -> None:
        """Stop the work: the process, and whatever it started, is gone when this returns, within a second."""
        with self._changed:
            if self.state == "running":
                self.state, self.error = "cancelled", endings.CANCELLED
                self._events = []
                self._changed.notify_all()
        self._kill()
        self._gone.wait(GOING)

    def result(self, name: str, limit: int) -> bytes:
        """A result file's bytes; raises :class:`~ti_core.worker.results.ResultError`."""
        return read_result(self.folder, name, limit)

    def result_json(self, name: str, limit: int) -> dict[str, Any]:
        """The JSON object in a result file; raises :class:`~ti_core.worker.results.ResultError`."""
        return read_json(self.folder, name, limit)

    def close(self) -> None:
        """Stop the work if it still runs, and remove the folder."""
        self.cancel()
        with suppress(RecursionError):
            shutil.rmtree(self.folder, ignore_errors=True)

    def __enter__(self) -> Job:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _add(self, event: Event) -> None:
        with self._changed:
            if self.state != "running":
                return
            last = self._events[-1] if self._events else None
            if last and last.kind == event.kind == "progress" and last.stage == event.stage:
                self._events[-1] = event
            else:
                self._events.append(event)
            self._changed.notify_all()

    def _end(self, state: str, error: str | None = None) -> None:
        with self._changed:
            if self.state != "running":
                return
            self.state, self.error = state, error
            self._events.append(Event(state, text=error or ""))
            self._changed.notify_all()

    def _kill(self) -> None:
        """Kill the process if it is known and not yet reaped; the host ends what it may have left behind."""
        with suppress(OSError):
            if self._pidfd is not None:
                signal.pidfd_send_signal(self._pidfd, signal.SIGKILL)
            elif self._pid is not None and not self._gone.is_set():
                os.kill(self._pid, signal.SIGKILL)

    def _close(self, *files: int) -> None:
        pidfd, self._pidfd = self._pidfd, None
        for fd in (*files, *([] if pidfd is None else [pidfd])):
            with suppress(OSError):
                os.close(fd)


class Watch(threading.Thread):
    """Reads what a job says and what the host says of it, and ends it where it goes beyond its limits."""

    def __init__(self, job: Job, lines: int, told: int) -> None:
        super().__init__(daemon=True, name="job")
        self._job = job
        self._lines, self._told = lines, told
        self._buffer = b""
        self._read = 0
        self._outcome: tuple[str, str | None] | None = None
        self._status: int | None = None
        self._forked = False

    def run(self) -> None:
        job, ready = self._job, select.poll()
        ready.register(self._lines, select.POLLIN)
        ready.register(self._told, select.POLLIN)
        last_start, last_end, last_look = time.monotonic() + START_SECONDS, 0.0, 0.0
        open_files = {self._lines, self._told}
        while self._told in open_files:
            for fd, _ in ready.poll(WATCH * 1000):
                data = os.read(fd, 65536)
                if not data:
                    ready.unregister(fd)
                    open_files.discard(fd)
                elif fd == self._told:
                    self._hear(data)
                    last_end = last_end or time.monotonic() + job.limits.wall_seconds
                elif self._outcome is None:
                    self._take(data)
            now = time.monotonic()
            if self._outcome is None and now > (last_end if self._forked else last_start):
                self._outcome = (
                    "failed",
                    endings.too_long(job.limits) if self._forked else endings.NOT_STARTED,
                )
            if self._outcome is None and self._forked and now - last_look > WATCH:
                last_look = now
                self._look()
            if self._outcome is not None or job.state != "running":
                job._kill()
                if not self._forked:
                    # Not forked yet: it is killed as soon as the host tells its process id.
                    job._end(*(self._outcome or ("cancelled", endings.CANCELLED)))
                    job._gone.set()
        self._drain()
        self._settle()
        job._close(self._lines, self._told)

    def _hear(self, data: bytes) -> None:
        """What the host tells: ``started PID``, ``ended STATUS``."""
        for line in data.decode().splitlines():
            verb, number = line.split()
            if verb == "started":
                self._forked = True
                self._job._pid = int(number)
                with suppress(OSError, AttributeError):
                    self._job._pidfd = os.pidfd_open(int(number))
            else:
                self._status = int(number)
                self._job._gone.set()

    def _take(self, data: bytes) -> None:
        """What the job tells."""
        self._read += len(data)
        *lines, self._buffer = (self._buffer + data).split(b"\n")
        try:
            for line in lines:
                self._one(line)
        except MalformedLineError:
            self._outcome = self._outcome or ("failed", endings.RUBBISH)
        if self._outcome is None and len(self._buffer) > LONGEST_LINE:
            self._outcome = "failed", endings.RUBBISH
        if self._outcome is None and self._read > MOST_BYTES:
            self._outcome = "failed", endings.TOO_MUCH_TEXT

    def _one(self, line: bytes) -> None:
        if self._outcome is not None:
            return
        if len(line) > LONGEST_LINE:
            raise MalformedLineError
        event, holds = decode(line)
        if event.kind == "isolation":
            # Said once, before the file is opened; what is said later may be the file's doing.
            self._job.isolation = self._job.isolation or dict(holds)
        elif event.kind == "done":
            self._outcome = "done", None
        elif event.kind == "failed":
            self._outcome = "failed", event.text or endings.RUBBISH
        else:
            self._job._add(event)

    def _look(self) -> None:
        job = self._job
        if job._pid is not None and held_memory(job._pid) > job.limits.memory_bytes:
            self._outcome = "failed", endings.too_much_memory(job.limits)
        elif held_files(job.folder) > job.limits.folder_bytes:
            self._outcome = "failed", endings.too_large(job.limits)

    def _drain(self) -> None:
        """Read what the process said last: its end may be heard of before its words."""
        os.set_blocking(self._lines, False)
        with suppress(BlockingIOError):
            while self._outcome is None and (data := os.read(self._lines, 65536)):
                self._take(data)

    def _settle(self) -> None:
        job = self._job
        if self._outcome is None:
            lost = endings.HOST_ENDED if self._forked else endings.NOT_STARTED
            self._outcome = (
                "failed",
                lost if self._status is None else endings.of_status(self._status, job.limits),
            )
        job._gone.set()
        job._end(*self._outcome)


def warm_up(count: int = 1) -> None:
    """Import now, in the background, what an inspection needs, so that the next jobs start in milliseconds.

    ``count`` jobs are expected at once; any number is forked from the same host, each used once.
    """
    from ti_core.tasks import TASKS, WARM

    if count < 1:
        return
    modules = dict.fromkeys([name for task in TASKS.values() for name in task.needs])
    with suppress(OSError):
        running_host().send({"prepare": [*modules, *WARM]})
