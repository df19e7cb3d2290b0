"""The watch on a running job: it reads the job's lines, checks its limits, and settles its end."""

from __future__ import annotations

import os
import select
import threading
import time
from contextlib import suppress

from ti_core.system.progress import MEASURING
from ti_core.worker import endings
from ti_core.worker.job_state import JobState
from ti_core.worker.limits import held_memory
from ti_core.worker.protocol import LONGEST_LINE, MOST_BYTES, MalformedLineError, decode

LOOK = 0.2
"""Seconds between two checks of a job's resources."""
START_SECONDS = 120.0
"""How long importing and forking may take before a job counts as not started."""


class Watch(threading.Thread):
    """Reads the lines of a job and of its host, and kills the job if it exceeds its limits."""

    def __init__(self, job: JobState, lines: int, told: int) -> None:
        super().__init__(daemon=True, name="job")
        self._job = job
        self._lines, self._told = lines, told
        self._buffer = b""
        self._read = 0
        self._outcome: tuple[str, str | None] | None = None
        self._status: int | None = None
        self._forked = False
        self._overfull = False
        self._measuring_since: float | None = None

    def run(self) -> None:
        try:
            self._follow()
        except BaseException as error:
            # Whoever waits for the job would wait for ever.
            self._job.kill()
            self._job.end("failed", endings.unwatched(error))
            self._job.gone.set()

    def _follow(self) -> None:
        job, ready = self._job, select.poll()
        ready.register(self._lines, select.POLLIN)
        ready.register(self._told, select.POLLIN)
        last_start, last_end, last_look = time.monotonic() + START_SECONDS, 0.0, 0.0
        open_files = {self._lines, self._told}
        while self._told in open_files:
            for fd, _ in ready.poll(LOOK * 1000):
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
            since = self._measuring_since
            if self._outcome is None and since is not None and now - since > job.limits.measuring_seconds:
                job.fault, self._outcome = endings.TOO_SLOW, ("failed", endings.too_slow(job.limits))
            if self._outcome is None and self._forked and now - last_look > LOOK:
                last_look = now
                self._look()
            if self._outcome is not None or job.state != "running":
                job.kill()
                if not self._forked:
                    # The job is not forked yet. It is killed as soon as the host reports its process id.
                    job.end(*(self._outcome or ("cancelled", endings.CANCELLED)))
                    job.gone.set()
        self._drain()
        self._settle()
        job.close(self._lines, self._told)

    def _hear(self, data: bytes) -> None:
        """Handle a line of the host: ``started PID`` or ``ended STATUS``."""
        for line in data.decode().splitlines():
            verb, number = line.split()
            if verb == "started":
                self._forked = True
                self._job.pid = int(number)
                with suppress(OSError, AttributeError):
                    self._job.pidfd = os.pidfd_open(int(number))
            else:
                self._status = int(number)
                self._job.gone.set()

    def _take(self, data: bytes) -> None:
        """Handle a line of the job."""
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
            # Only the first report counts, since it is made before the file is opened.
            self._job.isolation = self._job.isolation or dict(holds)
        elif event.kind == "done":
            self._outcome = "done", None
        elif event.kind == "failed":
            self._outcome = "failed", event.text or endings.RUBBISH
            self._job.fault = event.fault
        else:
            if event.kind == "progress":
                measuring = event.stage == MEASURING and event.share < 1
                self._measuring_since = (self._measuring_since or time.monotonic()) if measuring else None
            self._job.add(event)

    def _look(self) -> None:
        job = self._job
        if job.pid is not None and held_memory(job.pid) > job.limits.memory_bytes:
            self._outcome = "failed", endings.too_much_memory(job.limits)
        else:
            self._measure()

    def _measure(self) -> None:
        """Compare what the job has written with its limit."""
        if self._job.disk.held() > self._job.limits.folder_bytes:
            self._outcome, self._overfull = ("failed", endings.too_large(self._job.limits)), True

    def _drain(self) -> None:
        """Read the last lines of the process: the report of its end may arrive before them."""
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
        job.gone.set()
        if self._outcome[0] == "done":
            # What it wrote since the last look counts too.
            self._measure()
        if self._overfull:
            job.disk.empty_cache()
        job.end(*self._outcome)
