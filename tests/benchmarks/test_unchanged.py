"""The comparison of two records: a changed bit counts, a reworded sentence does not."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from benchmarks.unchanged import compare, digests


def line(model: str, **changed: Any) -> dict[str, Any]:
    """A model's line as ``record`` writes it."""
    made = {
        "model": model,
        "evidence": {"saliency": {"maps": "a"}},
        "scores": {"saliency": "b"},
        "trigger": None,
        "flip_share": None,
        "verdict": {"verdict": "clean", "probability": 0.1},
        "streams": {"saliency": {"score": 0.5}},
        "sentences": [["It looks clean."], [None]],
        "seconds": 1.5,
    }
    return made | changed


def written(path: Path, *lines: dict[str, Any]) -> Path:
    path.write_text("".join(json.dumps(one) + "\n" for one in lines))
    return path


def test_equal_records_pass_whatever_their_order_and_times(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    old = written(tmp_path / "old", line("a"), line("b"))
    new = written(tmp_path / "new", line("b", seconds=9.0), line("a"))
    assert compare(old, new) == 0
    assert (
        capsys.readouterr().out == "2 models compared (2 and 2 recorded), 0 differ.\nSentences differ in 0.\n"
    )


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("evidence", {"saliency": {"maps": "c"}}),
        ("scores", {"saliency": "c"}),
        ("trigger", {"mask": "c", "pattern": "d"}),
        ("flip_share", 0.5),
        ("verdict", {"verdict": "clean", "probability": 0.1 + 2**-55}),
        ("streams", {"saliency": {"score": 0.25}}),
    ],
)
def test_a_difference_is_named_and_fails(
    key: str, value: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    old = written(tmp_path / "old", line("a"), line("b"))
    new = written(tmp_path / "new", line("a"), line("b", **{key: value}))
    assert compare(old, new) == 1
    assert capsys.readouterr().out.startswith(f"b: {key}\n2 models compared (2 and 2 recorded), 1 differ.\n")


def test_other_sentences_are_counted_and_pass(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    old = written(tmp_path / "old", line("a"))
    new = written(tmp_path / "new", line("a", sentences=[["It seems clean."], [None]]))
    assert compare(old, new) == 0
    assert "Sentences differ in 1." in capsys.readouterr().out


def test_records_without_a_common_model_fail(tmp_path: Path) -> None:
    assert compare(written(tmp_path / "old", line("a")), written(tmp_path / "new", line("b"))) == 1


def test_a_digest_tells_type_shape_and_every_bit_apart() -> None:
    ones = np.ones((2, 3))
    changed = ones.copy()
    changed[1, 2] = np.nextafter(1.0, 2.0)
    arrays = {
        "a": ones,
        "b": changed,
        "c": ones.reshape(3, 2),
        "d": ones.astype(np.float32),
        "e": ones.T.copy().T,
    }
    found = digests(arrays)
    assert found["e"] == found["a"]
    assert len({found[k] for k in "abcd"}) == 4
