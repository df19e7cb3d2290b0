"""A job, seen from the program that asks for it: it can be polled, waited for and stopped, and never raises."""

from __future__ import annotations

import os
import shutil
import signal
import tempfile
import threading
from collections.abc import Callable, Collection
from contextlib import suppress
from pathlib import Path
from typing import Any

from ti_core.system.folders import private_folder
from ti_core.worker import endings
from ti_core.worker.hosts import running_host
from ti_core.worker.limits import Limits
from ti_core.worker.protocol import Event
from ti_core.worker.results import read_json, read_result

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
        """Start a task of :data:`ti_core.worker.tasks.TASKS`.

        Parameters
        ----------
        request : plain data (JSON), paths in it absolute; "cache" and "device" have the same meaning for every task.
        folder : an existing folder for the results; by default a new temporary one.
        limits : what it may use.
        """
        from ti_core.worker.tasks import TASKS

        chosen = TASKS[task]
        if request.get("cache"):
            # The job may write in it, but make no folder; it says itself if there is none it can use.
            with suppress(OSError):
                private_folder(Path(request["cache"]))
        own = Path(tempfile.mkdtemp(prefix="trojaninterpret-")) if folder is None else folder.resolve()
        job = cls(own, limits or Limits())
        lines, told = os.pipe2(os.O_CLOEXEC), os.pipe2(os.O_CLOEXEC)
        message = {
            "prepare": list(chosen.needs),
            "task": f"{chosen.run.__module__}:{chosen.run.__name__}",
            "request": request,
            "folder": str(own),
            "temporary": folder is None,
            "limits": job.limits.as_dict(),
        }
        try:
            running_host().send(message, (lines[1], told[1]))
        except OSError:
            job._end("failed", endings.NOT_STARTED)
        os.close(lines[1])
        os.close(told[1])
        from ti_core.worker.watch import Watch

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


def warm_up(count: int = 1, tasks: Collection[str] | None = None) -> None:
    """Import now, in the background, what the next jobs need, so that they start in milliseconds.

    Parameters
    ----------
    count : jobs that are expected at once; any number is forked from the same host, each used once. 0 for none.
    tasks : which tasks to expect; by default all of them, and everything that an inspection comes to need.
    """
    from ti_core.worker.tasks import TASKS, WARM

    if count < 1:
        return
    expected = TASKS.values() if tasks is None else [TASKS[name] for name in tasks]
    modules = [name for task in expected for name in task.needs] + list(WARM if tasks is None else ())
    with suppress(OSError):
        running_host().send({"prepare": list(dict.fromkeys(modules))})
