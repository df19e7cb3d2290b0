"""The user's own images: every layout that is read, and a sentence for every one that is not."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from ti_core.errors import DataError
from ti_core.own_images import FEWEST, MOST, load_own_images


def pixels(count: int, *shape: int) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, size=(count, *shape), dtype=np.uint8)


def saved(folder: Path, **arrays: np.ndarray) -> Path:
    path = folder / "mine.npz"
    np.savez(path, **arrays)
    return path


def test_layouts_of_an_npz_give_the_same_pixels(tmp_path: Path) -> None:
    x = pixels(60, 8, 8, 3)
    for layout in (x, x.transpose(0, 3, 1, 2), x / 255.0):
        found = load_own_images(saved(tmp_path, images=layout))
        np.testing.assert_array_equal(found.pixels, x.transpose(0, 3, 1, 2))
        assert found.labels is None and float(found.images.max()) <= 1
    grey = pixels(60, 8, 8)
    np.testing.assert_array_equal(load_own_images(saved(tmp_path, x=grey)).pixels[:, 0], grey)


def test_labels_and_names_come_along(tmp_path: Path) -> None:
    y = np.arange(60) % 3
    found = load_own_images(
        saved(tmp_path, x_test=pixels(60, 8, 8), y_test=y, class_names=np.array(["a", "b", "c"]))
    )
    assert (
        found.labels is not None
        and found.labels.tolist() == y.tolist()
        and found.class_names == ("a", "b", "c")
    )


def test_images_are_scaled_to_what_the_model_takes(tmp_path: Path) -> None:
    path = saved(tmp_path, images=np.full((60, 8, 8), 77, dtype=np.uint8))
    found = load_own_images(path, (3, 16, 12))
    assert found.pixels.shape == (60, 3, 16, 12) and set(np.unique(found.pixels)) == {77}
    assert load_own_images(path, (1, 0, 0)).pixels.shape == (60, 1, 8, 8)


def test_of_many_images_some_are_drawn_always_the_same(tmp_path: Path) -> None:
    path = saved(tmp_path, images=pixels(MOST + 100, 4, 4))
    one, two, other = load_own_images(path), load_own_images(path), load_own_images(path, seed=1)
    assert len(one.pixels) == MOST and one.sha256 == two.sha256 != other.sha256


def test_a_folder_of_pictures_and_one_of_classes(tmp_path: Path) -> None:
    flat, sorted_ = tmp_path / "flat", tmp_path / "classes"
    for i, image in enumerate(pixels(60, 8, 8)):
        for path in (flat / f"{i:02d}.png", sorted_ / ("cat", "dog")[i % 2] / f"{i:02d}.png"):
            path.parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray(image).save(path)
    found = load_own_images(flat)
    assert found.pixels.shape == (60, 1, 8, 8) and found.labels is None
    labelled = load_own_images(sorted_)
    assert labelled.class_names == ("cat", "dog") and labelled.labels is not None
    assert np.bincount(labelled.labels).tolist() == [30, 30]
    (flat / "broken.png").write_bytes(b"no picture")
    with pytest.raises(DataError, match=r"broken\.png cannot be read as an image\."):
        load_own_images(flat)


@pytest.mark.parametrize(
    ("arrays", "says"),
    [
        ({"images": pixels(FEWEST - 1, 8, 8)}, "holds 49 images; at least 50"),
        ({"pictures": pixels(60, 8, 8)}, "none of the arrays"),
        ({"images": pixels(60, 8)}, "dimensions"),
        ({"images": pixels(60, 8, 8, 5)}, "1 or 3 channels"),
        ({"images": 300.0 * np.ones((60, 8, 8))}, "bytes from 0 to 255 or finite floats"),
        ({"images": np.full((60, 8, 8), np.nan)}, "bytes from 0 to 255 or finite floats"),
        ({"images": pixels(60, 8, 8), "labels": np.arange(59)}, "one class index for each"),
        ({"images": np.array([{}] * 60, dtype=object)}, "cannot be read"),
    ],
)
def test_what_is_not_fit_ends_in_a_sentence(tmp_path: Path, arrays: dict[str, np.ndarray], says: str) -> None:
    with pytest.raises(DataError, match=says):
        load_own_images(saved(tmp_path, **arrays))


def test_a_missing_path_and_an_empty_folder_end_in_a_sentence(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="There is no folder"):
        load_own_images(tmp_path / "nowhere")
    with pytest.raises(DataError, match="holds 0 images"):
        load_own_images(tmp_path)
    (tmp_path / "text.npz").write_text("no archive")
    with pytest.raises(DataError, match="cannot be read"):
        load_own_images(tmp_path / "text.npz")
