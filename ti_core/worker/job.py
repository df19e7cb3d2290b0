"""A job, for the program that requests it. It can be polled, waited for and stopped. Failed work raises no error."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Callable, Collection
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ti_core.system.folders import private_folder
from ti_core.worker import endings
from ti_core.worker.hosts import running_host
from ti_core.worker.job_state import JobState
from ti_core.worker.limits import Limits
from ti_core.worker.protocol import Event
from ti_core.worker.results import read_json, read_result
from ti_core.worker.watch import Watch

if TYPE_CHECKING:
    from ti_core.results.so_far import SoFar

GOING = 1.0
"""Seconds that a killed process is waited for."""


class Job:
    """One task in a process of its own.

    Attributes
    ----------
    state : "running", "done", "failed" or "cancelled".
    error : one sentence for a person if it failed or was cancelled, else None.
    fault : name of the class in :mod:`ti_core.errors` that it failed with, or "".
    folder : where its result files lie; :meth:`close` removes it.
    isolation : what the kernel keeps the process from, by "network", "files" and "processes".
    so_far : the last verdict so far that it told, or None. It stays when the job ends.
    """

    def __init__(self, folder: Path, limits: Limits, cache: Path | None = None) -> None:
        self._held = JobState(folder, limits, cache)

    @property
    def folder(self) -> Path:
        return self._held.folder

    @property
    def pid(self) -> int | None:
        """The process id, once the process runs."""
        return self._held.pid

    @property
    def limits(self) -> Limits:
        return self._held.limits

    @property
    def state(self) -> str:
        return self._held.state

    @property
    def error(self) -> str | None:
        return self._held.error

    @property
    def fault(self) -> str:
        return self._held.fault

    @property
    def isolation(self) -> dict[str, str]:
        return self._held.isolation

    @property
    def so_far(self) -> SoFar | None:
        return self._held.so_far

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
        cache = Path(request["cache"]) if request.get("cache") else None
        if cache:
            # The job may write into the folder but not make it. It reports a folder that it cannot use.
            with suppress(OSError):
                private_folder(cache)
        own = Path(tempfile.mkdtemp(prefix="trojaninterpret-")) if folder is None else folder.resolve()
        job = cls(own, limits or Limits(), cache)
        lines, told = os.pipe2(os.O_CLOEXEC), os.pipe2(os.O_CLOEXEC)
        message = {
            "prepare": chosen.modules(request),
            "task": f"{chosen.run.__module__}:{chosen.run.__name__}",
            "request": request,
            "folder": str(own),
            "temporary": folder is None,
            "limits": job.limits.as_dict(),
        }
        try:
            running_host().send(message, (lines[1], told[1]))
        except OSError:
            job._held.end("failed", endings.NOT_STARTED)
        os.close(lines[1])
        os.close(told[1])
        Watch(job._held, lines[0], told[0]).start()
        return job

    def poll(self) -> list[Event]:
        """The events since the last call. The final event is "done" or "failed"; a cancelled job has none."""
        return self._held.take()

    def wait(self, on_event: Callable[[Event], None] | None = None) -> None:
        """Wait for the end; ``on_event`` is called with every event on the way."""
        while True:
            ended = self._held.wait(1.0)
            for event in self.poll():
                if on_event:
                    on_event(event)
            if ended:
                return

    def cancel(self) -> None:
        """Stop the work. The process and those that it started have ended when this returns, within a second."""
        self._held.cancel()
        self._held.kill()
        self._held.gone.wait(GOING)

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


def warm_up(count: int = 1, tasks: Collection[str] | None = None) -> None:
    """Import in the background what the next jobs need, so that they start in milliseconds.

    Parameters
    ----------
    count : number of jobs expected at once; 0 for none. All are forked from one host.
    tasks : the tasks to expect; by default all tasks, and everything that an inspection needs later.
    """
    from ti_core.worker.tasks import TASKS, WARM

    if count < 1:
        return
    expected = TASKS.values() if tasks is None else [TASKS[name] for name in tasks]
    modules = [name for task in expected for name in task.needs] + list(WARM if tasks is None else ())
    with suppress(OSError):
        running_host().send({"prepare": list(dict.fromkeys(modules))})
