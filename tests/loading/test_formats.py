"""Formats that are recognised by their content and not opened, and files that are no models at all."""

from __future__ import annotations

import dataclasses
import gzip
import io
import json
import tarfile
import warnings
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch

from tests.loading import payloads as p
from tests.loading.onnx.onnx_networks import classifier
from ti_core.architectures.lenet import LeNet5
from ti_core.errors import ModelFileError, RefusedFileError
from ti_core.loading import describe_file, load_model, model_file, sha256_of
from ti_core.loading.sniff import holds_archive

Write = Callable[..., Path]


def zipped(**members: bytes) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    return out.getvalue()


def scripted(canary: Path) -> bytes:
    payload = p.program(p.called("os", "system", p.shell(canary)))
    return zipped(**{"m/data.pkl": payload, "m/constants.pkl": payload, "m/code/__torch__.py": b"import os"})


def tarred(canary: Path) -> bytes:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w", format=tarfile.USTAR_FORMAT) as tar:
        tar.addfile(tarfile.TarInfo("sys_info"), io.BytesIO())
    return out.getvalue()


REFUSED: dict[str, tuple[Callable[[Path], bytes], str]] = {
    "TorchScript with code": (scripted, "TorchScript"),
    "a torch.export archive": (
        lambda c: zipped(archive_format=b"pt2", **{"models/model.json": b"{}"}),
        "pt2",
    ),
    "a torch.export archive in a folder": (
        lambda c: zipped(
            **{"m/archive_format": b"pt2", "m/data.pkl": p.program(b"}"), "m/models/m.json": b"{}"}
        ),
        "pt2",
    ),
    "a legacy torch tar": (tarred, "tar archive"),
}

UNSUPPORTED: dict[str, tuple[bytes, str]] = {
    "nothing": (b"", "The file is empty"),
    "npz": (zipped(**{"a.npy": b"\x93NUMPY"}), "numpy"),
    "npy": (b"\x93NUMPY\x01\x00" + bytes(80), "numpy"),
    "HDF5": (b"\x89HDF\r\n\x1a\n" + bytes(80), "HDF5"),
    "Keras 3 with empty weights": (
        zipped(**{"config.json": b"{}", "model.weights.h5": b""}),
        "HDF5 file is truncated",
    ),
    "TensorFlow Lite": (b"\x1c\x00\x00\x00TFL3" + bytes(80), "TensorFlow Lite"),
    "gzip, as joblib compresses": (gzip.compress(b"x" * 100), "compressed"),
    "another zip": (zipped(**{"readme.txt": b"hello"}), "no torch checkpoint"),
    "a picture": (b"\xff\xd8\xff\xe0" + bytes(80), "format of the file is not recognised"),
    "text": (b"hello, world\n" * 9, "format of the file is not recognised"),
}


@pytest.mark.parametrize(("build", "says"), REFUSED.values(), ids=list(REFUSED))
def test_formats_that_can_run_code_are_refused(
    build: Callable[[Path], bytes], says: str, write: Write, canary: Path
) -> None:
    path = write(build(canary))
    with pytest.raises(RefusedFileError, match=says) as caught:
        load_model(path)
    assert "torch.save(model.state_dict()" in str(caught.value)
    assert not describe_file(path).is_safe


@pytest.mark.parametrize(("data", "says"), UNSUPPORTED.values(), ids=list(UNSUPPORTED))
def test_other_formats_are_told_apart(data: bytes, says: str, write: Write) -> None:
    path = write(data)
    with pytest.raises(ModelFileError, match=says) as caught:
        load_model(path)
    assert not isinstance(caught.value, RefusedFileError)
    assert describe_file(path).is_safe and not describe_file(path).opens


def test_a_real_torchscript_archive_is_refused(tmp_path: Path, lenet: LeNet5) -> None:
    path = tmp_path / "model.pt"
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.jit.trace(lenet, torch.rand(1, 1, 28, 28)).save(str(path))
    with pytest.raises(RefusedFileError, match="TorchScript"):
        load_model(path)


@pytest.mark.parametrize("what", ["missing", "folder"])
def test_what_cannot_be_read_is_said(what: str, tmp_path: Path) -> None:
    path = tmp_path if what == "folder" else tmp_path / "missing.pt"
    for use in (load_model, describe_file):
        with pytest.raises(ModelFileError, match="cannot be read"):
            use(path)


def test_a_file_beyond_the_limit_is_not_read(monkeypatch: pytest.MonkeyPatch, write: Write) -> None:
    monkeypatch.setattr(model_file, "LIMITS", dataclasses.replace(model_file.LIMITS, file_bytes=10))
    for use in (load_model, describe_file):
        with pytest.raises(RefusedFileError, match="has 11 bytes; the limit for such a file is 10 bytes"):
            use(write(bytes(11)))


def test_the_content_decides_not_the_ending(tmp_path: Path, lenet: LeNet5) -> None:
    path = tmp_path / "model.safetensors"
    torch.save(lenet.state_dict(), path)
    assert load_model(path).format == "torch state dict"


def test_the_digest_is_that_of_the_file(write: Write, lenet: LeNet5, tmp_path: Path) -> None:
    assert sha256_of(write(b"abc")) == "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
    path = tmp_path / "m.pt"
    torch.save(lenet.state_dict(), path)
    assert load_model(path).sha256 == sha256_of(path) == describe_file(path).sha256


def test_numpy_scalars_beside_the_weights_are_read_past(tmp_path: Path, lenet: LeNet5) -> None:
    path = tmp_path / "m.pt"
    torch.save({"net": lenet.state_dict(), "acc": np.float64(0.9), "curve": np.arange(3.0), "epoch": 4}, path)
    model = load_model(path)
    assert model.architecture == "lenet5"
    assert model.metadata == {"acc": "0.9", "curve": "[0.0, 1.0, 2.0]", "epoch": "4"}


def as_graph(archive: bytes) -> bytes:
    """An ONNX file with the archive in a field that no reader of ONNX knows, as its last bytes."""
    length = bytes([len(archive) & 127 | 128, len(archive) >> 7 & 127 | 128, len(archive) >> 14])
    return bytes(classifier().SerializeToString()) + b"\xa2\x06" + length + archive


def as_tensor(archive: bytes) -> bytes:
    """A sound safetensors file whose last tensor's bytes are the archive."""
    padded = bytes(-len(archive) % 4) + archive
    header = {"w": {"dtype": "F32", "shape": [len(padded) // 4], "data_offsets": [0, len(padded)]}}
    text = json.dumps(header).encode()
    return len(text).to_bytes(8, "little") + text + padded


@pytest.mark.parametrize(("around", "name"), [(as_graph, "m.onnx"), (as_tensor, "m.safetensors")])
def test_a_file_of_two_formats_is_refused(
    around: Callable[[bytes], bytes], name: str, write: Write, canary: Path
) -> None:
    """Tools that look for an archive's end find a pickle in a file that ONNX and safetensors readers open."""
    payload = p.checkpoint(p.program(p.called("os", "system", p.shell(canary))))
    path = write(around(payload), name)
    report = describe_file(path)
    assert not report.is_safe and "os.system" in [use.name for use in report.globals]
    with pytest.raises(RefusedFileError, match="ends as a zip archive and begins as something else"):
        load_model(path)
    # The four bytes with which an archive's end begins may stand in weights by chance.
    for rest in (bytes(18), b"\xff" * 18, b"\1" * 18):
        chance = around(b"PK\5\6" + rest)
        assert not holds_archive(chance) and describe_file(write(chance, name)).opens
