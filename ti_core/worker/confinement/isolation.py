"""Confines this process by means of the kernel, and reports which means are in effect."""

from __future__ import annotations

import ctypes
import os
import signal
import struct
import sys
from collections.abc import Callable, Collection
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from ti_core.worker.confinement import landlock, syscalls

_PR_SET_PDEATHSIG, _PR_SET_CHILD_SUBREAPER, _PR_SET_NO_NEW_PRIVS = 1, 36, 38
_NEWIPC, _NEWUSER, _NEWNET = 0x08000000, 0x10000000, 0x40000000
_CAPABILITY_VERSION_3 = 0x20080522
GPU_DEVICES = ("/dev/nvidiactl", "/dev/nvidia-uvm", "/dev/nvidia-uvm-tools", "/dev/nvidia-modeset")


@dataclass(frozen=True)
class Isolation:
    """The means that keep a job from the network, from files outside its folder and from other processes.

    Each is one sentence for the report. The sentence says so if this machine lacks a means.
    """

    network: str
    files: str
    processes: str

    def as_dict(self) -> dict[str, str]:
        return {"network": self.network, "files": self.files, "processes": self.processes}


MEANS = ("namespaces", "landlock", "seccomp")


def isolate(folders: list[Path], gpu: bool = False, means: Collection[str] = MEANS) -> Isolation:
    """Give up for good the network, writing outside ``folders``, and access to other processes.

    Call this while the process has one thread. Every means is tried, even if another one is missing.

    Parameters
    ----------
    folders : folders in which plain files may still be written.
    gpu : whether NVIDIA's device files stay usable.
    means : the means of the kernel to try.
    """

    def tried(name: str, step: Callable[[], object]) -> str:
        return _worked(step) if name in means else "not tried"

    namespaces = tried("namespaces", _enter_namespaces)
    _no_new_privileges()
    allowed = dict.fromkeys(folders, landlock.KEEP_FILES)
    allowed |= dict.fromkeys(landlock.existing(["/dev/null"]), landlock.WRITE_FILE)
    if gpu:
        devices = [*landlock.existing(GPU_DEVICES), *Path("/dev").glob("nvidia[0-9]*")]
        allowed |= dict.fromkeys(devices, landlock.WRITE_FILE | landlock.IOCTL_DEV)
    landlocked = tried("landlock", lambda: landlock.restrict(allowed))
    _worked(_drop_capabilities)
    filtered = tried("seccomp", syscalls.forbid)
    return _told(namespaces, landlocked, filtered)


def _told(namespaces: str, landlocked: str, filtered: str) -> Isolation:
    if not filtered and not namespaces:
        network = "None: no socket can be opened (seccomp), and its own network leads nowhere (namespace)."
    elif not filtered:
        network = "None: no socket can be opened (seccomp)."
    elif not namespaces:
        network = "None: the process has its own network, which leads nowhere (namespace)."
    else:
        network = f"Not cut off on this machine (seccomp: {filtered}; namespace: {namespaces})."
    if not landlocked:
        files = "Written only in the job's own folder and the cache (Landlock)."
    else:
        files = f"Not confined by the kernel on this machine (Landlock: {landlocked})."
    if not filtered:
        processes = "No other program can be started, and no other process reached (seccomp)."
    elif not landlocked:
        processes = "No other program can be started (Landlock)."
    else:
        processes = f"Not confined by the kernel on this machine (seccomp: {filtered})."
    return Isolation(network, files, processes)


def die_with_parent(parent: int) -> None:
    """Ask the kernel to kill this process when its parent ends. If the parent has ended already, end it at once."""
    with suppress(OSError, AttributeError):
        _prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:
        os._exit(1)


def adopt_orphans() -> None:
    """Make this process the parent of the processes that its children leave behind, so that it can end them."""
    with suppress(OSError, AttributeError):
        _prctl(_PR_SET_CHILD_SUBREAPER, 1)


def _worked(step: Callable[[], object]) -> str:
    """Empty if the means is in effect, otherwise the reason why it is not."""
    if not sys.platform.startswith("linux"):
        return "only on Linux"
    try:
        step()
    except (OSError, RuntimeError, ImportError, AttributeError, ValueError) as error:
        return getattr(error, "strerror", None) or str(error) or type(error).__name__
    return ""


def _enter_namespaces() -> None:
    """Give the process its own network and System V shared memory. An ordinary user needs a user namespace for it."""
    user, group = os.geteuid(), os.getegid()
    try:
        _libc_call("unshare", _NEWUSER | _NEWNET | _NEWIPC)
    except OSError:
        _libc_call("unshare", _NEWNET | _NEWIPC)
        return
    with suppress(OSError):
        Path("/proc/self/setgroups").write_text("deny")
    Path("/proc/self/uid_map").write_text(f"{user} {user} 1")
    Path("/proc/self/gid_map").write_text(f"{group} {group} 1")


def _no_new_privileges() -> None:
    with suppress(OSError, AttributeError):
        _prctl(_PR_SET_NO_NEW_PRIVS, 1)


def _drop_capabilities() -> None:
    header = ctypes.create_string_buffer(struct.pack("=Ii", _CAPABILITY_VERSION_3, 0))
    none = ctypes.create_string_buffer(struct.pack("=6I", 0, 0, 0, 0, 0, 0))
    _libc_call("capset", header, none)


def _prctl(option: int, value: int) -> None:
    zero = ctypes.c_ulong(0)
    _libc_call("prctl", ctypes.c_int(option), ctypes.c_ulong(value), zero, zero, zero)


def _libc_call(name: str, *arguments: object) -> None:
    libc = ctypes.CDLL(None, use_errno=True)
    if getattr(libc, name)(*arguments) != 0:
        code = ctypes.get_errno()
        raise OSError(code, os.strerror(code))
