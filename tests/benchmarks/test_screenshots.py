"""How much of a page looks other than its kept picture."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from benchmarks.screenshots import CELL, difference


def picture(path: Path, pixels: np.ndarray[tuple[int, int, int], np.dtype[np.uint8]]) -> Path:
    Image.fromarray(pixels).save(path)
    return path


def test_the_same_picture_differs_nowhere_and_one_that_lacks_everywhere(tmp_path: Path) -> None:
    pixels = np.random.default_rng(0).integers(0, 255, (5 * CELL, 4 * CELL, 3)).astype(np.uint8)
    one, two = (picture(tmp_path / f"{i}.png", pixels) for i in range(2))
    assert difference(one, two) == 0.0
    assert difference(tmp_path / "none.png", one) == 1.0


def test_a_changed_square_and_a_longer_page_count_by_their_size(tmp_path: Path) -> None:
    pixels = np.full((5 * CELL, 4 * CELL, 3), 200, dtype=np.uint8)
    kept = picture(tmp_path / "kept.png", pixels)
    other = pixels.copy()
    other[:CELL, :CELL] = 90
    assert difference(kept, picture(tmp_path / "other.png", other)) == pytest.approx(1 / 20)
    longer = np.concatenate([pixels, pixels[:CELL]])
    assert difference(kept, picture(tmp_path / "longer.png", longer)) == pytest.approx(4 / 24)


def test_another_letter_is_no_other_look(tmp_path: Path) -> None:
    pixels = np.full((5 * CELL, 4 * CELL, 3), 255, dtype=np.uint8)
    kept = picture(tmp_path / "kept.png", pixels)
    other = pixels.copy()
    other[2:10, 3] = 0
    assert difference(kept, picture(tmp_path / "other.png", other)) == 0.0
