"""What HDF5 can do and Keras never does is refused before it is followed, read or allocated."""

from __future__ import annotations

import json
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest

from tests.loading.keras.files import hdf5_of, opened, stored
from ti_core.errors import ModelFileError, RefusedFileError
from ti_core.loading.keras import limits
from ti_core.loading.keras.hdf5 import Hdf5

Write = Callable[[h5py.File], None]


def refused(write: Write, match: str) -> None:
    data = hdf5_of(write)
    with pytest.raises(RefusedFileError, match=match):
        Hdf5(data)


def test_a_plain_file_is_read_whole() -> None:
    def write(file: h5py.File) -> None:
        file["a/b"] = np.arange(6, dtype=">f4").reshape(2, 3)
        file["n"] = np.int64(7)
        file["empty"] = np.zeros((0, 3), np.float32)
        file.attrs["text"] = "tëxt"
        file["a"].attrs["list"] = [b"one", b"two"]
        file["a"].attrs["number"] = 3
        for number in range(2):
            file["a"].attrs[f"parts{number}"] = [f"{number}a", f"{number}b"]

    found = Hdf5(hdf5_of(write))
    assert {a.path: (a.shape, a.dtype) for a in found.arrays.values()} == {
        "a/b": ((2, 3), "float32"),
        "n": ((), "int64"),
        "empty": ((0, 3), "float32"),
    }
    assert found.groups == {"", "a"}
    assert found.read("a/b").tolist() == [[0, 1, 2], [3, 4, 5]] and found.read("a/b").dtype == np.float32
    assert found.read("n") == 7 and found.read("empty").shape == (0, 3)
    assert found.text("", "text") == "tëxt"
    assert found.texts("a", "list") == ["one", "two"]
    assert found.texts("a", "parts") == ["0a", "0b", "1a", "1b"]
    assert found.text("a", "number") is None and found.texts("a", "missing") is None


def test_numbers_in_bfloat16_are_read() -> None:
    values = np.array([1.0, -2.5, 0.15625], np.float32)
    raw = (values.view(np.uint32) >> 16).astype("<u2").view("V2")
    found = Hdf5(hdf5_of(lambda file: file.create_dataset("x", data=raw) and None))
    assert found.arrays["x"].dtype == "bfloat16"
    assert found.read("x").tolist() == values.tolist()


def test_links_are_refused(tmp_path: Path) -> None:
    other = tmp_path / "secret.h5"
    with h5py.File(other, "w") as file:
        file["x"] = np.ones(3, np.float32)
    refused(
        lambda f: f.__setitem__("x", h5py.ExternalLink(str(other), "x")),
        "'x' is a link to another place or file",
    )
    refused(lambda f: f.__setitem__("x", h5py.SoftLink("/y")), "'x' is a link")

    def twice(file: h5py.File) -> None:
        file["x"] = np.ones(3, np.float32)
        file["y"] = file["x"]

    def round_in_a_circle(file: h5py.File) -> None:
        file.create_group("a")["b"] = file["/"]

    refused(twice, "under a second name")
    refused(round_in_a_circle, "'a/b' under a second name")


def test_numbers_outside_the_file_are_refused(tmp_path: Path) -> None:
    outside = tmp_path / "numbers"
    outside.write_bytes(bytes(400))
    refused(
        lambda f: f.create_dataset("x", (100,), "f4", external=[(str(outside), 0, 400)]) and None,
        "keeps its numbers in another file",
    )
    source = h5py.VirtualSource(str(tmp_path / "other.h5"), "x", shape=(100,))
    layout = h5py.VirtualLayout((100,), "f4")
    layout[:] = source
    refused(lambda f: f.create_virtual_dataset("x", layout) and None, "as a view of other files")


@pytest.mark.parametrize("name", ["gzip", "lzf"])
def test_compressed_numbers_are_refused_unread(name: str) -> None:
    """4 GiB of zeros in a file of a few MiB."""
    refused(
        lambda f: f.create_dataset("x", (1 << 30,), "f4", compression=name, chunks=(1 << 20,)) and None,
        "is compressed .*which Keras never does",
    )


def test_chunks_are_refused() -> None:
    refused(lambda f: f.create_dataset("x", (1 << 40,), "f4", chunks=(1 << 10,)) and None, "in chunks")


def test_declared_numbers_that_the_file_does_not_hold_are_refused() -> None:
    """HDF5 gives zeros for numbers that were never written, however many are declared."""

    def unwritten(file: h5py.File) -> None:
        plan = h5py.h5p.create(h5py.h5p.DATASET_CREATE)
        plan.set_alloc_time(h5py.h5d.ALLOC_TIME_LATE)
        space = h5py.h5s.create_simple((1 << 40,))
        h5py.h5d.create(file.id, b"x", h5py.h5t.IEEE_F32LE, space, plan)

    refused(unwritten, "declares 4,398,046,511,104 bytes that the file does not hold")


def test_other_objects_and_deep_groups_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    refused(lambda f: f.__setitem__("kind", np.dtype("f4")), "neither a group nor an array")
    refused(
        lambda f: f.create_group("/".join("a" * (limits.GROUP_DEPTH + 5))) and None, "nests them too deeply"
    )
    refused(lambda f: f.create_group("n" * (limits.NAME + 1)) and None, "a name that is too long")
    monkeypatch.setattr(limits, "OBJECTS", 5)
    refused(lambda f: [f.create_group(f"g{i}") for i in range(6)] and None, "more than 5 groups and arrays")


def test_large_attributes_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    def write(file: h5py.File) -> None:
        file.attrs["model_config"] = "x" * 2000
        file.attrs["layer_names"] = ["a"] * 200

    found = Hdf5(hdf5_of(write))
    monkeypatch.setattr(limits, "CONFIG_BYTES", 1999)
    with pytest.raises(RefusedFileError, match="'model_config' is too large"):
        found.text("", "model_config")
    monkeypatch.setattr(limits, "ATTRIBUTE_ITEMS", 199)
    with pytest.raises(RefusedFileError, match="'layer_names' is too large"):
        found.texts("", "layer_names")


@pytest.mark.parametrize(("number", "length"), [(0, 0), (0, 8), (1, 2**64 - 16), (1, 2**63), (0, 2**62)])
def test_a_heap_in_which_the_library_would_go_round_is_damaged(number: int, length: int) -> None:
    """The step from one text to the next is 0 or wraps round."""
    data = bytearray(hdf5_of(lambda f: f.attrs.__setitem__("model_config", "x" * 40)))
    heap = data.index(b"GCOL")
    struct.pack_into("<HHIQ", data, heap + 16, number, 0, 0, length)
    with pytest.raises(ModelFileError, match="truncated or damaged"):
        Hdf5(bytes(data))


def test_other_lengths_of_addresses_than_keras_writes_are_damaged() -> None:
    data = bytearray(hdf5_of(lambda f: f.__setitem__("x", 1)))
    data[14] = 4
    with pytest.raises(ModelFileError, match="truncated or damaged"):
        Hdf5(bytes(data))


@pytest.mark.parametrize("cut", [8, 100, 600, 3000])
def test_a_cut_file_is_damaged(cut: int) -> None:
    with pytest.raises(ModelFileError, match="truncated or damaged"):
        opened(stored()["mnist_example-2.h5"][:cut])


def test_whole_numbers_and_texts_are_no_weights() -> None:
    data = stored()["mnist_example-2.h5"]

    def changed(kind: Any) -> bytes:
        import io

        out = io.BytesIO(data)
        with h5py.File(out, "r+") as file:
            group = file["model_weights/dense/dense"]
            shape = group["bias:0"].shape
            del group["bias:0"]
            group["bias:0"] = np.ones(shape, kind) if kind is not str else np.bytes_("text")
        return out.getvalue()

    with pytest.raises(ModelFileError, match="stored as int8; only models in floating point"):
        opened(changed(np.int8))
    with pytest.raises(ModelFileError, match="stored as string"):
        opened(changed(str))


def test_nan_is_told() -> None:
    import io

    out = io.BytesIO(stored()["mnist_example-2.h5"])
    with h5py.File(out, "r+") as file:
        file["model_weights/dense/dense/bias:0"][3] = np.nan
    with pytest.raises(ModelFileError, match="holds NaN or infinite values"):
        opened(out.getvalue())


def test_weights_without_a_configuration_and_other_files_are_told() -> None:
    def weights(file: h5py.File) -> None:
        file.attrs["layer_names"] = ["dense"]
        file["dense/dense/kernel:0"] = np.ones((3, 2), np.float32)

    with pytest.raises(ModelFileError, match=r"without the model's configuration.*model\.save\("):
        opened(hdf5_of(weights))
    with pytest.raises(ModelFileError, match="holds no model of Keras"):
        opened(hdf5_of(lambda f: f.__setitem__("x", np.ones(3))))


@pytest.mark.parametrize(
    ("text", "match"),
    [
        ("{", "configuration is damaged or no JSON"),
        ("[" * 100_000 + "]" * 100_000, "configuration is damaged or no JSON"),
        ('{"class_name": "Sequential", "class_name": "Model"}', "configuration is damaged or no JSON"),
        ("{}", "a layer has no class"),
        ('{"class_name": "Sequential", "config": {}}', "no list of layers"),
        ('{"class_name": "Sequential", "config": {"layers": []}}', "has no layers"),
        (
            '{"class_name": "MyModel", "config": {}}',
            "of the class MyModel, whose code the file does not hold",
        ),
    ],
)
def test_a_damaged_configuration_is_told(text: str, match: str) -> None:
    with pytest.raises(ModelFileError, match=match):
        opened(hdf5_of(lambda f: f.attrs.__setitem__("model_config", text)))


def test_files_of_keras_1_are_told() -> None:
    def write(file: h5py.File) -> None:
        file.attrs["model_config"] = json.dumps({"class_name": "Sequential", "config": []})
        file.attrs["keras_version"] = "1.2.2"

    with pytest.raises(ModelFileError, match=r"written by Keras 1\.2\.2"):
        opened(hdf5_of(write))
