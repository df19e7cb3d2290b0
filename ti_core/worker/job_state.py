"""The state of a job, under one lock. The job's owner reads it, and the job's watch changes it."""

from __future__ import annotations

import os
import signal
import threading
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

from ti_core.worker import endings
from ti_core.worker.limits import Disk, Limits
from ti_core.worker.protocol import Event

if TYPE_CHECKING:
    from ti_core.results.so_far import SoFar


class JobState:
    """The state of one job.

    Attributes
    ----------
    folder, limits : where its result files lie, and what it may use.
    state : "running", "done", "failed" or "cancelled".
    error : one sentence for a person if it failed or was cancelled, else None.
    fault : name of the expected error's class that it failed with, or "".
    isolation : what the kernel keeps the process from, by "network", "files" and "processes".
    so_far : the last verdict so far that it told; it stays when the job ends.
    pid, pidfd : of its process, once the host has told them.
    gone : set when the process has ended.
    """

    def __init__(self, folder: Path, limits: Limits, cache: Path | None = None) -> None:
        self.folder = folder
        self.limits = limits
        self.disk = Disk(folder, cache)
        self.state = "running"
        self.error: str | None = None
        self.fault = ""
        self.isolation: dict[str, str] = {}
        self.so_far: SoFar | None = None
        self.pid: int | None = None
        self.pidfd: int | None = None
        self.gone = threading.Event()
        self._events: list[Event] = []
        self._changed = threading.Condition()

    def take(self) -> list[Event]:
        """The events since the last time."""
        with self._changed:
            events, self._events = self._events, []
        return events

    def wait(self, seconds: float) -> bool:
        """Wait at most this long for an event or the end. Returns whether the job has ended."""
        with self._changed:
            self._changed.wait_for(lambda: bool(self._events) or self.state != "running", timeout=seconds)
            return self.state != "running"

    def add(self, event: Event) -> None:
        """Keep an event. A later share of the same stage replaces an earlier one."""
        with self._changed:
            if self.state != "running":
                return
            self.so_far = event.so_far or self.so_far
            last = self._events[-1] if self._events else None
            if last and last.kind == event.kind == "progress" and last.stage == event.stage:
                self._events[-1] = event
            else:
                self._events.append(event)
            self._changed.notify_all()

    def end(self, state: str, error: str | None = None) -> None:
        """Set the final state, unless there is one."""
        with self._changed:
            if self.state != "running":
                return
            self.state, self.error = state, error
            self._events.append(Event(state, text=error or ""))
            self._changed.notify_all()

    def cancel(self) -> None:
        """Set the state "cancelled", unless the job has ended; its events are dropped."""
        with self._changed:
            if self.state == "running":
                self.state, self.error = "cancelled", endings.CANCELLED
                self._events = []
                self._changed.notify_all()

    def kill(self) -> None:
        """Kill the process if it is known and not yet reaped. The host ends the processes that it left behind."""
        with suppress(OSError):
            if self.pidfd is not None:
                signal.pidfd_send_signal(self.pidfd, signal.SIGKILL)
            elif self.pid is not None and not self.gone.is_set():
                os.kill(self.pid, signal.SIGKILL)

    def close(self, *files: int) -> None:
        """Close these files and the process's own."""
        pidfd, self.pidfd = self.pidfd, None
        for fd in (*files, *([] if pidfd is None else [pidfd])):
            with suppress(OSError):
                os.close(fd)
