"""Starts the host and sends it messages. The whole program has one host, which is started when it is first needed."""

from __future__ import annotations

import atexit
import json
import os
import socket
import subprocess
import sys
import threading
from contextlib import suppress
from pathlib import Path
from typing import Any

from ti_core.system.folders import library_folder
from ti_core.system.own_memory import close_memory
from ti_core.worker.protocol import LONGEST_MESSAGE

MODULE = "ti_core.worker.host"
"""The module that is run as the host."""
ROOT = Path(__file__).resolve().parent.parent.parent
PASSED_ON = ("PATH", "HOME", "LANG", "TMPDIR", "TZ", "LD_LIBRARY_PATH", "VIRTUAL_ENV", "MALLOC_ARENA_MAX")
PREFIXES = ("LC_", "XDG_", "TROJANINTERPRET_", "OMP_", "MKL_", "CUDA_", "NVIDIA_", "PYTHON")
"""Prefixes of the environment variables that a job sees. Passwords and tokens stay outside."""


class Host:
    """The requesting program's handle of the running host."""

    def __init__(self) -> None:
        # A job runs as the same user. This process and the host, which does the same, must be closed to it.
        close_memory()
        own, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        with theirs:
            debug = bool(os.environ.get("TROJANINTERPRET_DEBUG"))
            self._process = subprocess.Popen(
                # -P: nothing is imported from the current folder, where a model may lie.
                [sys.executable, "-P", "-m", MODULE, str(theirs.fileno())],
                pass_fds=[theirs.fileno()],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=None if debug else subprocess.DEVNULL,
                env=environment(),
                start_new_session=True,
            )
        self._asked = own
        self._lock = threading.Lock()

    @property
    def alive(self) -> bool:
        return self._process.poll() is None

    def send(self, message: dict[str, Any], files: tuple[int, ...] = ()) -> None:
        """
        Raises
        ------
        OSError : the host has ended, or the message is too long.
        """
        data = json.dumps(message).encode()
        if len(data) > LONGEST_MESSAGE:
            raise OSError("the request is too long")
        with self._lock:
            socket.send_fds(self._asked, [data], list(files))

    def close(self) -> None:
        """End the host and every job."""
        self._asked.close()
        try:
            self._process.wait(1.0)
        except subprocess.TimeoutExpired:
            # The host is importing modules. Its jobs end with it.
            self._process.kill()
            self._process.wait()


_lock = threading.Lock()
_running: Host | None = None


def running_host() -> Host:
    """The host. It is started if there is none.

    Raises
    ------
    OSError : no process can be started.
    """
    global _running
    with _lock:
        if _running is not None and not _running.alive:
            close, _running = _running, None
            close.close()
        if _running is None:
            _running = Host()
        return _running


@atexit.register
def close_host() -> None:
    """End the host and every job. The next job starts a new host."""
    global _running
    with _lock:
        host, _running = _running, None
    if host is not None:
        host.close()


def _forget() -> None:
    # A fork of this program must not end its parent's host.
    global _running, _lock
    _running, _lock = None, threading.Lock()


with suppress(AttributeError):
    os.register_at_fork(after_in_child=_forget)


def environment() -> dict[str, str]:
    """The environment of a process of this program: without passwords and tokens of the one that starts it."""
    kept = {k: v for k, v in os.environ.items() if k in PASSED_ON or k.startswith(PREFIXES)}
    path = [str(ROOT), *filter(None, [os.environ.get("PYTHONPATH")])]
    # numpy's thread pool would give the host several threads, and a process with several threads must not be forked.
    # Torch's threads spin by default while they wait. On a busy machine this takes ten times as long, and on an idle
    # machine small networks gain nothing. So the threads sleep instead.
    waiting = {"OMP_WAIT_POLICY": "passive"} if "OMP_WAIT_POLICY" not in kept else {}
    own = {"MPLCONFIGDIR": str(library_folder()), "OPENBLAS_NUM_THREADS": "1"}
    return kept | waiting | own | {"PYTHONPATH": os.pathsep.join(path)}
