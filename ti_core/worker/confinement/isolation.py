"""Confines this process by means of the kernel, and reports which means are in effect."""

from __future__ import annotations

import ctypes
import os
import signal
import struct
import sys
from collections.abc import Callable, Collection
from contextlib import suppress
from pathlib import Path

from ti_core.system.own_memory import close_memory, memory_is_closed, open_memory, prctl
from ti_core.worker.confinement import landlock, syscalls
from ti_core.worker.confinement.claims import (
    LANDLOCK,
    NETWORK_NAMESPACE,
    SECCOMP,
    UNDUMPABLE,
    USER_NAMESPACE,
    Means,
)

_PR_SET_PDEATHSIG, _PR_SET_CHILD_SUBREAPER, _PR_SET_NO_NEW_PRIVS = 1, 36, 38
_NEWIPC, _NEWUSER, _NEWNET = 0x08000000, 0x10000000, 0x40000000
_CAPABILITY_VERSION_3 = 0x20080522
NOT_TRIED = "not tried"
GPU_DEVICES = ("/dev/nvidiactl", "/dev/nvidia-uvm", "/dev/nvidia-uvm-tools", "/dev/nvidia-modeset")


MEANS = ("namespaces", "landlock", "seccomp")


def isolate(folders: list[Path], gpu: bool = False, means: Collection[str] = MEANS) -> Means:
    """Give up for good the network, writing outside ``folders``, and access to other processes.

    Call this while the process has one thread. Every means is tried, even if another one is missing.

    Parameters
    ----------
    folders : folders in which plain files may still be written.
    gpu : whether NVIDIA's device files stay usable.
    means : the means of the kernel to try.

    Returns
    -------
    The means that are in force. :func:`ti_core.worker.confinement.claims.sentences` says what they prevent.
    """
    held: dict[str, str] = {}
    # The processes that start a job are undumpable, and the job was forked from one. So it inherits this from them.
    held[UNDUMPABLE] = "" if memory_is_closed() else "not in force in the process that started it"
    held |= (
        _namespaces()
        if "namespaces" in means
        else dict.fromkeys((USER_NAMESPACE, NETWORK_NAMESPACE), NOT_TRIED)
    )
    close_memory()
    _no_new_privileges()
    versions: list[int] = []
    held[LANDLOCK] = _tried(
        "landlock", means, lambda: versions.append(landlock.restrict(_writable(folders, gpu)))
    )
    _worked(_drop_capabilities)
    held[SECCOMP] = _tried("seccomp", means, syscalls.forbid)
    return Means(
        frozenset(name for name, problem in held.items() if not problem),
        sum(versions),
        {name: problem for name, problem in held.items() if problem},
    )


def _writable(folders: list[Path], gpu: bool) -> dict[Path, int]:
    """What Landlock still allows, by path."""
    allowed = dict.fromkeys(folders, landlock.KEEP_FILES)
    allowed |= dict.fromkeys(landlock.existing(["/dev/null"]), landlock.WRITE_FILE)
    if gpu:
        devices = [*landlock.existing(GPU_DEVICES), *Path("/dev").glob("nvidia[0-9]*")]
        allowed |= dict.fromkeys(devices, landlock.WRITE_FILE | landlock.IOCTL_DEV)
    return allowed


def die_with_parent(parent: int) -> None:
    """Ask the kernel to kill this process when its parent ends. If the parent has ended already, end it at once."""
    with suppress(OSError, AttributeError):
        prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:
        os._exit(1)


def adopt_orphans() -> None:
    """Make this process the parent of the processes that its children leave behind, so that it can end them."""
    with suppress(OSError, AttributeError):
        prctl(_PR_SET_CHILD_SUBREAPER, 1)


def _tried(name: str, means: Collection[str], step: Callable[[], object]) -> str:
    return _worked(step) if name in means else NOT_TRIED


def _worked(step: Callable[[], object]) -> str:
    """Empty if the means is in effect, otherwise the reason why it is not."""
    if not sys.platform.startswith("linux"):
        return "only on Linux"
    try:
        step()
    except (OSError, RuntimeError, ImportError, AttributeError, ValueError) as error:
        return getattr(error, "strerror", None) or str(error) or type(error).__name__
    return ""


def _namespaces() -> dict[str, str]:
    """Give the process its own network and System V shared memory. An ordinary user needs a user namespace for it.

    Returns
    -------
    By namespace "" if this process is in one of its own, else why it is not.
    """
    user, group = os.geteuid(), os.getegid()
    problem = _worked(lambda: _libc_call("unshare", _NEWUSER | _NEWNET | _NEWIPC))
    if problem:
        alone = _worked(lambda: _libc_call("unshare", _NEWNET | _NEWIPC))
        return {USER_NAMESPACE: problem, NETWORK_NAMESPACE: problem if alone else ""}
    # A process without the same identity in its user namespace is confined all the same. An undumpable process cannot
    # write these files. No job can reach this one meanwhile: it is in a user namespace that no other job is in.
    with suppress(OSError, AttributeError):
        open_memory()
        for name, text in (
            ("setgroups", "deny"),
            ("uid_map", f"{user} {user} 1"),
            ("gid_map", f"{group} {group} 1"),
        ):
            with suppress(OSError):
                Path("/proc/self", name).write_text(text)
    close_memory()
    return {USER_NAMESPACE: "", NETWORK_NAMESPACE: ""}


def _no_new_privileges() -> None:
    with suppress(OSError, AttributeError):
        prctl(_PR_SET_NO_NEW_PRIVS, 1)


def _drop_capabilities() -> None:
    header = ctypes.create_string_buffer(struct.pack("=Ii", _CAPABILITY_VERSION_3, 0))
    none = ctypes.create_string_buffer(struct.pack("=6I", 0, 0, 0, 0, 0, 0))
    _libc_call("capset", header, none)


def _libc_call(name: str, *arguments: object) -> None:
    libc = ctypes.CDLL(None, use_errno=True)
    if getattr(libc, name)(*arguments) != 0:
        code = ctypes.get_errno()
        raise OSError(code, os.strerror(code))
