"""Confines a process by some of the means, and tries from inside whatever the report's isolation speaks of.

Run as ``python -m tests.worker.confinement.attempts FOLDER USER``. It prints one JSON record for each combination of
means: what is claimed, and by attempt whether it worked.
"""

from __future__ import annotations

import ctypes
import errno
import fcntl
import json
import mmap
import os
import resource
import signal
import socket
import struct
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import Any

from ti_core.system.own_memory import close_memory, open_memory
from ti_core.worker.confinement import claims, isolation, landlock

WORKED = "worked"
SEIZE, FCNTL = 0x4206, 72
ASYNC_SIGNALS = {"a signal of a file's owner": signal.SIGUSR1, "the same by 64 bits": signal.SIGUSR2}
PROGRAM = bytes.fromhex("31ff b83c000000 0f05")
"""Machine code (x86-64) of a program that ends with exit code 0."""
SOCKET = bytes.fromhex("53 b867010000 bb01000000 b901000000 31d2 cd80 5b c3")
"""Machine code of ``socket(AF_UNIX, SOCK_STREAM, 0)`` as a 32-bit program calls it."""
COMBINATIONS: tuple[tuple[str, ...], ...] = (
    *((), ("namespaces",), ("landlock",), ("seccomp",)),
    *(("namespaces", "landlock"), ("namespaces", "seccomp"), ("landlock", "seccomp")),
    *(("namespaces", "landlock", "seccomp"), ("network namespace",)),
    *(("landlock 1",), ("landlock 3",), ("landlock 4",), ("landlock 5",)),
)
"""Means of :func:`isolate`; also Landlock of an earlier version, and a network namespace without one of users."""
libc = ctypes.CDLL(None, use_errno=True)


class Scene:
    """What the attempts are aimed at: this process as the parent, another job, a program beside, files, sockets."""

    def __init__(self, root: Path, others: ExitStack) -> None:
        self.inside, self.outside = root / "inside", root / "outside"
        for folder in (self.inside, self.outside):
            folder.mkdir()
        self.parent = os.getpid()
        self.buffer = ctypes.create_string_buffer(b"untouched")
        self.tcp = others.enter_context(socket.create_server(("127.0.0.1", 0)))
        self.udp = others.enter_context(socket.socket(socket.AF_INET, socket.SOCK_DGRAM))
        self.udp.bind(("127.0.0.1", 0))
        self.unix = self._unix(others, str(self.outside / "unix"))
        self.abstract = self._unix(others, f"\0ti-attempts-{os.getpid()}")
        self.beside = others.enter_context(process(self._program_beside))
        self.signals: list[int] = []
        for number in ASYNC_SIGNALS.values():
            signal.signal(number, lambda number, _: self.signals.append(number))
        self.renew()

    def renew(self) -> None:
        """The files and the memory as they were before."""
        self.buffer.value = b"untouched"
        self.signals.clear()
        for folder in (self.inside, self.outside):
            for path in folder.iterdir():
                if path.name != "unix":
                    path.unlink()
        for name in ("kept", "other", "third"):
            (self.outside / name).write_text("kept")

    @staticmethod
    def _unix(others: ExitStack, name: str) -> str:
        server = others.enter_context(socket.socket(socket.AF_UNIX))
        server.bind(name)
        server.listen()
        return name

    @staticmethod
    def _program_beside() -> None:
        """Another program of the same user, without privileges and without any protection of its own."""
        isolation._drop_capabilities()
        open_memory()
        time.sleep(600)


@contextmanager
def process(act: Callable[[], object]) -> Iterator[int]:
    """A forked process that has begun with ``act``, killed at the end."""
    pid = os.fork()
    if pid == 0:
        with suppress(BaseException):
            act()
        os._exit(0)
    time.sleep(0.02)
    try:
        yield pid
    finally:
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)


def call(result: int) -> int:
    if result < 0:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
    return result


def write_memory(pid: int, address: int) -> None:
    text = b"written"
    local = (ctypes.c_void_p * 2)(ctypes.cast(text, ctypes.c_void_p).value, len(text))
    remote = (ctypes.c_void_p * 2)(address, len(text))
    one = ctypes.c_ulong(1)
    call(libc.process_vm_writev(pid, local, one, remote, one, ctypes.c_ulong(0)))


def connect(family: int, where: Any) -> None:
    with socket.socket(family) as tried:
        tried.settimeout(1)
        tried.connect(where)


def signal_of_a_files_owner(pid: int, name: str) -> None:
    """Have the kernel send a signal to the "owner" of a pipe. The second way sets a bit that the kernel ignores."""
    read, write = os.pipe()
    more = 1 << 32 if "64" in name else 0
    call(libc.syscall(FCNTL, read, ctypes.c_ulong(fcntl.F_SETOWN + more), pid))
    call(libc.syscall(FCNTL, read, ctypes.c_ulong(10 + more), int(ASYNC_SIGNALS[name])))
    fcntl.fcntl(read, fcntl.F_SETFL, os.O_ASYNC)
    os.write(write, b"x")


def fork() -> None:
    if (pid := os.fork()) == 0:
        os._exit(0)
    os.waitpid(pid, 0)


def nameless(folder: Path) -> None:
    os.write(os.open(folder, os.O_TMPFILE | os.O_RDWR, 0o600), b"x")


def deleted(folder: Path) -> None:
    with (folder / "deleted").open("w"):
        (folder / "deleted").unlink()


def replaced(folder: Path) -> None:
    for name in ("new", "old"):
        (folder / name).write_text("x")
    with (folder / "old").open():
        (folder / "new").rename(folder / "old")


def attempts(scene: Scene, sibling: int) -> dict[str, Callable[[], object]]:
    parent, beside, outside, inside = scene.parent, scene.beside, scene.outside, scene.inside
    address = ctypes.addressof(scene.buffer)
    memory: dict[str, Callable[[], object]] = {}
    for whose, pid in (("the parent", parent), ("another job", sibling), ("a program beside", beside)):
        memory |= {
            f"opening the memory of {whose}": lambda pid=pid: os.open(f"/proc/{pid}/mem", os.O_RDWR),
            f"reading the environment of {whose}": lambda pid=pid: Path(f"/proc/{pid}/environ").read_bytes(),
            f"opening an open file of {whose}": lambda pid=pid: os.open(f"/proc/{pid}/fd/0", os.O_RDONLY),
            f"tracing {whose}": lambda pid=pid: call(libc.ptrace(SEIZE, pid, None, None)),
            f"writing the memory of {whose}": lambda pid=pid: write_memory(pid, address),
        }
    return memory | {
        "TCP": lambda: connect(socket.AF_INET, scene.tcp.getsockname()),
        "UDP": lambda: socket.socket(type=socket.SOCK_DGRAM).sendto(b"x", scene.udp.getsockname()),
        "an abstract Unix socket": lambda: connect(socket.AF_UNIX, scene.abstract),
        "a Unix socket in a folder": lambda: connect(socket.AF_UNIX, scene.unix),
        "another kind of socket": lambda: socket.socket(socket.AF_NETLINK, socket.SOCK_RAW),
        "a pair of sockets": socket.socketpair,
        "reading a file outside": lambda: (outside / "kept").read_text(),
        "writing a file outside": lambda: (outside / "kept").open("r+").write("x"),
        "a new file outside": lambda: (outside / "new").write_text("x"),
        "moving a file outside": lambda: (outside / "third").rename(outside / "moved"),
        "a hard link inwards": lambda: os.link(outside / "kept", inside / "link"),
        "a folder inside": lambda: ((inside / "deep").mkdir(), (inside / "deep").rmdir()),
        "deleting a file outside": lambda: (outside / "other").unlink(),
        "truncating a file outside": lambda: os.truncate(outside / "kept", 0),
        "permissions of a file outside": lambda: (outside / "kept").chmod(0o600),
        "times of a file outside": lambda: os.utime(outside / "kept", (0, 0)),
        "a file deleted while open": lambda: deleted(inside),
        "a file replaced while open": lambda: replaced(inside),
        "a file without a name": lambda: nameless(inside),
        "a process": fork,
        "limits of a program beside": lambda: resource.prlimit(beside, resource.RLIMIT_CORE, (0, 0)),
        "priority of a program beside": lambda: os.setpriority(os.PRIO_PROCESS, beside, 5),
        "a signal": lambda: os.kill(parent, signal.SIGURG),
        "a signal to a program beside": lambda: os.kill(beside, signal.SIGURG),
        **{name: lambda name=name: signal_of_a_files_owner(parent, name) for name in ASYNC_SIGNALS},
        "a file inside": lambda: (inside / "own").write_text("x"),
    }


def program_in_memory() -> None:
    """Run a program that no file holds; it does not return if it works."""
    fd = os.memfd_create("program", 0)
    start, size = 0x400000, 0x78 + len(PROGRAM)
    header = b"\x7fELF\x02\x01\x01".ljust(16, b"\0")
    header += struct.pack("<HHIQQQIHHHHHH", 2, 62, 1, start + 0x78, 64, 0, 0, 64, 56, 1, 0, 0, 0)
    header += struct.pack("<IIQQQQQQ", 1, 5, 0, start, start, size, size, 0x1000)
    os.write(fd, header + PROGRAM)
    # The loader of a program that is linked dynamically would be a file that Landlock knows.
    os.execve(fd, ["program"], {})


def socket_by_32_bits() -> None:
    """Open a Unix socket by the table of system calls for 32-bit programs, which numbers them otherwise."""
    page = mmap.mmap(-1, 4096, prot=mmap.PROT_READ | mmap.PROT_WRITE | mmap.PROT_EXEC)
    page.write(SOCKET)
    call(ctypes.CFUNCTYPE(ctypes.c_int)(ctypes.addressof(ctypes.c_char.from_buffer(page)))())
    os._exit(0)


PROGRAMS: dict[str, Callable[[], object]] = {
    "a program": lambda: os.execve("/bin/true", ["true"], {}),
    "a program in memory": program_in_memory,
    "a socket by 32-bit calls": socket_by_32_bits,
}
"""Attempts that replace or end the process which makes them, with exit code 0 if they work."""


def outcome(act: Callable[[], object]) -> str:
    try:
        act()
    except OSError as error:
        return errno.errorcode.get(error.errno or 0, type(error).__name__)
    return WORKED


def confine(scene: Scene, names: tuple[str, ...]) -> claims.Means:
    """What a job does to itself, by these means only."""
    means = {name.split()[0] for name in names}
    if version := next((int(name[-1]) for name in names if name[-1].isdigit()), 0):
        landlock.version = lambda: version  # type: ignore[assignment]
    if "network namespace" in names:
        means.add("namespaces")
        unpatched = isolation._libc_call

        def without_users(name: str, *arguments: Any) -> None:
            if name == "unshare" and arguments[0] & isolation._NEWUSER:
                raise OSError(errno.EPERM, "no user namespace")
            unpatched(name, *arguments)

        isolation._libc_call = without_users
    return isolation.isolate([scene.inside], means=means)


def in_a_job(scene: Scene, names: tuple[str, ...], work: Callable[[claims.Means], object]) -> tuple[Any, int]:
    """What ``work`` returns in a confined process, None if it never returns; and that process's exit code."""
    read, write = os.pipe()
    if (pid := os.fork()) == 0:
        os.close(read)
        os.write(write, json.dumps(work(confine(scene, names))).encode())
        os._exit(3)
    os.close(write)
    with os.fdopen(read) as told:
        text = told.read()
    return (json.loads(text) if text else None), os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])


def experiment(scene: Scene, names: tuple[str, ...]) -> dict[str, Any]:
    """All attempts of one combination."""
    scene.renew()

    def idle() -> None:
        confine(scene, names)
        time.sleep(600)

    def try_all(means: claims.Means) -> dict[str, Any]:
        found = {name: outcome(act) for name, act in attempts(scene, sibling).items()}
        return {
            "lacking": dict(means.lacking),
            "claimed": [claim.what for claim in claims.CLAIMS if claim.carried_by(means)],
            "says": claims.sentences(means),
            "found": found,
        }

    with process(idle) as sibling:
        record, _ = in_a_job(scene, names, try_all)
    found = record["found"]
    for name, act in PROGRAMS.items():
        failed, code = in_a_job(scene, names, lambda _, act=act: outcome(act))
        found[name] = WORKED if code == 0 else failed
    if scene.buffer.value != b"untouched":
        found["writing the memory of the parent"] = WORKED
    for name, number in ASYNC_SIGNALS.items():
        if found[name] == WORKED and number not in scene.signals:
            found[name] = "did not arrive"
    return {"means": list(names)} | record


def main(root: Path, user: int) -> None:
    if user:
        os.setgroups([])
        os.setgid(user)
        os.setuid(user)
        # Only a process that became another user is undumpable, no program that this user starts.
        open_memory()
    close_memory()
    with ExitStack() as others:
        scene = Scene(root, others)
        print(json.dumps([experiment(scene, names) for names in COMBINATIONS]))


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]))
