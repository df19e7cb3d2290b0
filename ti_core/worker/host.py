"""The host: a process that opens no model file, imports what is slow once, and forks a process for every job.

Run as ``python -m ti_core.worker.host FD``; FD is a socket to the program that asks. Each message is a JSON object:
``{"prepare": [modules]}``, or one with "task", "request", "folder", "temporary" (whether that folder is) and "limits",
and comes with two file descriptors. The job writes its lines to the first. The host reports ``started PID`` and
``ended STATUS`` to the second. When the socket closes, the host kills every job, removes the temporary folders of those
that still ran, and ends.
"""

from __future__ import annotations

import gc
import importlib
import json
import os
import select
import shutil
import signal
import socket
import sys
from contextlib import suppress
from pathlib import Path
from typing import Any

from ti_core.system.own_memory import close_memory
from ti_core.worker.confinement.isolation import adopt_orphans
from ti_core.worker.protocol import LONGEST_MESSAGE


class Host:
    """By process id of a job: the pipe to the asking program, and the job's folder if it is temporary."""

    def __init__(self, asked: socket.socket) -> None:
        self.asked = asked
        # The socket is set to non-blocking, since recv_fds of Python 3.11 ignores its flags.
        asked.setblocking(False)
        self.jobs: dict[int, int] = {}
        self.temporary: dict[int, str] = {}
        self.ended, wake = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
        self.own_files = [asked.fileno(), self.ended, wake]
        signal.set_wakeup_fd(wake, warn_on_full_buffer=False)
        signal.signal(signal.SIGCHLD, lambda *_: None)
        adopt_orphans()

    def serve(self) -> None:
        """Answer messages until the other side closes."""
        ready = select.poll()
        ready.register(self.asked, select.POLLIN)
        ready.register(self.ended, select.POLLIN)
        while True:
            ready.poll()
            with suppress(BlockingIOError):
                while os.read(self.ended, 4096):
                    pass
            self.reap()
            try:
                text, files, _, _ = socket.recv_fds(self.asked, LONGEST_MESSAGE, 2)
            except BlockingIOError:
                continue
            except OSError:
                text, files = b"", []
            if not text:
                break
            self.answer(json.loads(text), files)
        for pid in self.jobs:
            _kill_group(pid)
        for pid, folder in self.temporary.items():
            # The program that would have removed it is gone. A process that is still ending could write into it.
            with suppress(ChildProcessError):
                os.waitpid(pid, 0)
            shutil.rmtree(folder, ignore_errors=True)

    def answer(self, message: dict[str, Any], files: list[int]) -> None:
        prepare(message.get("prepare", ()))
        if "task" not in message:
            return
        lines, told = files
        parent = os.getpid()
        try:
            pid = os.fork()
        except OSError:
            # No process can be forked. The pipes close, which tells the asking program.
            os.close(lines)
            os.close(told)
            return
        if pid == 0:
            self.become_job(message, lines, told, parent)
        os.close(lines)
        self.jobs[pid] = told
        if message["temporary"]:
            self.temporary[pid] = message["folder"]
        _tell(told, f"started {pid}")

    def become_job(self, message: dict[str, Any], lines: int, told: int, host: int) -> None:
        """In the forked process: close the host's files and run the task. It does not return."""
        try:
            signal.set_wakeup_fd(-1)
            signal.signal(signal.SIGCHLD, signal.SIG_DFL)
            self.asked.detach()
            for fd in (*self.own_files, told, *self.jobs.values()):
                os.close(fd)
            from ti_core.worker.child import run

            run(message, lines, host)
        finally:
            os._exit(70)

    def reap(self) -> None:
        """Report the jobs that have ended, and kill the processes they left behind."""
        while True:
            try:
                pid, status = os.waitpid(-1, os.WNOHANG)
            except ChildProcessError:
                return
            if pid == 0:
                break
            told = self.jobs.pop(pid, None)
            self.temporary.pop(pid, None)
            if told is not None:
                _kill_group(pid)
                _tell(told, f"ended {status}")
                os.close(told)
        for pid in _children() - set(self.jobs):
            _kill_group(pid)


def prepare(modules: list[str]) -> None:
    """Import modules ahead of the jobs that need them. A job reports a module that cannot be imported itself."""
    missing = [name for name in modules if name not in sys.modules]
    if not missing:
        return
    # Nearly everything that an import makes stays. Garbage collection on the way takes a fifth of its time.
    gc.disable()
    for name in missing:
        with suppress(Exception):
            importlib.import_module(name)
    # These objects are shared with every job. Frozen, the collector does not touch their pages, which would copy them.
    gc.freeze()
    gc.enable()


def _children() -> set[int]:
    """Processes whose parent is this one, orphans of jobs included."""
    found: set[int] = set()
    for path in Path("/proc/self/task").glob("*/children"):
        with suppress(OSError):
            found |= {int(pid) for pid in path.read_text().split()}
    return found


def _kill_group(pid: int) -> None:
    for kill in (os.killpg, os.kill):
        with suppress(OSError):
            kill(pid, signal.SIGKILL)


def _tell(fd: int, text: str) -> None:
    # The asking program may have closed its end; then nobody needs the report.
    with suppress(OSError):
        os.write(fd, text.encode() + b"\n")


def main() -> None:
    close_memory()
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    with socket.socket(fileno=int(sys.argv[1])) as asked:
        Host(asked).serve()
    # No interpreter shutdown: it takes longer than a small job with torch loaded, and nothing has to be saved.
    os._exit(0)


if __name__ == "__main__":
    main()
