"""Trying a sketch in the worker: what fits, what is left over, and the accuracy on a pack's images."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from ti_core.results.files.sketch_record import check_sketch
from ti_core.worker import Job, Limits
from ti_core.worker.inspection_job import sketch_tried
from ti_core.worker.results import ResultError

FITS = "conv 4 5; relu; maxpool 2; flatten; linear 10"


@pytest.fixture
def path(tmp_path: Path) -> Path:
    torch.manual_seed(0)
    net = nn.ModuleDict({"a": nn.Conv2d(1, 4, 5), "b": nn.Linear(4 * 144, 10)})
    torch.save(net.state_dict(), tmp_path / "model.pt")
    return tmp_path / "model.pt"


def tried(path: Path, sketch: str) -> dict[str, Any]:
    request = {"model": str(path), "sketch": sketch, "pack": "mnist"}
    with Job.start("try sketch", request, limits=Limits.for_seconds(60)) as job:
        job.wait()
        assert job.state == "done", job.error
        return sketch_tried(job)


def test_a_sketch_that_fits_has_an_accuracy(path: Path) -> None:
    found = tried(path, FITS)
    assert found["problem"] == "" and found["left"] == found["missing"] == []
    assert found["fits"] == [
        {"layer": "conv 4 5", "tensors": "a (4 x 1 x 5 x 5)"},
        {"layer": "linear 10", "tensors": "b (10 x 576)"},
    ]
    assert 0 <= found["accuracy"] <= 0.5 and found["pack"] == "mnist" and found["normalisation"]


def test_what_is_left_over_is_told_without_an_accuracy(path: Path) -> None:
    found = tried(path, "conv 4 5; relu; conv 8 3")
    assert (found["missing"], found["left"]) == (["conv 8 3 on 4 channels"], ["b (10 x 576)"])
    assert found["accuracy"] is None and "no tensors of the file fit" in found["problem"]


def test_images_that_do_not_go_through_are_a_sentence(path: Path) -> None:
    found = tried(path, "conv 4 5; relu; maxpool 3; flatten; linear 10")
    assert found["accuracy"] is None and "does not accept images" in found["problem"]


def test_a_result_that_the_task_would_not_write_is_refused(tmp_path: Path) -> None:
    good = {
        "problem": "",
        "fits": [],
        "missing": [],
        "left": [],
        "accuracy": 0.5,
        "pack": "",
        "normalisation": "",
    }
    check_sketch(good)
    for change in ({"accuracy": 2.0}, {"fits": [{"layer": 1}]}, {"more": 1}, {"left": ["a"] * 2000}):
        with pytest.raises(ValueError, match=r"\w"):
            check_sketch(good | change)

    class Left:
        def result_json(self, name: str, limit: int) -> dict[str, Any]:
            return {}

    with pytest.raises(ResultError, match="no valid result"):
        sketch_tried(Left())  # type: ignore[arg-type]
