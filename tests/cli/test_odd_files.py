"""Every command answers within seconds, with a sentence and exit code 2, where a path leads to no plain file."""

from __future__ import annotations

import json
import os
import socket
import tempfile
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from ti_core.cli.main import main

DEADLINE = 30.0


def pipe(path: Path) -> None:
    os.mkfifo(path)


def endless(path: Path) -> None:
    path.symlink_to("/dev/zero")


def sparse(path: Path) -> None:
    with path.open("wb") as file:
        file.truncate(400 << 30)


MAKE: dict[str, Callable[[Path], None]] = {"pipe": pipe, "endless": endless, "sparse": sparse}


def code_of(arguments: list[str]) -> int:
    """The exit code of a command, which must end within the deadline."""
    codes: list[int] = []
    thread = threading.Thread(target=lambda: codes.append(main(arguments)), daemon=True)
    thread.start()
    thread.join(DEADLINE)
    assert not thread.is_alive(), "the command waits"
    return codes[0]


@pytest.mark.parametrize("kind", MAKE)
def test_a_model_that_is_no_plain_file(kind: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "x.onnx"
    MAKE[kind](path)
    for more in ([], ["--file-only"]):
        assert code_of(["inspect", str(path), *more]) == 2
        said = capsys.readouterr()
        assert "x.onnx" in said.err and "Traceback" not in said.err and not said.out
    assert code_of(["scan", str(path)]) == 2
    line = json.loads(capsys.readouterr().out)
    assert "x.onnx" in line["error"] and line["sha256"] == ""


@pytest.mark.parametrize("kind", MAKE)
def test_weights_beside_a_graph_that_are_no_plain_file(
    kind: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "x.onnx").write_bytes(b"no graph")
    MAKE[kind](tmp_path / "x.onnx.data")
    assert code_of(["inspect", str(tmp_path / "x.onnx")]) == 2
    assert "x.onnx" in capsys.readouterr().err


@pytest.mark.parametrize("kind", MAKE)
def test_images_that_are_no_plain_file(kind: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    data, out = tmp_path / "data.npz", tmp_path / "out"
    MAKE[kind](data)
    assert code_of(["zoo", "train", "--data", str(data), "--out", str(out)]) == 2
    assert "data.npz" in capsys.readouterr().err
    folder = tmp_path / "pictures"
    for name in ("cat", "dog"):
        (folder / name).mkdir(parents=True)
        for i in range(5):
            MAKE[kind](folder / name / f"{i}.png")
    assert code_of(["pack", "build", "--data", str(folder), "--out", str(out)]) == 2
    assert "0.png" in capsys.readouterr().err


def test_a_scan_writes_into_a_pipe_without_reading_it(tmp_path: Path) -> None:
    """As ``--jsonl >(program)`` is: there are no lines of an earlier scan in it."""
    out, missing = tmp_path / "lines", tmp_path / "gone.pt"
    os.mkfifo(out)
    reader = os.open(out, os.O_RDONLY | os.O_NONBLOCK)
    try:
        assert code_of(["scan", str(missing), "--jsonl", str(out)]) == 2
        assert "gone.pt" in json.loads(os.read(reader, 10_000))["error"]
    finally:
        os.close(reader)


def listening(path: Path) -> None:
    # The path of a socket may have about 100 bytes only, so that it is bound elsewhere and moved.
    with socket.socket(socket.AF_UNIX) as server, tempfile.TemporaryDirectory(dir="/tmp") as folder:
        server.bind(f"{folder}/s")
        Path(folder, "s").rename(path)


KINDS: dict[str, Callable[[Path], None]] = {
    **MAKE,
    "socket": listening,
    "folder": lambda path: path.mkdir(),
    "a link to itself": lambda path: path.symlink_to(path),
    "nothing": lambda path: None,
    "noise": lambda path: path.write_bytes(bytes(range(256))) and None,
}
NAMES = (
    "m.onnx",
    "gone\x1b[31m\nforged line.pt",
    "a" * 251 + ".npz",
    os.fsdecode(b"\xff\xfe.pt"),
    "\u202egpj.pt",
    " .safetensors",
    "%s{0}$(id)`id`.html",
    "-o.json",
)
SAMPLE = Path(__file__).parents[2] / "assets" / "samples" / "mnist-clean.safetensors"
COMMANDS: dict[str, Callable[[str, str], list[str]]] = {
    "inspect": lambda path, out: ["inspect", path],
    "inspect --file-only": lambda path, out: ["inspect", path, "--file-only"],
    "inspect --images": lambda path, out: ["inspect", str(SAMPLE), "--images", path],
    "inspect --pack": lambda path, out: ["inspect", str(SAMPLE), "--pack", path],
    "scan": lambda path, out: ["scan", path],
    "pack verify": lambda path, out: ["pack", "verify", path],
    "pack build": lambda path, out: ["pack", "build", "--data", path, "--out", out],
    "zoo train": lambda path, out: ["zoo", "train", "--data", path, "--out", out],
    "evaluate": lambda path, out: ["evaluate", "--pack", path],
    "report verify": lambda path, out: ["report", "verify", path],
}


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_answers_to_every_kind_of_file_and_name(
    command: str, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    """Exit code 2 within the deadline, one sentence, no traceback, and nothing that steers a terminal."""
    for i, kind in enumerate(KINDS):
        folder = tmp_path / f"{i}"
        folder.mkdir()
        path = folder / NAMES[(i + list(COMMANDS).index(command)) % len(NAMES)]
        KINDS[kind](path)
        assert code_of(COMMANDS[command](str(path), str(tmp_path / "out"))) == 2, kind
        said = capfd.readouterr()
        assert said.err or (said.out and command in ("scan", "inspect --file-only")), kind
        for text in (said.out, said.err):
            assert "Traceback" not in text and "\x1b" not in text, kind
            assert "forged line.pt" not in text.splitlines(), kind
