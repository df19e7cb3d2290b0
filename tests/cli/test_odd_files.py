"""Models, weights, pictures and scans where a path leads to no plain file: exit code 2 and a sentence in time."""

from __future__ import annotations

import json
import os
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


def test_a_damaged_file_gets_a_line_to_copy_with_its_name(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "a b.pt"
    path.write_bytes(b"PK\x03\x04" + bytes(100))
    assert code_of(["inspect", str(path)]) == 2
    assert capsys.readouterr().err.splitlines()[-1].endswith("inspect 'a b.pt' --file-only")


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
