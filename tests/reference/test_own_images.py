"""The user's own images: every layout that is read, and a sentence for every one that is not."""

from __future__ import annotations

import io
import zipfile
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from ti_core.errors import DataError
from ti_core.reference import picture_files as own_pictures
from ti_core.reference.own_images import FEWEST, MOST, OwnImages, load_own_images


def pixels(count: int, *shape: int) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, size=(count, *shape), dtype=np.uint8)


def mixed(x: np.ndarray) -> np.ndarray:
    """In the order in which as many images are taken."""
    return x[np.random.default_rng(0).permutation(len(x))]


def saved(folder: Path, **arrays: np.ndarray) -> Path:
    path = folder / "mine.npz"
    np.savez(path, **arrays)
    return path


def test_layouts_of_an_npz_give_the_same_pixels(tmp_path: Path) -> None:
    x = pixels(60, 8, 8, 3)
    for layout in (x, x.transpose(0, 3, 1, 2), x / 255.0):
        found = load_own_images(saved(tmp_path, images=layout))
        np.testing.assert_array_equal(found.pixels, mixed(x.transpose(0, 3, 1, 2)))
        assert found.labels is None and float(found.images.max()) <= 1
    grey = pixels(60, 8, 8)
    np.testing.assert_array_equal(load_own_images(saved(tmp_path, x=grey)).pixels[:, 0], mixed(grey))


def test_labels_and_names_come_along(tmp_path: Path) -> None:
    y = np.arange(60) % 3
    found = load_own_images(
        saved(tmp_path, x_test=pixels(60, 8, 8), y_test=y, class_names=np.array(["a", "b", "c"]))
    )
    assert (
        found.labels is not None
        and found.labels.tolist() == mixed(y).tolist()
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
        ({"images": pixels(60, 8, 8), "labels": np.arange(60) - 1}, "one class index for each"),
        ({"images": pixels(60, 0, 8)}, "have no pixels"),
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


def png(image: np.ndarray) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(image).save(buffer, "PNG")
    return buffer.getvalue()


def zipped(folder: Path, files: Mapping[str, bytes]) -> Path:
    path = folder / "mine.zip"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in files.items():
            archive.writestr(name, data)
    return path


def test_a_zip_archive_is_read_like_the_folder_it_was_made_from(tmp_path: Path) -> None:
    images = pixels(60, 8, 8, 3)
    flat = load_own_images(zipped(tmp_path, {f"{i:02d}.png": png(x) for i, x in enumerate(images)}))
    np.testing.assert_array_equal(flat.pixels, mixed(images.transpose(0, 3, 1, 2)))
    assert flat.labels is None and flat.name == "mine.zip"
    files = {f"mine/{('dog', 'cat')[i % 2]}/{i:02d}.png": png(x) for i, x in enumerate(images)}
    beside = {
        "__MACOSX/mine/cat/._00.png": b"no picture",
        "mine/notes.txt": b"words",
        "mine/.hidden.png": b"",
    }
    sorted_ = load_own_images(zipped(tmp_path, files | beside))
    assert sorted_.class_names == ("cat", "dog") and sorted_.labels is not None
    np.testing.assert_array_equal(sorted_.labels, mixed(np.repeat([0, 1], 30)))
    by_class = np.concatenate([images[1::2], images[::2]])
    np.testing.assert_array_equal(sorted_.pixels, mixed(by_class.transpose(0, 3, 1, 2)))


def test_images_sorted_by_class_are_mixed(tmp_path: Path) -> None:
    """Streams fit to the first images and measure on the last: both need every class."""
    y = np.repeat(np.arange(6), 10)
    found = load_own_images(saved(tmp_path, images=pixels(60, 8, 8), labels=y))
    assert found.labels is not None
    assert set(found.labels[:30]) == set(found.labels[30:]) == set(range(6))


def test_pictures_of_several_sizes_are_brought_to_one(tmp_path: Path) -> None:
    files = {f"{i:02d}.png": png(np.full((8 + i % 3, 9, 3), 50, dtype=np.uint8)) for i in range(60)}
    path = zipped(tmp_path, files)
    side = own_pictures.SIDE
    assert load_own_images(path).pixels.shape == (60, 3, side, side)
    grey = load_own_images(path, (1, 0, 10))
    assert grey.pixels.shape == (60, 1, side, 10) and set(np.unique(grey.pixels)) == {50}


def claims(width: int, height: int) -> bytes:
    """A PNG of a few bytes that says it is that large."""
    data = bytearray(png(np.zeros((1, 1), dtype=np.uint8)))
    data[16:24] = width.to_bytes(4, "big") + height.to_bytes(4, "big")
    import zlib

    data[29:33] = zlib.crc32(bytes(data[12:29])).to_bytes(4, "big")
    return bytes(data)


POSTSCRIPT = b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 8 8\n%%EndComments\nshowpage\n"


@pytest.mark.parametrize(
    ("data", "says"),
    [
        (claims(8000, 8000), "more than 50 million pixels"),
        (claims(60000, 60000), "more than 50 million pixels"),
        (POSTSCRIPT, "cannot be read as an image"),
        (png(np.zeros((8, 8), dtype=np.uint8))[:-30], "cannot be read as an image"),
        (b"", "cannot be read as an image"),
    ],
    ids=["large", "huge", "PostScript", "cut short", "empty"],
)
def test_a_hostile_picture_ends_in_a_sentence_with_its_name(tmp_path: Path, data: bytes, says: str) -> None:
    good = {f"{i:02d}.png": png(x) for i, x in enumerate(pixels(60, 8, 8))}
    with pytest.raises(DataError, match=rf"^bad\.png .*{says}"):
        load_own_images(zipped(tmp_path, good | {"bad.png": data}))


def test_a_hostile_archive_ends_in_a_sentence(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    good = {f"{i:02d}.png": png(x) for i, x in enumerate(pixels(60, 8, 8))}
    path = zipped(tmp_path, good)
    whole = path.read_bytes()
    with monkeypatch.context() as m:
        m.setattr(own_pictures, "MOST_BYTES", 100)
        with pytest.raises(DataError, match=r"\d\d\.png unpacks to more than"):
            load_own_images(path)
    with monkeypatch.context() as m:
        m.setattr(own_pictures, "MOST_ENTRIES", 59)
        with pytest.raises(DataError, match="lists 60 files"):
            load_own_images(path)
    path.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(DataError, match="cannot be read"):
        load_own_images(path)
    # The flag that says an entry is encrypted, in both of its headers.
    locked = bytearray(whole)
    locked[6] |= 1
    locked[whole.index(b"PK\x01\x02") + 8] |= 1
    path.write_bytes(locked)
    with pytest.raises(DataError, match=r"\d\d\.png cannot be read"):
        load_own_images(path)
    with pytest.raises(DataError, match="holds 0 images"):
        load_own_images(zipped(tmp_path, {"notes.txt": b"words"}))


def test_a_damaged_or_mislabelled_npz_ends_in_a_sentence(tmp_path: Path) -> None:
    single = tmp_path / "single.npz"
    with single.open("wb") as file:
        np.save(file, pixels(60, 8, 8))
    with pytest.raises(DataError, match="cannot be read"):
        load_own_images(single)
    path = tmp_path / "packed.npz"
    np.savez_compressed(path, images=pixels(60, 8, 8))
    data = bytearray(path.read_bytes())
    data[200:400] = bytes(200)
    path.write_bytes(data)
    with pytest.raises(DataError, match="cannot be read"):
        load_own_images(path)


def test_labels_are_numbered_as_the_model_numbers_its_classes() -> None:
    x, y = pixels(6, 3, 4, 4), np.array([0, 1, 2, 0, 1, 2])
    given = OwnImages("mine", x, y, ("cat", "Cow", "dog"))
    found = given.in_terms_of(("hen", "dog", "cow", "cat"))
    assert found.labels is not None and found.labels.tolist() == [3, 2, 1, 3, 2, 1]
    assert found.class_names == ("hen", "dog", "cow", "cat") and found.sha256 == given.sha256
    assert OwnImages("mine", x, y, found.class_names).sha256 == given.sha256


@pytest.mark.parametrize(
    "names",
    [(), ("cat", "dog"), ("cat", "dog", "dog", "cow"), ("a", "b", "c")],
    ids=["none", "fewer", "twice", "other"],
)
def test_labels_keep_their_numbers_where_names_do_not_agree(names: tuple[str, ...]) -> None:
    given = OwnImages("mine", pixels(3, 3, 4, 4), np.array([0, 1, 2]), ("cat", "cow", "dog"))
    assert given.in_terms_of(names) is given


def test_images_without_names_take_those_of_the_model() -> None:
    given = OwnImages("mine", pixels(3, 3, 4, 4))
    assert given.in_terms_of(("cat", "dog")).names_of(2) == ("cat", "dog")
    numbered = OwnImages("mine", pixels(3, 3, 4, 4), np.array([0, 1, 1]))
    assert numbered.in_terms_of(("cat", "dog")).names_of(2) == ("cat", "dog")
