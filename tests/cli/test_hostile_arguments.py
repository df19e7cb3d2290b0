"""Every command, given every odd kind of file and name: an error with a sentence, within seconds, and nothing made."""

from __future__ import annotations

import os
import random
import socket
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from ti_core.cli.main import main
from ti_core.reference.pack import Pack

DEADLINE = 30.0
FORGED = "trojaninterpret: all is well"
"""What a name pretends that the program says."""


def pipe(path: Path) -> None:
    os.mkfifo(path)


def folder(path: Path) -> None:
    path.mkdir()


def listening(path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(path))


def endless(path: Path) -> None:
    path.symlink_to("/dev/zero")


def dead_link(path: Path) -> None:
    path.symlink_to("gone")


def loop(path: Path) -> None:
    path.symlink_to(path.name)


def empty(path: Path) -> None:
    path.touch()


def noise(path: Path) -> None:
    path.write_bytes(random.Random(1).randbytes(3000))


def sparse(path: Path) -> None:
    with path.open("wb") as file:
        file.truncate(400 << 30)


def unreadable(path: Path) -> None:
    """Root can read every file of a disk, but not this one, whose every page is missing."""
    if os.geteuid() == 0:
        path.symlink_to("/proc/self/mem")
    else:
        path.touch(mode=0)


def missing(path: Path) -> None:
    pass


INSIDE = (
    "pack.json",
    "images.npz",
    "x.onnx",
    "x.png",
    "x.json",
    "base-000.json",
    "id-0000/model.pt",
    "a/x.png",
    "b/x.png",
)
"""What the commands look for in a folder."""


def holding_pipes(path: Path) -> None:
    for name in INSIDE:
        (path / name).parent.mkdir(parents=True, exist_ok=True)
        pipe(path / name)


def holding_devices(path: Path) -> None:
    for name in INSIDE:
        (path / name).parent.mkdir(parents=True, exist_ok=True)
        endless(path / name)


def holding_noise(path: Path) -> None:
    for name in INSIDE:
        (path / name).parent.mkdir(parents=True, exist_ok=True)
        noise(path / name)


KINDS: dict[str, Callable[[Path], None]] = {
    f.__name__: f
    for f in (
        *(pipe, folder, listening, endless, dead_link, loop, empty, noise, sparse, unreadable, missing),
        *(holding_pipes, holding_devices, holding_noise),
    )
}
NAMES = {
    "escapes": "x\x1b[31m\x1b]0;title\x07\x9b2J\u202e.onnx",
    "line breaks": f"x\n{FORGED}\r\n.safetensors",
    "no letters": os.fsdecode(b"\xff\xfe\x80.pt"),
    "a dash": "-x.onnx",
    "an option": "--no-such-option",
    "long": "x" * 250 + ".onnx",
    "too long": "x" * 4000,
    "null": "x\0.onnx",
    "nothing": "",
    "a place": "..",
    "blanks": " \t",
    "a format": "{0.__class__}%s%n$(touch made)`touch made`",
}

COMMANDS = [
    "inspect X",
    "inspect X --file-only --json -",
    "inspect MODEL --images X",
    "scan X",
    "changes X MODEL",
    "changes MODEL X --json -",
    "opinions X",
    "data X DATA",
    "data MODEL X",
    "report verify X",
    "report verify X --model X --images X --pack X --json",
    "pack info X",
    "pack add X",
    "pack learn X --methods mntd",
    "pack verify X",
    "pack renew X",
    "pack extend X --zoo ZOO --out OUT",
    "pack extend PACK --zoo X --out OUT",
    "pack build --data X --out OUT",
    "pack build --data X --zoo X --out OUT",
    "pack build --data DATA --zoo X --out OUT",
    "pack build --data DATA --from-tdc X --out OUT",
    "zoo train --data X --out OUT",
    "zoo train --data DATA --way bases --bases X --out OUT",
    "zoo train --data DATA --way bases --begin-with X --out OUT",
    "zoo train --data DATA --way bases --bases pack:X --out OUT",
    "zoo samples --data X --out OUT",
    "evaluate --pack X",
    "evaluate --pack X --shift --json -",
    "X",
]
FOR_FILES = ["inspect MODEL --pack X", "scan MODEL --pack X"]
FOR_NAMES = [
    "inspect -- X",
    "inspect MODEL --architecture X",
    "pack build --data DATA --architecture X --out OUT",
]


def code_of(arguments: list[str]) -> int:
    """The exit code of a command, which must end within the deadline."""
    codes: list[int] = []

    def work() -> None:
        try:
            codes.append(main(arguments))
        except SystemExit as stop:
            codes.append(int(stop.code or 0))

    thread = threading.Thread(target=work, daemon=True)
    thread.start()
    thread.join(DEADLINE)
    assert codes, f"the command waits: {arguments}"
    return codes[0]


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """An empty current folder."""
    here = tmp_path / "here"
    here.mkdir()
    monkeypatch.chdir(here)
    yield here


@pytest.fixture
def words(tiny_models: dict[str, Path], tiny_pack: Pack, tiny_zoo: Path, tiny_data: Path) -> dict[str, str]:
    sound = {"MODEL": tiny_models["clean"], "PACK": tiny_pack.folder, "ZOO": tiny_zoo, "DATA": tiny_data}
    return {name: str(path) for name, path in sound.items()} | {"OUT": "made"}


def check(command: str, words: dict[str, str], place: Path, capfd: pytest.CaptureFixture[str]) -> str:
    """Run a command and return what is wrong with its answer."""
    before = set(place.rglob("*"))
    code = code_of([words.get(word, word) for word in command.split(" ")])
    printed = capfd.readouterr()
    told = printed.out + printed.err
    problems = []
    if code != 2:
        problems.append(f"exit code {code}")
    if "Traceback" in told or "Something unexpected" in told:
        problems.append("no sentence of its own")
    if not printed.err.strip() and '"error": "' not in printed.out and '"opens": false' not in printed.out:
        problems.append("not a word")
    if not told.replace("\n", "").isprintable():
        problems.append("a control character")
    if any(line.startswith(FORGED) for line in told.splitlines()):
        problems.append("a forged line")
    if len(told) > 12_000:
        problems.append("too much to read")
    if made := set(place.rglob("*")) ^ before:
        problems.append(f"made {made}")
    return f"{command}: {', '.join(problems)}\n{told}" if problems else ""


@pytest.mark.parametrize("kind", KINDS)
def test_odd_files(kind: str, place: Path, words: dict[str, str], capfd: pytest.CaptureFixture[str]) -> None:
    KINDS[kind](place / "x.onnx")
    wrong = [check(command, words | {"X": "x.onnx"}, place, capfd) for command in COMMANDS + FOR_FILES]
    assert not any(wrong), "\n".join(filter(None, wrong))


OUTPUTS = ["inspect MODEL --file-only --json X", "scan MODEL --jsonl X"]


@pytest.mark.parametrize("kind", ["folder", "listening", "loop", "too long"])
def test_odd_places_for_the_output(
    kind: str, place: Path, words: dict[str, str], capfd: pytest.CaptureFixture[str]
) -> None:
    name = "x" if kind in KINDS else NAMES[kind]
    if kind in KINDS:
        KINDS[kind](place / name)
    wrong = [check(command, words | {"X": name}, place, capfd) for command in OUTPUTS]
    assert not any(wrong), "\n".join(filter(None, wrong))


@pytest.mark.parametrize("kind", ["folder", "listening", "loop", "noise", "sparse", "unreadable"])
def test_odd_ledgers_of_a_scan(
    kind: str, place: Path, words: dict[str, str], capfd: pytest.CaptureFixture[str]
) -> None:
    KINDS[kind](place / "x.jsonl")
    assert not (wrong := check("scan MODEL --jsonl x.jsonl", words, place, capfd)), wrong


@pytest.mark.parametrize("kind", NAMES)
def test_odd_names(kind: str, place: Path, words: dict[str, str], capfd: pytest.CaptureFixture[str]) -> None:
    name = NAMES[kind]
    if name and "\0" not in name and len(name) < 256 and name != "..":
        noise(place / name)
    wrong = [check(command, words | {"X": name}, place, capfd) for command in COMMANDS + FOR_NAMES]
    assert not any(wrong), "\n".join(filter(None, wrong))
