from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

import pytest

from app.store import sources
from app.store.sources import ModelShelf, file_name, samples
from tests.disks import fill
from ti_core.errors import ModelFileError


@dataclass
class File:
    name: str
    data: bytes = b"model"

    def getbuffer(self) -> memoryview:
        return memoryview(self.data)


@pytest.mark.parametrize(
    ("given", "kept"),
    [
        ("model.pt", "model.pt"),
        ("../../etc/passwd", "passwd"),
        ("C:\\temp\\m.onnx", "m.onnx"),
        (".hidden", "hidden"),
        ("", "model"),
        ("..", "model"),
        ("a\x00b\n.pt", "a_b_.pt"),
        ("<img src=x>.pt", "_img src=x_.pt"),
        ("模型.safetensors", "模型.safetensors"),
    ],
)
def test_file_names_stay_in_their_folder(given: str, kept: str) -> None:
    assert file_name(given) == kept


def test_long_names_keep_their_ending() -> None:
    name = file_name("é" * 400 + ".safetensors")
    assert len(name.encode()) <= 180 and name.endswith(".safetensors")


def test_a_model_is_found_again_by_its_digest(tmp_path: Path) -> None:
    shelf = ModelShelf(tmp_path / "models")
    source = shelf.put([File("m.pt", b"weights")])
    digest = source.digest
    again = shelf.find(digest, "m.pt")
    assert again is not None and again.path == source.path and again.path.read_bytes() == b"weights"
    assert shelf.find("0" * 64, "m.pt") is None
    shelf.drop(digest)
    assert shelf.find(digest, "m.pt") is None and not source.path.exists()


def test_the_same_name_with_other_content_is_another_model(tmp_path: Path) -> None:
    shelf = ModelShelf(tmp_path / "models")
    one, two = shelf.put([File("m.pt", b"1")]), shelf.put([File("m.pt", b"2")])
    assert one.path != two.path and one.path.read_bytes() == b"1"


def test_onnx_brings_its_outside_data_along(tmp_path: Path) -> None:
    source = ModelShelf(tmp_path / "models").put([File("net.onnx.data", b"d"), File("net.onnx", b"g")])
    assert source.name == "net.onnx" and [p.name for p in source.companions] == ["net.onnx.data"]
    assert source.companions[0].parent == source.path.parent


@pytest.mark.parametrize(
    ("files", "words"),
    [
        ([], "No file"),
        ([File("a.pt"), File("b.pt")], "one model at a time"),
        ([File("a.onnx"), File("b.onnx")], "one model at a time"),
        ([File("a.pt"), File("x/a.pt")], "same name"),
    ],
)
def test_what_is_no_single_model_is_refused(files: list[File], words: str, tmp_path: Path) -> None:
    with pytest.raises(ModelFileError, match=words):
        ModelShelf(tmp_path / "models").put(files)


def test_too_large_a_model_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sources, "most_bytes", lambda: 10)
    with pytest.raises(ModelFileError, match="more than the 10 bytes"):
        ModelShelf(tmp_path / "models").put([File("m.pt", b"x" * 11)])


def test_the_bundled_samples_are_one_of_each_kind() -> None:
    found = samples()
    assert "mnist" in found
    for pack, kinds in found.items():
        assert list(kinds) == ["clean", "blend", "patch"]
        assert all(s.path.is_file() and s.pack == pack for s in kinds.values())


def test_a_full_disk_leaves_nothing_half_written(small_disk: Path) -> None:
    shelf = ModelShelf(small_disk / "models")
    kept = shelf.put([File("a.pt", b"a")])
    ballast = fill(small_disk)
    with pytest.raises(OSError, match="No space left"):
        shelf.put([File("b.pt", b"b" * 100_000)])
    assert [p.name for p in shelf.folder.glob("*/*")] == ["a.pt"] and kept.path.read_bytes() == b"a"
    assert len(list(shelf.folder.iterdir())) == 1
    ballast.unlink()
    assert shelf.put([File("b.pt", b"b" * 100_000)]).path.stat().st_size == 100_000


def test_what_a_killed_server_half_wrote_is_no_companion_and_goes(tmp_path: Path) -> None:
    shelf = ModelShelf(tmp_path / "models")
    source = shelf.put([File("net.onnx", b"g"), File("net.data", b"d")])
    left = source.path.parent / ".net.data.part"
    left.write_bytes(b"x")
    found = shelf.find(source.digest, "net.onnx")
    assert found is not None and [p.name for p in found.companions] == ["net.data"]
    os.utime(left, (0, 0))
    ModelShelf(tmp_path / "models")
    assert not left.exists() and source.path.exists()


def test_the_shelf_is_never_larger_than_it_may_be(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sources, "SHELF_BYTES", 100)
    monkeypatch.setattr(sources, "MOST_SHELF", 200)
    shelf = ModelShelf(tmp_path / "models")
    put = [shelf.put([File("m.pt", bytes([i]) * 60)]) for i in range(3)]
    with pytest.raises(ModelFileError, match="try again in an hour"):
        shelf.put([File("m.pt", b"z" * 60)])
    assert all(s.path.exists() for s in put), "what was just handed in is about to be opened"
    for source in put[:2]:
        os.utime(source.path.parent, (1, 1))
    shelf.put([File("m.pt", b"z" * 60)])
    assert [s.path.exists() for s in put] == [False, False, True]


def test_what_is_handed_in_is_not_copied(tmp_path: Path) -> None:
    """Streamlit's file shares its bytes with the server's store until somebody asks for a buffer to write into."""
    import tracemalloc

    from streamlit.proto.Common_pb2 import FileURLs
    from streamlit.runtime.uploaded_file_manager import UploadedFile, UploadedFileRec

    data = b"x" * 20_000_000
    upload = UploadedFile(UploadedFileRec("id", "m.pt", "", data), FileURLs())
    shelf = ModelShelf(tmp_path / "models")
    tracemalloc.start()
    source = shelf.put([upload])
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 2_000_000 and source.path.stat().st_size == len(data)


def test_the_files_of_a_model_folder_are_one_model(tmp_path: Path) -> None:
    shelf = ModelShelf(tmp_path / "models")
    files = [
        File("model.safetensors", b"w"),
        File("config.json", b"{}"),
        File("preprocessor_config.json", b"{}"),
    ]
    source = shelf.put(files)
    assert source.path.is_dir() and source.name == source.path.name and not source.companions
    assert sorted(p.name for p in source.path.iterdir()) == sorted(f.name for f in files)
    again = shelf.find(source.digest, source.name)
    assert again is not None and again.path == source.path
    shelf.drop(source.digest)
    assert not source.path.exists()


def test_files_of_a_model_folder_without_its_configuration_are_several_models(tmp_path: Path) -> None:
    files = [File("model.safetensors"), File("preprocessor_config.json")]
    with pytest.raises(ModelFileError, match=r"with its config\.json"):
        ModelShelf(tmp_path / "models").put(files)
    graph = [File("m.onnx"), File("m.onnx.data"), File("config.json")]
    assert ModelShelf(tmp_path / "models").put(graph).path.name == "m.onnx"


def test_the_shelf_counts_the_files_of_a_model_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shelf = ModelShelf(tmp_path / "models")
    shelf.put([File("config.json", b"{}"), File("model.safetensors", bytes(1000))])
    monkeypatch.setattr(sources, "MOST_SHELF", 1500)
    with pytest.raises(ModelFileError, match="very many models"):
        shelf.put([File("m.pt", bytes(600))])
