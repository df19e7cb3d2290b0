"""The process of a job: it gives up what it does not need, runs one task, and reports how that ended."""

from __future__ import annotations

import errno
import importlib
import os
import signal
import sys
import tempfile
import time
import traceback
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any, NoReturn

from ti_core.errors import TrojanInterpretError
from ti_core.system.memory import is_out_of_memory
from ti_core.worker.confinement.claims import sentences
from ti_core.worker.confinement.isolation import die_with_parent, isolate
from ti_core.worker.limits import LARGEST_CACHE, Limits, held_files, hold
from ti_core.worker.protocol import SO_FAR, encode

SPACING = 0.05
"""Seconds between two progress lines of one stage."""
LINES = 3


def run(message: dict[str, Any], lines: int, host: int) -> NoReturn:
    """Run the task that ``message`` asks for, in a process that was just forked. It does not return."""
    os.setsid()
    _only_files(lines)
    die_with_parent(host)
    say = Lines(LINES)
    folder = Path(message["folder"])
    request = dict(message["request"])
    try:
        limits = Limits(**message["limits"])
        cache = Path(request["cache"]) if request.get("cache") else None
        gpu = request.get("device", "cpu") != "cpu" and Path("/dev/nvidiactl").exists()
        os.environ["TMPDIR"] = tempfile.tempdir = str(folder)
        # torch's compiler, which its optimisers load, may have named a folder outside before the fork.
        os.environ["TORCHINDUCTOR_CACHE_DIR"] = str(folder)
        os.chdir(folder)
        folders = [folder, *([cache] if cache and cache.is_dir() else [])]
        means = isolate(folders, gpu)
        largest = limits.folder_bytes + (min(held_files(cache), LARGEST_CACHE) if cache else 0)
        hold(limits, largest, address_space=not gpu)
        # Changing namespaces and capabilities may clear it.
        die_with_parent(host)
        request["isolation"] = sentences(means)
        request["seconds"] = limits.wall_seconds
        say.line("isolation", holds=request["isolation"])
        module, name = message["task"].split(":")
        task = getattr(importlib.import_module(module), name)
        task(request, folder, say, say.partial)
    except BaseException as error:
        if os.environ.get("TROJANINTERPRET_DEBUG"):
            traceback.print_exc()
        fault = type(error).__name__ if isinstance(error, TrojanInterpretError) else ""
        say.line("failed", text=sentence(error), fault=fault)
    else:
        say.line("done")
    # The interpreter is not shut down, so that no code from the file can run at that point.
    os._exit(0)


def sentence(error: BaseException) -> str:
    """The cause that stopped the task, in one sentence for a person."""
    if isinstance(error, TrojanInterpretError):
        return str(error)
    if is_out_of_memory(error):
        return "The file needs more memory than it may use; allow more, if you trust it to need that much."
    if isinstance(error, RecursionError):
        return "The file is nested too deeply to be read."
    if isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT):
        return "The disk is full, so the results could not be written; free some space and try again."
    if isinstance(error, OSError):
        name = f"{Path(str(error.filename)).name}: " if error.filename else ""
        return f"{name}{error.strerror or error}."
    reason = (str(error).strip().splitlines() or [""])[0][:300]
    told = f"{type(error).__name__}: {reason}" if reason else type(error).__name__
    return f"Something unexpected stopped the work ({told})."


class Lines:
    """The pipe to the parent."""

    def __init__(self, fd: int) -> None:
        self._fd = fd
        self._last: tuple[str, float] = ("", 0.0)

    def line(self, kind: str, **values: Any) -> None:
        data = encode(kind, **values)
        with suppress(OSError):
            os.write(self._fd, data)

    def __call__(self, stage: str, share: float) -> None:
        """Report the stage and its share; at most about twenty lines a second are sent for one stage."""
        before, when = self._last
        now = time.monotonic()
        if stage == before and share < 1.0 and now - when < SPACING:
            return
        self._last = (stage, now)
        self.line("progress", stage=stage, share=share)

    def expect(self, stages: Mapping[str, float]) -> None:
        """Report the seconds that each stage is expected to take."""
        self.line("expected", stages={name: round(seconds, 3) for name, seconds in stages.items()})

    def so_far(self, record: Mapping[str, Any]) -> None:
        """Report the verdict so far."""
        self.line(SO_FAR, so_far=record)

    def partial(self, name: str) -> None:
        self.line("partial", stage=name)


def _only_files(lines: int) -> None:
    """Close all files but the pipe to the parent, which becomes file 3; input and output lead to /dev/null."""
    nothing = os.open(os.devnull, os.O_RDWR)
    os.dup2(nothing, 0)
    os.dup2(nothing, 1)
    if not os.environ.get("TROJANINTERPRET_DEBUG"):
        os.dup2(nothing, 2)
    if lines != LINES:
        os.dup2(lines, LINES)
    os.closerange(LINES + 1, os.sysconf("SC_OPEN_MAX") if sys.platform != "linux" else 65536)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
