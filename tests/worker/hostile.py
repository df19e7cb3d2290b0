"""Tasks that do what a file that has taken over its process might do."""

from __future__ import annotations

import ctypes
import json
import mmap
import os
import resource
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

from ti_core.errors import ModelFileError

Progress = Callable[[str, float], None]
Partial = Callable[[str], None]
PIPE = 3


def answer(request: dict[str, Any], folder: Path, progress: Progress, partial: Partial) -> None:
    """An honest task."""
    for i in range(5):
        progress("counting", i / 4)
    (folder / "first.json").write_text("{}")
    partial("first.json")
    (folder / "answer.json").write_text(json.dumps({"threads": threading.active_count()}))


def die_after_a_verdict(request: dict[str, Any], folder: Path, progress: Any, partial: Partial) -> None:
    """A task that is killed when it has told what it found so far."""
    said = {
        "verdict": "clean",
        "probability": 0.1,
        "streams": ["saliency"],
        "ahead": ["windowed"],
        "target": None,
    }
    progress.so_far(said)
    os.kill(os.getpid(), signal.SIGKILL)


def refuse(request: dict[str, Any], folder: Path, progress: Progress, partial: Partial) -> None:
    raise ModelFileError("The file is no model.")


def stumble(request: dict[str, Any], folder: Path, progress: Progress, partial: Partial) -> None:
    raise ZeroDivisionError("\x1b[31mred\x1b[0m " + "x" * 100_000)


def recurse(request: dict[str, Any], folder: Path, progress: Progress, partial: Partial) -> None:
    recurse(request, folder, progress, partial)


def leave(request: dict[str, Any], folder: Path, progress: Progress, partial: Partial) -> None:
    os._exit(7)


def leave_like_a_finding(request: dict[str, Any], folder: Path, progress: Progress, partial: Partial) -> None:
    os._exit(1)


def crash(request: dict[str, Any], folder: Path, progress: Progress, partial: Partial) -> None:
    ctypes.string_at(0)


def die(request: dict[str, Any], folder: Path, progress: Progress, partial: Partial) -> None:
    os.kill(os.getpid(), getattr(signal, request["signal"]))
    time.sleep(30)


def take_40_gb(request: dict[str, Any], folder: Path, progress: Progress, partial: Partial) -> None:
    import torch

    torch.zeros(40 * 1024**3, dtype=torch.uint8)


def take_memory_bit_by_bit(
    request: dict[str, Any], folder: Path, progress: Progress, partial: Partial
) -> None:
    kept = []
    while True:
        kept.append(bytearray(b"x" * 10_000_000))


def take_shared_memory(request: dict[str, Any], folder: Path, progress: Progress, partial: Partial) -> None:
    """Shared mappings are in no RLIMIT_DATA."""
    kept = []
    while True:
        shared = mmap.mmap(-1, 64 * 1024**2)
        for place in range(0, len(shared), 4096):
            shared[place] = 1
        kept.append(shared)


def loop(request: dict[str, Any], folder: Path, progress: Progress, partial: Partial) -> None:
    progress("looping", 0.5)
    while True:
        pass


def sleep(request: dict[str, Any], folder: Path, progress: Progress, partial: Partial) -> None:
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    progress("sleeping", 0.5)
    time.sleep(600)


def measure(request: dict[str, Any], folder: Path, progress: Progress, partial: Partial) -> None:
    """A first pass takes as long as the request says; the rest takes a second."""
    progress("measuring", 0.0)
    time.sleep(request["pass"])
    progress("measuring", 1.0)
    time.sleep(1)


def babble(request: dict[str, Any], folder: Path, progress: Progress, partial: Partial) -> None:
    os.write(PIPE, request["bytes"].encode("latin-1"))
    time.sleep(30)


def chatter(request: dict[str, Any], folder: Path, progress: Progress, partial: Partial) -> None:
    while True:
        os.write(PIPE, b'{"kind": "progress", "stage": "talking", "share": 0.5}\n' * 60)


def long_line(request: dict[str, Any], folder: Path, progress: Progress, partial: Partial) -> None:
    while True:
        os.write(PIPE, b"x" * 4096)


def hoard(request: dict[str, Any], folder: Path, progress: Progress, partial: Partial) -> None:
    for number in range(10_000):
        (folder / str(number)).write_bytes(b"x" * 1_000_000)


def one_large_file(request: dict[str, Any], folder: Path, progress: Progress, partial: Partial) -> None:
    with (folder / "large").open("wb") as file:
        while True:
            file.write(b"x" * 1_000_000)


def hide(request: dict[str, Any], folder: Path, progress: Progress, partial: Partial) -> None:
    """Fill the disk with files that no folder lists: deleted, replaced, or never named, and all of them open."""
    kept = []
    for number in range(request["files"]):
        with suppress(OSError):
            kept.append(os.open(folder, os.O_TMPFILE | os.O_RDWR, 0o600))
            os.write(kept[-1], b"x" * 2**20)
        kept.append((folder / str(number)).open("wb", buffering=0))
        kept[-1].write(b"x" * 2**20)
        with suppress(OSError):
            (folder / str(number)).unlink()
        with suppress(OSError):
            (folder / "empty").touch()
            (folder / "empty").rename(folder / str(number))
    time.sleep(request["then"])


def fill_cache(request: dict[str, Any], folder: Path, progress: Progress, partial: Partial) -> None:
    for number in range(request["files"]):
        (Path(request["cache"]) / f"{number}.val").write_bytes(b"x" * 2**20)
    time.sleep(request["then"])


def describe_as_told(request: dict[str, Any], folder: Path, progress: Progress, partial: Partial) -> None:
    """Leave what stands in the model file as the description of it."""
    (folder / "file.json").write_bytes(Path(request["model"]).read_bytes())


def _outcome(act: Callable[[], object]) -> str:
    try:
        act()
    except BaseException as error:
        return type(error).__name__
    return "worked"


def escape(request: dict[str, Any], folder: Path, progress: Progress, partial: Partial) -> None:
    """Try everything a confined process must not do, and write down what worked."""
    outside = Path(request["outside"])
    libc = ctypes.CDLL(None, use_errno=True)

    def call(name: str, *arguments: Any) -> None:
        if getattr(libc, name)(*arguments) == -1:
            raise OSError(ctypes.get_errno(), name)

    tries: dict[str, Callable[[], object]] = {
        "a TCP connection": lambda: socket.create_connection(("127.0.0.1", request["port"]), 1),
        "a UDP packet": lambda: socket.socket(socket.AF_INET, socket.SOCK_DGRAM).sendto(
            b"x", ("127.0.0.1", 9)
        ),
        "a Unix socket": lambda: socket.socket(socket.AF_UNIX).connect(request["unix"]),
        "a raw socket": lambda: socket.socket(socket.AF_PACKET, socket.SOCK_RAW),
        "a file outside": lambda: (outside / "new").write_text("x"),
        "changing a file outside": lambda: (outside / "kept").open("r+").write("x"),
        "truncating a file outside": lambda: os.truncate(outside / "kept", 0),
        "deleting a file outside": lambda: (outside / "kept").unlink(),
        "renaming out": lambda: (Path("mine").write_text("x"), Path("mine").rename(outside / "theirs")),
        "a hard link inwards": lambda: os.link(outside / "kept", folder / "linked"),
        "a symbolic link": lambda: (folder / "link").symlink_to(outside),
        "a folder in the folder": lambda: (folder / "deep").mkdir(),
        "a pipe in the folder": lambda: os.mkfifo(folder / "fifo"),
        "permissions outside": lambda: (outside / "kept").chmod(0o777),
        "times outside": lambda: os.utime(outside / "kept", (0, 0)),
        "starting a program": lambda: subprocess.run(["/bin/true"], check=True),
        "forking": os.fork,
        "vfork": lambda: call("vfork"),
        "killing the parent": lambda: os.kill(request["parent"], 0),
        "killing the host": lambda: os.kill(os.getppid(), 0),
        "tracing the host": lambda: call("ptrace", 16, os.getppid(), 0, 0),
        "the parent's environment": lambda: Path(f"/proc/{request['parent']}/environ").read_bytes(),
        "the parent's memory": lambda: os.open(f"/proc/{request['parent']}/mem", os.O_RDONLY),
        "the parent's limits": lambda: resource.prlimit(request["parent"], 7),
        "raising its own limits": lambda: resource.setrlimit(9, (-1, -1)),
        "memory of no file": lambda: os.memfd_create("x"),
        "shared memory": lambda: call("shmget", 0, 4096, 0o1600),
        "a namespace": lambda: call("unshare", 0x10000000),
        "mounting": lambda: call("mount", b"none", b"/mnt", b"tmpfs", 0, None),
        "becoming another user": lambda: os.setuid(1),
        "writing a device": lambda: Path("/dev/shm/ti-test").write_text("x"),
    }
    held = {
        "a file in the folder": _outcome(lambda: (folder / "own").write_text("x")),
        "a thread": _outcome(lambda: threading.Thread(target=str).start()),
        "a signal to itself": _outcome(lambda: os.kill(os.getpid(), 0)),
    }
    secret = [k for k in os.environ if "SECRET" in k]
    found = {name: _outcome(act) for name, act in tries.items()}
    (folder / "found.json").write_text(json.dumps({"tried": found, "held": held, "secrets": secret}))


def compute(request: dict[str, Any], folder: Path, progress: Progress, partial: Partial) -> None:
    """Torch with several threads, forwards and backwards."""
    import torch

    torch.set_num_threads(4)
    x = torch.randn(64, 3, 32, 32, requires_grad=True)
    torch.nn.Conv2d(3, 64, 3)(x).square().mean().backward()
    product = torch.randn(700, 700) @ torch.randn(700, 700)
    finite = bool(torch.isfinite(product).all()) and bool(torch.isfinite(x.grad).all())
    answered = {"finite": finite, "threads": torch.get_num_threads()}
    (folder / "answer.json").write_text(json.dumps(answered))


def optimise(request: dict[str, Any], folder: Path, progress: Progress, partial: Partial) -> None:
    """A step of an optimiser of torch, which loads torch's compiler."""
    import torch

    x = torch.ones(3, requires_grad=True)
    x.sum().backward()
    torch.optim.SGD([x], lr=0.5).step()
    (folder / "answer.json").write_text(json.dumps({"x": x.tolist()}))


def onnx_bomb(request: dict[str, Any], folder: Path, progress: Progress, partial: Partial) -> None:
    """What a protobuf parser does to a small file of many empty messages."""
    import onnx

    onnx.load_model_from_string(bytes.fromhex(request["prefix"]) * request["times"])


def names() -> list[str]:
    return [
        name
        for name, value in vars(sys.modules[__name__]).items()
        if getattr(value, "__module__", "") == __name__
    ]
