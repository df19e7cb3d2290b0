from __future__ import annotations

import io
import zipfile
from pathlib import Path

import numpy as np
import pytest

from ti_core.errors import DataError
from ti_core.reference.own_images import load_own_images
from ti_core.system import arrays
from ti_core.system.arrays import ArraysError, ArraysFile, read_arrays
from ti_core.zoo.training.data import load_data

MOST = 1 << 20


def npy(array: np.ndarray, version: tuple[int, int] | None = None) -> bytes:
    out = io.BytesIO()
    np.lib.format.write_array(out, array, version, allow_pickle=True)
    return out.getvalue()


def declaring(shape: tuple[int, ...]) -> bytes:
    """An array of one byte whose header declares another shape."""
    out = io.BytesIO()
    np.lib.format.write_array_header_1_0(out, {"descr": "|u1", "fortran_order": False, "shape": shape})
    return out.getvalue() + b"0"


def archive(**entries: bytes) -> io.BytesIO:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as made:
        for name, content in entries.items():
            made.writestr(f"{name}.npy", content)
    return out


@pytest.mark.parametrize("save", [np.savez, np.savez_compressed])
def test_arrays_are_read_as_numpy_reads_them(save: object) -> None:
    out = io.BytesIO()
    sound = {
        "a": np.arange(12, dtype=np.float16).reshape(3, 4),
        "b": np.asfortranarray(np.arange(6.0).reshape(2, 3)),
        "names": np.array(["x", "yy"]),
        "one": np.array(3, dtype=np.int16),
        "none": np.zeros((0, 5), np.uint8),
    }
    save(out, **sound)  # type: ignore[operator]
    found = read_arrays(out, MOST)
    assert found.keys() == sound.keys()
    for name, values in sound.items():
        np.testing.assert_array_equal(found[name], values)
        assert found[name].dtype == values.dtype
    file = ArraysFile(out, MOST)
    assert file.names == tuple(sound) and "a" in file and "z" not in file and file.get("z") is None
    with pytest.raises(ArraysError, match="has no array 'z'"):
        file["z"]


def test_what_is_declared_is_compared_before_anything_is_allocated(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(arrays.npy, "read_array", pytest.fail)
    for shape in ((1 << 44,), (1 << 62, 1 << 62), (2,), (0,)):
        with pytest.raises(ArraysError, match="declares"):
            read_arrays(archive(a=declaring(shape)), MOST)
    large = archive(a=npy(np.zeros(MOST, np.uint8)), b=npy(np.zeros(9, np.uint8)))
    with pytest.raises(ArraysError, match="the limit is 1,048,576"):
        read_arrays(large, MOST)
    monkeypatch.setattr(arrays, "MOST_ARRAYS", 1)
    with pytest.raises(ArraysError, match="2 entries; the limit is 1"):
        read_arrays(large, MOST)


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (npy(np.array([{}], dtype=object)), "holds objects"),
        (npy(np.zeros(2, dtype=[("a", "f4")])), "holds objects"),
        (npy(np.zeros(2), (3, 0)), "has format"),
        (b"\x93NUMPY\x01\x00\x10\x00{'descr': '|u1'", "no sound .npz"),
        # A header that is no text of Python: NumPy's reader raises the tokenizer's own error.
        (b"\x93NUMPY\x01\x00\x10\x00{'{'{, 'shape':(\n", "no sound .npz file .EOF in multi-line"),
        (b"", "no sound .npz"),
        (declaring((1,))[:40], "no sound .npz"),
    ],
)
def test_an_array_that_is_none_is_refused(content: bytes, words: str) -> None:
    with pytest.raises(ArraysError, match=words):
        read_arrays(archive(a=content), MOST)


def test_damage_names_the_array() -> None:
    out = archive(a=npy(np.arange(4000)))
    data = bytearray(out.getvalue())
    at = data.find(b"NUMPY") if b"NUMPY" in data else len(data) // 2
    data[at + 300 : at + 310] = bytes(10)
    with pytest.raises(ArraysError):
        read_arrays(io.BytesIO(bytes(data)), MOST)


def test_entries_that_are_none_or_twice_are_refused() -> None:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as made:
        made.writestr("a.txt", "x")
    with pytest.raises(ArraysError, match="is no array"):
        read_arrays(out, MOST)
    with zipfile.ZipFile(twice := io.BytesIO(), "w") as made, pytest.warns(UserWarning, match="Duplicate"):
        made.writestr("a.npy", npy(np.zeros(2)))
        made.writestr("a.npy", npy(np.ones(2)))
    with pytest.raises(ArraysError, match="'a' twice"):
        read_arrays(twice, MOST)


def test_a_users_own_files_are_read_the_same_way(tmp_path: Path) -> None:
    path = tmp_path / "x.npz"
    path.write_bytes(
        archive(images=declaring((1 << 44, 12, 12)), x_train=declaring((1 << 44, 12, 12))).getvalue()
    )
    with pytest.raises(DataError, match=r"x\.npz cannot be read .* declares"):
        load_own_images(path)
    with pytest.raises(DataError, match=r"x\.npz is no image data set: .* declares"):
        load_data(path)
