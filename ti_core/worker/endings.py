"""One sentence for every way in which a job can end without a result."""

from __future__ import annotations

import os
import signal

from ti_core.worker.limits import GIB, Limits

NOT_STARTED = "The process that opens the file could not be started; try again."
HOST_ENDED = "The process that opens the file was lost; try again."
TOO_SLOW = "TooLongError"
"""Name of the error of an inspection that would take too long."""
CANCELLED = "The work was stopped."
RUBBISH = "The process that opened the file answered with something unreadable, so nothing it says is used."
TOO_MUCH_TEXT = "The process that opened the file wrote more than it may, so it was ended."


def unwatched(error: BaseException) -> str:
    return (
        f"The process that opened the file could no longer be watched ({type(error).__name__}), so it was ended; try"
        " again."
    )


def too_long(limits: Limits) -> str:
    return (
        f"The work took longer than the {_minutes(limits.wall_seconds)} it may take, so it was ended;"
        " choose fewer streams of evidence, or allow it more time."
    )


def too_slow(limits: Limits) -> str:
    return (
        f"A first pass of the network took longer than {_minutes(limits.measuring_seconds)}, so the inspection would"
        f" take longer than the {_minutes(limits.wall_seconds)} it may; it was ended. Allow more time with --minutes."
    )


def too_much_memory(limits: Limits) -> str:
    return (
        f"The file needs more memory than the {limits.memory_bytes / GIB:.1f} GB it may use, so it was ended;"
        " allow more, if you trust it to need that much."
    )


def too_large(limits: Limits) -> str:
    return (
        f"The process that opened the file wrote more than the {_bytes(limits.folder_bytes)} it may, so it was"
        " ended."
    )


def of_status(status: int, limits: Limits) -> str:
    """The sentence for a process that ended by itself, from its wait status."""
    if os.WIFSIGNALED(status):
        number = os.WTERMSIG(status)
        if number == signal.SIGXCPU:
            return (
                f"The work used more than the {_minutes(limits.cpu_seconds)} of processor time it may, so it was"
                " ended; choose fewer streams of evidence, or allow it more time."
            )
        if number == signal.SIGKILL:
            return "The process that opened the file was ended by the system, most likely for want of memory."
        try:
            name = signal.Signals(number).name
        except ValueError:
            name = f"signal {number}"
        return (
            f"The process that opened the file crashed ({name}): the file is damaged or hostile, or needs more than"
            f" the {limits.memory_bytes / GIB:.1f} GB of memory it may use."
        )
    return f"The process that opened the file ended without a result (exit code {os.WEXITSTATUS(status)})."


def _bytes(number: int) -> str:
    return f"{number / GIB:.1f} GB" if number >= GIB // 10 else f"{number / 2**20:.1f} MB"


def _minutes(seconds: float) -> str:
    return f"{seconds / 60:.0f} minutes" if seconds >= 120 else f"{seconds:g} seconds"
