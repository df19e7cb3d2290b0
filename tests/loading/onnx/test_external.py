"""Weights beside the graph: what works, and what a hostile name or offset meets."""

from __future__ import annotations

import dataclasses
import hashlib
import os
from pathlib import Path

import numpy as np
import onnx
import pytest
import torch
from onnx import TensorProto

from tests.loading.onnx.onnx_networks import classifier, save
from ti_core.errors import ModelFileError, RefusedFileError
from ti_core.loading import describe_file, load_model
from ti_core.loading import limits as shared_limits
from ti_core.loading.onnx import load_onnx
from ti_core.loading.onnx.container import Container

WEIGHTS = np.random.default_rng(0).normal(size=(3, 16)).astype(np.float32)


def _outside(location: str, offset: str | None = "8", length: str | None = "192") -> onnx.ModelProto:
    """A classifier whose weights lie in another file."""
    model = classifier()
    tensor = model.graph.initializer[0]
    tensor.ClearField("raw_data")
    tensor.data_location = TensorProto.EXTERNAL
    for key, value in (("location", location), ("offset", offset), ("length", length)):
        if value is not None:
            tensor.external_data.add(key=key, value=value)
    return model


def _write(folder: Path, model: onnx.ModelProto, name: str = "model.onnx.data") -> Path:
    (folder / name).write_bytes(b"12345678" + WEIGHTS.tobytes())
    return save(model, folder / "model.onnx")


def test_weights_beside_the_graph(tmp_path: Path) -> None:
    inside = load_onnx(save(classifier(), tmp_path / "one.onnx"))
    model = load_onnx(_write(tmp_path, _outside("model.onnx.data")))
    x = torch.rand(2, 1, 4, 4)
    assert torch.equal(model.module(x), inside.module(x))
    both = b"".join((tmp_path / name).read_bytes() for name in ("model.onnx", "model.onnx.data"))
    assert model.sha256 == hashlib.sha256(both).hexdigest()
    assert "'model.onnx' followed by" in model.metadata["weights"]
    assert inside.sha256 == hashlib.sha256((tmp_path / "one.onnx").read_bytes()).hexdigest()


def test_a_missing_second_file_is_named_with_the_way_out(tmp_path: Path) -> None:
    path = save(_outside("model.onnx.data"), tmp_path / "model.onnx")
    with pytest.raises(ModelFileError, match=r"second file, 'model.onnx.data'.*external_data=False"):
        load_onnx(path)


@pytest.mark.parametrize(
    "location",
    ["../secret", "/etc/passwd", "a/b", "..", ".", "", "a\\b", "..\\secret", "a\0b", "./model.onnx.data"],
)
def test_only_a_plain_name_beside_the_graph(location: str, tmp_path: Path) -> None:
    (tmp_path / "secret").write_bytes(b"12345678" + WEIGHTS.tobytes())
    folder = tmp_path / "upload"
    folder.mkdir()
    with pytest.raises(RefusedFileError, match="only a plain file name"):
        load_onnx(_write(folder, _outside(location)))


def test_links_are_not_followed(tmp_path: Path) -> None:
    secret = tmp_path / "secret"
    secret.write_bytes(b"12345678" + WEIGHTS.tobytes())
    folder = tmp_path / "upload"
    folder.mkdir()
    (folder / "link").symlink_to(secret)
    with pytest.raises(RefusedFileError, match="is a link"):
        load_onnx(save(_outside("link"), folder / "model.onnx"))


def test_neither_pipes_nor_folders(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "folder").mkdir()
    for name in ("pipe", "folder"):
        with pytest.raises(ModelFileError):
            load_onnx(save(_outside(name), tmp_path / "model.onnx"))
    with pytest.raises(RefusedFileError, match="not a plain file"):
        load_onnx(tmp_path / "pipe")


@pytest.mark.parametrize(
    ("offset", "length", "sentence"),
    [
        ("9", "192", "bytes 9 to 201 of 'model.onnx.data', which has only 200"),
        ("4611686018427387904", "192", "which has only 200"),
        ("-8", "192", "which has only 200"),
        ("8", "188", "declares 192 bytes, but 188"),
        ("8", "-1", "declares 192 bytes, but -1"),
        ("8", "99999999999", "declares 192 bytes"),
        ("eight", "192", "no valid place"),
        ("8", "1e3", "no valid place"),
    ],
)
def test_offsets_and_lengths_are_checked(offset: str, length: str, sentence: str, tmp_path: Path) -> None:
    with pytest.raises(ModelFileError, match=sentence):
        load_onnx(_write(tmp_path, _outside("model.onnx.data", offset, length)))


def test_declared_sizes_add_up_over_all_tensors(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from ti_core.loading.onnx import limits

    monkeypatch.setattr(limits, "MAX_WEIGHT_BYTES", 500)
    model = _outside("model.onnx.data")
    for i in range(3):
        copy = model.graph.initializer.add()
        copy.CopyFrom(model.graph.initializer[0])
        copy.name = f"again{i}"
    with pytest.raises(RefusedFileError, match="beyond the limit of 500 bytes"):
        load_onnx(_write(tmp_path, model))


def test_a_truncated_weight_file_is_not_read_past_its_end(tmp_path: Path) -> None:
    path = _write(tmp_path, _outside("model.onnx.data"))
    data = tmp_path / "model.onnx.data"
    data.write_bytes(data.read_bytes()[:-1])
    with pytest.raises(ModelFileError, match="one of the two files is not the right one"):
        load_onnx(path)


@pytest.mark.parametrize("name", ["model.onnx.data", "renamed by a browser (1).data"])
def test_a_second_file_from_elsewhere(name: str, tmp_path: Path) -> None:
    """An upload of two files, which may lie in two folders."""
    folders = [tmp_path / "one", tmp_path / "two"]
    for folder in folders:
        folder.mkdir()
    inside = load_onnx(save(classifier(), tmp_path / "inside.onnx"))
    path = save(_outside("model.onnx.data"), folders[0] / "upload.onnx")
    other = folders[1] / name
    other.write_bytes(b"12345678" + WEIGHTS.tobytes())
    model = load_model(path, companions=[other])
    x = torch.rand(2, 1, 4, 4)
    assert torch.equal(model.module(x), inside.module(x))
    assert describe_file(path, [other]).opens
    assert not describe_file(path).opens


def test_of_several_files_each_is_found_by_its_name(tmp_path: Path) -> None:
    wrong, right = tmp_path / "other.data", tmp_path / "elsewhere" / "model.onnx.data"
    right.parent.mkdir()
    wrong.write_bytes(b"x" * 200)
    right.write_bytes(b"12345678" + WEIGHTS.tobytes())
    path = save(_outside("model.onnx.data"), tmp_path / "model.onnx")
    assert load_model(path, companions=[wrong, right]).classes == 3
    with pytest.raises(ModelFileError, match="which is not beside it"):
        load_model(path, companions=[wrong, tmp_path / "third.data"])


def test_a_given_file_excuses_no_name_that_is_a_path(tmp_path: Path) -> None:
    other = tmp_path / "secret"
    other.write_bytes(b"12345678" + WEIGHTS.tobytes())
    path = save(_outside("../secret"), tmp_path / "model.onnx")
    with pytest.raises(RefusedFileError, match="only a plain file name"):
        load_model(path, companions=[other])


def test_the_file_report_tells_of_weights_beside_the_graph(tmp_path: Path) -> None:
    report = describe_file(_write(tmp_path, _outside("model.onnx.data")))
    assert report.opens and [m.name for m in report.members] == ["model.onnx.data"]
    assert report.tensors[0].shape == (3, 16) and report.tensors[0].dtype == "float32"
    assert "It keeps weights beside it in 1 file." in report.sentences()
    for location, says in (("../secret", "only a plain file name"), ("none.data", "external_data=False")):
        found = describe_file(_write(tmp_path, _outside(location)))
        assert not found.opens and says in str(found)


def test_weight_files_are_limited_together(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Two tensors of 192 bytes in two files of 200 bytes."""
    model = _outside("one.data")
    copy = model.graph.initializer.add()
    copy.CopyFrom(model.graph.initializer[0])
    copy.name, copy.external_data[0].value = "again", "two.data"
    path = _write(tmp_path, model, "one.data")
    (tmp_path / "two.data").write_bytes((tmp_path / "one.data").read_bytes())
    assert load_onnx(path).classes == 3
    monkeypatch.setattr(shared_limits, "LIMITS", dataclasses.replace(shared_limits.LIMITS, weight_bytes=399))
    with pytest.raises(RefusedFileError, match="have 400 bytes together; the limit is 399"):
        load_onnx(path)


def test_the_digest_is_that_of_the_weights_that_were_read(tmp_path: Path) -> None:
    """Weights that are rewritten while the graph is opened change neither the network nor its digest."""
    model = _outside("model.onnx.data")
    path = _write(tmp_path, model)
    beside = tmp_path / "model.onnx.data"
    whole = path.read_bytes() + beside.read_bytes()
    container = Container(path)
    proto = container.read(path.read_bytes()).graph.initializer[0]
    first = container.tensor(proto, widen=True)
    beside.write_bytes(bytes(beside.stat().st_size))
    assert torch.equal(container.tensor(proto, widen=True), first) and bool(first.any())
    assert container.sha256() == hashlib.sha256(whole).hexdigest()
