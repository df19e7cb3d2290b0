"""The task that reads labelled images for a pack."""

from __future__ import annotations

import io
import zipfile
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from ti_core.errors import DataError
from ti_core.results.files.training_images import FILE, IMAGES, TrainingImages
from ti_core.system.strict_json import parse
from ti_core.worker.pack_tasks import read_images


def read(images: Path, tmp_path: Path) -> TrainingImages:
    request = {"images": str(images), "size": 12}
    read_images(request, tmp_path, lambda stage, share: None, lambda name: None)
    return TrainingImages.of(parse((tmp_path / FILE).read_bytes()), (tmp_path / IMAGES).read_bytes())


def archive(path: Path, folders: bool = True) -> Path:
    with zipfile.ZipFile(path, "w") as file:
        for number in range(60):
            shade = Image.fromarray(np.full((20, 20), 3 * number, dtype=np.uint8))
            png = io.BytesIO()
            shade.save(png, "PNG")
            folder = ("cat/", "dog/")[number % 2] if folders else ""
            file.writestr(f"{folder}{number}.png", png.getvalue())
    return path


def test_pictures_are_scaled_and_split_within_each_class(tmp_path: Path) -> None:
    found = read(archive(tmp_path / "mine.zip"), tmp_path)
    assert found.class_names == ("cat", "dog")
    assert found.arrays["x_train"].shape == (48, 1, 12, 12) and found.arrays["x_test"].shape == (
        12,
        1,
        12,
        12,
    )
    for split, count in (("train", 24), ("test", 6)):
        x, y = found.arrays[f"x_{split}"], found.arrays[f"y_{split}"]
        assert np.bincount(y).tolist() == [count, count]
        # The shade of a picture tells its class: even numbers are cats.
        assert np.array_equal(x[:, 0, 0, 0] // 3 % 2, y)


def test_arrays_that_are_split_already_stay_so(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    arrays = {
        "x_train": rng.integers(0, 256, (40, 9, 8, 3), dtype=np.uint8),
        "y_train": np.arange(40) % 2,
        "x_test": rng.integers(0, 256, (10, 9, 8, 3), dtype=np.uint8),
        "y_test": np.arange(10) % 2,
        "class_names": np.array(["a", "b"]),
    }
    np.savez(tmp_path / "split.npz", **arrays)
    found = read(tmp_path / "split.npz", tmp_path)
    assert found.class_names == ("a", "b")
    assert np.array_equal(np.moveaxis(found.arrays["x_test"], 1, 3), arrays["x_test"])
    assert np.array_equal(found.arrays["y_train"], arrays["y_train"])
    np.savez(tmp_path / "whole.npz", images=rng.random((60, 9, 9)), labels=np.arange(60) % 2)
    whole = read(tmp_path / "whole.npz", tmp_path)
    assert whole.class_names == ("0", "1") and whole.arrays["x_test"].shape == (12, 1, 12, 12)


def test_images_without_labels_or_with_too_few_are_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"has no labels; hand in a \.zip with a folder"):
        read(archive(tmp_path / "flat.zip", folders=False), tmp_path)
    np.savez(tmp_path / "one.npz", images=np.random.rand(60, 9, 9), labels=np.zeros(60, dtype=int))
    with pytest.raises(DataError, match="two or more classes"):
        read(tmp_path / "one.npz", tmp_path)
    (tmp_path / "broken.npz").write_bytes(b"PK\x03\x04")
    with pytest.raises(DataError, match="broken"):
        read(tmp_path / "broken.npz", tmp_path)
