"""``pack build --estimate``: how long a pack would take, without building one."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from ti_core.cli.main import main
from ti_core.zoo.packs import estimate


@pytest.fixture
def images(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A small data set. An image costs 2 milliseconds of training, and a network's evidence 60 seconds."""
    monkeypatch.setattr(estimate, "_image_seconds", lambda recipe, data: 0.002)
    monkeypatch.setattr(estimate, "_evidence_seconds", lambda *ignored: 60.0)
    rng = np.random.default_rng(0)
    arrays = {
        f"x_{part}": rng.integers(0, 256, (n, 14, 14), dtype=np.uint8)
        for part, n in (("train", 40), ("test", 10))
    }
    labels = {f"y_{part}": np.arange(n) % 2 for part, n in (("train", 40), ("test", 10))}
    np.savez(tmp_path / "mine.npz", class_names=np.array(["a", "b"]), **arrays, **labels)
    return tmp_path / "mine.npz"


def test_the_time_is_said_and_nothing_is_written(images: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = images.parent / "pack"
    asked = ["pack", "build", "--data", str(images), "--out", str(out), "--count", "8", "--jobs", "1"]
    assert main([*asked, "--estimate"]) == 0
    said = capsys.readouterr()
    assert "2 classes, 40 images to train and 10 to test" in said.out
    assert "This will take about" in said.out and "evidence 8 minutes; one network at a time" in said.out
    assert "Class a has 25 images" in said.err
    assert sorted(p.name for p in images.parent.iterdir()) == ["mine.npz"]
    assert main([*asked, "--estimate", "--zoo", str(out)]) == 2
    assert "--estimate is for images alone" in capsys.readouterr().err
