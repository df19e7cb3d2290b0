"""The command ``pack build`` in a process of its own, on images that the confined process has read before.

The process reads nothing that a stranger wrote: the images are plain arrays that this process checked and wrote. What
is finished stays on the disk, so that a later run goes on.
"""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import threading
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import IO

from ti_core.text import plain
from ti_core.worker.hosts import environment

COMMAND = """
import os, sys
from ti_core.worker.confinement.isolation import die_with_parent
die_with_parent(int(sys.argv[1]))
os.nice(10)
from ti_core.cli.main import main
sys.exit(main(sys.argv[2:]))
"""
"""It ends with the server, and lets inspections go first."""
BAR = re.compile(r"(training|evidence|recovered triggers): +(\d{1,3})%")
"""The bars of the command."""
ENTER = re.compile(r"\d+ of \d+ networks can enter a pack\b")
"""How the command says which networks stay out, after the training."""
COMPLAINT = "trojaninterpret: "
"""How the command begins its complaints."""
MOST_SAID = 50
GOING = 5.0
"""Seconds that the reader of a stopped process is waited for."""


@dataclass(frozen=True)
class Progress:
    """An event of the process."""

    stage: str
    share: float
    kind: str = "progress"


class Building:
    """A run of the command, with the part of the interface of a job that an errand uses.

    Parameters
    ----------
    arguments : of ``python -m ti_core``.

    Attributes
    ----------
    said : the sentences that the command said, complaints among them.
    error : the last of the complaints.
    """

    def __init__(self, arguments: Sequence[str]) -> None:
        self.said: list[str] = []
        self.error: str | None = None
        self._events: list[Progress] = []
        self._process = subprocess.Popen(
            [sys.executable, "-P", "-c", COMMAND, str(os.getpid()), *arguments],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            env=environment(),
            start_new_session=True,
        )
        assert self._process.stdout is not None
        self._reader = threading.Thread(
            target=self._read, args=(self._process.stdout,), daemon=True, name="building"
        )
        self._reader.start()

    def __enter__(self) -> Building:
        return self

    def __exit__(self, *ignored: object) -> None:
        self.cancel()

    @property
    def state(self) -> str:
        code = self._process.poll()
        if code is None or self._reader.is_alive():
            return "running"
        return "done" if code == 0 else "failed"

    @property
    def entered(self) -> str:
        """The sentence that says how many networks can enter the pack and why the others stay out, or ""."""
        return next((sentence for sentence in self.said if ENTER.match(sentence)), "")

    def poll(self) -> list[Progress]:
        """The events since the last call."""
        events, self._events = self._events, []
        return events

    def cancel(self) -> None:
        """End the process and those that it started. What they finished is on the disk."""
        if self._process.poll() is None:
            with suppress(ProcessLookupError):
                os.killpg(self._process.pid, signal.SIGKILL)
            self._process.wait()
        self._reader.join(GOING)

    def _read(self, output: IO[bytes]) -> None:
        """Turn bars into events, and keep the sentences."""
        text = b""
        with output:
            while piece := os.read(output.fileno(), 4096):
                *lines, text = re.split(rb"[\r\n]", text + piece)
                for line in lines:
                    self._hear(line.decode(errors="replace").strip())
                self._draw(text.decode(errors="replace").strip())
        self._hear(text.decode(errors="replace").strip())

    def _hear(self, line: str) -> None:
        if not line or self._draw(line) or len(self.said) >= MOST_SAID:
            return
        self.said.append(plain(line.removeprefix(COMPLAINT), 600))
        if line.startswith(COMPLAINT):
            self.error = self.said[-1]

    def _draw(self, line: str) -> bool:
        """Whether the line is that of a bar."""
        if found := BAR.match(line):
            self._events.append(Progress(found[1], min(1.0, int(found[2]) / 100)))
        return found is not None
