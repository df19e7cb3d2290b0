"""The box with a network's layers, driven as Streamlit's own test harness drives a page."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from streamlit.testing.v1 import AppTest

from app import sketch_box
from ti_core.errors import ModelFileError

GOOD = "conv 4 3; relu; flatten; linear 10"


def found(**changes: Any) -> dict[str, Any]:
    """What the worker tells of a sketch that fits."""
    fits = [
        {"layer": "conv 4 3", "tensors": "a (4 x 1 x 3 x 3)"},
        {"layer": "linear 10", "tensors": "<b> (10 x 9)"},
    ]
    whole = {"problem": "", "fits": fits, "missing": [], "left": [], "accuracy": 0.914, "pack": "mnist"}
    return whole | {"normalisation": "none"} | changes


@pytest.fixture
def file(tmp_path: Path) -> Path:
    (tmp_path / "m.pt").write_bytes(b"weights")
    return tmp_path / "m.pt"


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The sketches that the worker was asked to try."""
    sketches: list[str] = []

    def tried(path: str, digest: str, sketch: str, pack: str) -> dict[str, Any]:
        sketches.append(sketch)
        if "linear 7" in sketch:
            problem = "The sketch has layers that no tensors of the file fit: linear 7."
            return found(problem=problem, missing=["linear 7"], left=["b (10 x 9)"], accuracy=None)
        if "sigmoid" in sketch:
            raise ModelFileError("The file <i>m.pt</i> is damaged.")
        return found()

    monkeypatch.setattr(sketch_box, "_tried", tried)
    return sketches


def box(file: Path, text: str = "") -> AppTest:
    def script(file: str, text: str) -> None:
        from pathlib import Path

        import streamlit as st

        from app import sketch_box
        from app.store.sources import Source

        source = Source("m.pt", Path(file), ())
        sketch_box.offer(source, text, "", "k", lambda s, drawn: st.session_state.update(started=drawn))

    return AppTest.from_function(script, args=(str(file), text), default_timeout=30)


def test_an_empty_box_asks_nothing_of_the_worker(asked: list[str], file: Path) -> None:
    app = box(file).run()
    assert not app.exception and asked == [] and app.button(key="k.with").disabled


def test_a_sketch_that_fits_can_be_inspected(asked: list[str], file: Path) -> None:
    app = box(file, GOOD).run()
    assert app.text_area(key="k.sketch").value == "conv 4 3; relu\nflatten\nlinear 10"
    assert asked == [GOOD] and "91.4%" in app.success[0].value and "All 2 layers fit" in app.success[0].value
    table = app.dataframe[0].value
    assert list(table["Tensors of the file"]) == ["a (4 x 1 x 3 x 3)", "<b> (10 x 9)"]
    app.button(key="k.with").click().run()
    assert app.session_state["started"] == GOOD


@pytest.mark.parametrize(
    ("typed", "says"),
    [
        ("conv 4 3; relu; flatten; linear 7", "no tensors of the file fit: linear 7"),
        ("conv -4 3", "whole number from 1 to 65536, not -4"),
        ("conv 4 3; __import__", "there is no layer"),
        ("sigmoid; flatten; linear 10", "is damaged"),
    ],
)
def test_what_does_not_fit_is_said_and_cannot_be_inspected(
    typed: str, says: str, asked: list[str], file: Path
) -> None:
    app = box(file, GOOD).run()
    app.text_area(key="k.sketch").set_value(typed).run()
    said = app.warning[0].value.replace("\\", "")
    assert says in said and not app.exception and not app.success
    assert app.button(key="k.with").disabled
    assert "<i>" not in app.warning[0].value.replace("\\<", "")
    app.text_area(key="k.sketch").set_value(GOOD).run()
    assert app.success and not app.button(key="k.with").disabled
