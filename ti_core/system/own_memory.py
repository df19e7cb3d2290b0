"""Closing the memory of this process to the other processes of its user.

References
----------
The Linux manual, ``PR_SET_DUMPABLE(2const)`` and ``ptrace(2)``, "Ptrace access mode checking".
"""

from __future__ import annotations

import ctypes
import os
from contextlib import suppress

_PR_GET_DUMPABLE, _PR_SET_DUMPABLE = 3, 4


def close_memory() -> None:
    """Make this process undumpable, on Linux.

    The kernel then refuses its memory, its environment and its open files to all processes without privileges, those of
    the same user included. A fork inherits this. A program that is started does not: it must call this itself.
    """
    with suppress(OSError, AttributeError):
        prctl(_PR_SET_DUMPABLE, 0)


def open_memory() -> None:
    """Make this process dumpable again. It can then write files such as ``/proc/self/uid_map``."""
    prctl(_PR_SET_DUMPABLE, 1)


def memory_is_closed() -> bool:
    """Whether this process is undumpable."""
    with suppress(OSError, AttributeError):
        return prctl(_PR_GET_DUMPABLE, 0) != 1
    return False


def prctl(option: int, value: int) -> int:
    """The Linux system call of that name.

    Raises
    ------
    OSError : the kernel refuses.
    AttributeError : this system has no such call.
    """
    libc = ctypes.CDLL(None, use_errno=True)
    zero = ctypes.c_ulong(0)
    result = int(libc.prctl(ctypes.c_int(option), ctypes.c_ulong(value), zero, zero, zero))
    if result < 0:
        code = ctypes.get_errno()
        raise OSError(code, os.strerror(code))
    return result
