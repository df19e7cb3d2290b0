from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors.numpy import save

from ti_core.errors import DataError
from ti_core.results.files.training_images import TrainingImages
from ti_core.zoo.training.data import load_data


def left(channels: int = 3) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
    rng = np.random.default_rng(0)
    arrays = {
        "x_train": rng.integers(0, 256, (8, channels, 5, 4), dtype=np.uint8),
        "y_train": np.arange(8, dtype=np.int64) % 2,
        "x_test": rng.integers(0, 256, (4, channels, 5, 4), dtype=np.uint8),
        "y_test": np.arange(4, dtype=np.int64) % 2,
    }
    record: dict[str, Any] = {"class_names": ["cat", "dog"]}
    return record, arrays


@pytest.mark.parametrize("channels", [1, 3])
def test_the_images_are_written_anew_as_the_command_reads_them(channels: int, tmp_path: Path) -> None:
    record, arrays = left(channels)
    images = TrainingImages.of(record, save(arrays))
    images.write(tmp_path / "mine.npz")
    data = load_data(tmp_path / "mine.npz")
    assert data.class_names == ("cat", "dog") and data.name == "mine"
    for name, array in arrays.items():
        assert np.array_equal(getattr(data, name), array)


@pytest.mark.parametrize(
    "break_it",
    [
        lambda r, a: r.update(class_names=["one"]),
        lambda r, a: r.update(more=1),
        lambda r, a: a.pop("y_test"),
        lambda r, a: a.update(more=np.zeros(1)),
        lambda r, a: a.update(x_train=a["x_train"].astype(np.float32)),
        lambda r, a: a.update(x_train=a["x_train"][:, :2]),
        lambda r, a: a.update(x_train=a["x_train"][:, :, :4]),
        lambda r, a: a.update(x_test=np.zeros((4, 3, 5, 600), np.uint8)),
        lambda r, a: a.update(x_test=a["x_test"][:0], y_test=a["y_test"][:0]),
        lambda r, a: a.update(y_train=a["y_train"][:-1]),
        lambda r, a: a.update(y_train=a["y_train"] + 1),
        lambda r, a: a.update(y_train=a["y_train"] - 1),
        lambda r, a: a.update(y_train=a["y_train"].astype(np.int32)),
    ],
)
def test_what_a_job_that_was_taken_over_could_leave_is_refused(break_it: Any) -> None:
    record, arrays = left()
    break_it(record, arrays)
    with pytest.raises(DataError, match="left no valid ones"):
        TrainingImages.of(record, save(arrays))
