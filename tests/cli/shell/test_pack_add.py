"""Packs that are added: checked, stored in one step, found by name, and trusted only if they are the program's."""

from __future__ import annotations

import json
import shutil
import zipfile
from pathlib import Path

import pytest

from ti_core.cli.main import main
from ti_core.reference import known
from ti_core.reference.pack import Pack, load_pack, pack_names
from ti_core.system.folders import named_pack


@pytest.fixture(autouse=True)
def store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("TROJANINTERPRET_PACKS", str(tmp_path / "packs"))
    return tmp_path / "packs"


def test_a_strangers_pack_is_found_by_name_but_never_chosen_by_itself(
    tiny_pack: Pack, store: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    assert main(["pack", "add", str(tiny_pack.folder), "--sha256", tiny_pack.sha256.upper()]) == 0
    assert f"SHA-256 {tiny_pack.sha256}. Use it with --pack bars." in capsys.readouterr().out
    assert load_pack("bars").sha256 == tiny_pack.sha256 and load_pack("bars").folder == store / "bars"
    assert "bars" not in pack_names() and [p.name for p in store.iterdir()] == ["bars"]
    assert main(["pack", "list"]) == 0 and "\nbars: " in "\n" + capsys.readouterr().out
    monkeypatch.setitem(known.KNOWN, "bars", tiny_pack.sha256)
    assert "bars" in pack_names()
    # Another name would not be the one that reports give.
    (store / "bars").rename(store / "rods")
    assert "rods" not in pack_names() and load_pack("rods").name == "bars"


def test_an_archive_is_unpacked_apart_and_the_same_pack_is_stored(
    tiny_pack: Pack, store: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    archive = shutil.make_archive(str(tmp_path / "a"), "zip", tiny_pack.folder.parent, tiny_pack.folder.name)
    assert main(["pack", "add", archive, "--name", "mine"]) == 0
    assert load_pack("mine").sha256 == tiny_pack.sha256
    assert {p.name for p in (store / "mine").iterdir()} == {"pack.json", *tiny_pack.record["files"]}
    assert main(["pack", "add", archive, "--name", "mine"]) == 2
    assert "There is a pack 'mine' already" in capsys.readouterr().err
    assert main(["pack", "add", archive, "--name", "cifar10"]) == 2
    assert main(["pack", "add", archive, "--name", "../out"]) == 2
    assert main(["pack", "add", archive, "--name", "b", "--sha256", "0" * 64]) == 2
    assert "not the one that you gave" in capsys.readouterr().err
    assert [p.name for p in store.iterdir()] == ["mine"]


def bomb(path: Path) -> None:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("zoo.safetensors", bytes(1 << 20))
    data = bytearray(path.read_bytes())
    at = data.rindex(b"PK\x01\x02")
    data[at + 24 : at + 28] = (0xFFFFFFF0).to_bytes(4, "little")
    path.write_bytes(data)


def outside(path: Path) -> None:
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("../../pack.json", "{}")


def twice(path: Path) -> None:
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("a/pack.json", "{}")
        archive.writestr("b/pack.json", "{}")


def many(path: Path) -> None:
    with zipfile.ZipFile(path, "w") as archive:
        for n in range(100):
            archive.writestr(f"f{n}", "")


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (bomb, "holds more than a pack does"),
        (outside, "a file that no pack has"),
        (twice, "cannot be read"),
        (many, "holds more than a pack does"),
        (lambda path: path.write_bytes(b"PK\x05\x06"), "cannot be read"),
    ],
    ids=["bomb", "outside", "twice", "many", "no archive"],
)
def test_a_hostile_archive_stores_nothing(
    make: object, words: str, store: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert callable(make)
    make(tmp_path / "a.zip")
    assert main(["pack", "add", str(tmp_path / "a.zip")]) == 2
    told = capsys.readouterr().err
    assert words in told and told.count("\n") == 1 and not store.exists()


def test_an_altered_pack_stores_nothing(
    tiny_pack: Pack, store: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    altered = shutil.copytree(tiny_pack.folder, tmp_path / "altered")
    (altered / "images.npz").write_bytes(b"x")
    assert main(["pack", "add", str(altered)]) == 2 and "images.npz" in capsys.readouterr().err
    record = json.loads((altered / "pack.json").read_text())
    assert "images.npz" in record["files"] and not list(store.glob("*"))
    assert main(["pack", "add", str(tmp_path / "nowhere")]) == 2
    assert "There is no file or folder" in capsys.readouterr().err


def test_no_home_and_no_path_names_a_pack(
    tiny_pack: Pack, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert named_pack("cifar10") is not None
    assert [named_pack(name) for name in ("", ".", "..", "a/b", "a\0", "x" * 5000)] == [None] * 6
    for name in ("TROJANINTERPRET_PACKS", "XDG_DATA_HOME"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", "")
    assert main(["pack", "add", str(tiny_pack.folder)]) == 2
    assert "name a folder in TROJANINTERPRET_PACKS" in capsys.readouterr().err
    assert named_pack("nowhere") is None and "cifar10" in pack_names()
