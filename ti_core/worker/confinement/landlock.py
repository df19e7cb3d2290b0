"""Landlock: a process gives up access to files by means of the kernel, without any privilege.

The three system calls have no wrapper in libc. Their numbers are the same on every architecture.

References
----------
The Linux kernel's documentation, "Landlock: unprivileged access control", userspace-api/landlock.
"""

from __future__ import annotations

import ctypes
import os
from collections.abc import Iterable, Mapping
from pathlib import Path

_CREATE, _ADD, _RESTRICT = 444, 445, 446
_BENEATH = 1

EXECUTE, WRITE_FILE, REMOVE_DIR, REMOVE_FILE = 1 << 0, 1 << 1, 1 << 4, 1 << 5
MAKE_REG = 1 << 8
_MAKE = sum(1 << bit for bit in range(6, 13))
REFER, TRUNCATE, IOCTL_DEV = 1 << 13, 1 << 14, 1 << 15
KEEP_FILES = WRITE_FILE | MAKE_REG | TRUNCATE
"""The rights that are needed to write plain files in a folder. Making folders, links or devices is not allowed. Neither
is deleting or renaming: a file that is deleted while it is open takes up the disk, but no folder lists it."""


class _Ruleset(ctypes.Structure):
    _fields_ = (("fs", ctypes.c_uint64), ("net", ctypes.c_uint64), ("scoped", ctypes.c_uint64))


class _Beneath(ctypes.Structure):
    _pack_ = 1
    # What a packed structure has had all along. Python 3.14 wants it said.
    _layout_ = "ms"
    _fields_ = (("access", ctypes.c_uint64), ("fd", ctypes.c_int32))


def version() -> int:
    """The kernel's Landlock version, or 0 if the kernel has none."""
    try:
        return max(0, _call(_CREATE, None, ctypes.c_size_t(0), ctypes.c_uint32(1)))
    except OSError:
        return 0


def restrict(allowed: Mapping[Path, int]) -> int:
    """Give up running programs and changing files, except for the rights in ``allowed`` at and below its paths.

    Reading is not restricted. Version 4 and later also give up TCP. Version 6 and later also give up signals to other
    processes and abstract sockets of other processes. The restriction applies to this thread and to all threads and
    processes that it starts, so call this before there are other threads.

    Returns
    -------
    The Landlock version that was used.

    Raises
    ------
    OSError : the kernel has no Landlock, or refuses.
    """
    abi = version()
    if abi < 1:
        raise OSError("this kernel has no Landlock")
    handled = EXECUTE | WRITE_FILE | REMOVE_DIR | REMOVE_FILE | _MAKE
    for since, right in ((2, REFER), (3, TRUNCATE), (5, IOCTL_DEV)):
        handled |= right if abi >= since else 0
    rules = _Ruleset(handled, 0b11 if abi >= 4 else 0, 0b11 if abi >= 6 else 0)
    size = 24 if abi >= 6 else 16 if abi >= 4 else 8
    ruleset = _call(_CREATE, ctypes.byref(rules), ctypes.c_size_t(size), ctypes.c_uint32(0))
    try:
        for path, access in allowed.items():
            _allow(ruleset, path, access & handled)
        _call(_RESTRICT, ctypes.c_int(ruleset), ctypes.c_uint32(0))
    finally:
        os.close(ruleset)
    return abi


def _allow(ruleset: int, path: Path, access: int) -> None:
    fd = os.open(path, os.O_PATH | os.O_CLOEXEC)
    try:
        if not path.is_dir():
            access &= EXECUTE | WRITE_FILE | TRUNCATE | IOCTL_DEV
        rule = _Beneath(access, fd)
        _call(_ADD, ctypes.c_int(ruleset), ctypes.c_int(_BENEATH), ctypes.byref(rule), ctypes.c_uint32(0))
    finally:
        os.close(fd)


def _call(number: int, *arguments: object) -> int:
    libc = ctypes.CDLL(None, use_errno=True)
    result = int(libc.syscall(ctypes.c_long(number), *arguments))
    if result < 0:
        code = ctypes.get_errno()
        raise OSError(code, os.strerror(code))
    return result


def existing(paths: Iterable[str]) -> list[Path]:
    return [path for path in map(Path, paths) if path.exists()]
