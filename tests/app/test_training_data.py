"""The page My training data, driven as Streamlit's own test harness drives a page."""

from __future__ import annotations

import io
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import streamlit as st
from streamlit.testing.v1 import AppTest

from app.jobs import examination
from tests.app.conftest import Worker
from tests.app.test_pages import texts
from tests.methods.training_data.planted import files
from ti_core.errors import ModelFileError
from ti_core.methods.training_data.record import Found
from ti_core.methods.training_data.task import examine_data
from ti_core.system.progress import silent_stage


@pytest.fixture(scope="module")
def found(tmp_path_factory: pytest.TempPathFactory) -> Found:
    folder = tmp_path_factory.mktemp("training")
    model, data = files(folder)
    request = {"model": str(model), "images": str(data), "rate": 0.1}
    examine_data(request, folder, silent_stage, None)  # type: ignore[arg-type]
    record = json.loads((folder / "training.json").read_text())
    record["classes"][0]["name"] = "<b>zero</b>"
    return Found.of(record, (folder / "training.safetensors").read_bytes())


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch, found: Found) -> list[dict[str, Any]]:
    """What the worker was asked for. It finds poison, or fails where the rate is 30 %."""
    requests: list[dict[str, Any]] = []

    def examined(request: dict[str, Any], tell: Callable[[str, float], None]) -> Found:
        tell("activations", 0.5)
        assert Path(request["images"]).read_bytes() == b"images"
        requests.append(request)
        if request["rate"] == 0.3:
            raise ModelFileError("The file <i>m.pt</i> is damaged.")
        return found

    monkeypatch.setattr(examination, "examined", examined)
    return requests


@pytest.fixture(autouse=True)
def _handed_in(monkeypatch: pytest.MonkeyPatch) -> None:
    """A model and images in the uploaders, as long as the session's "given" is not False."""

    def given(label: str, **options: object) -> list[io.BytesIO]:
        if not st.session_state.get("given", True):
            return []
        name = {"training.model": "m.pt", "training.images": "x.npz"}[str(options["key"])]
        upload = io.BytesIO(b"weights" if name == "m.pt" else b"images")
        upload.name = name
        return [upload]

    monkeypatch.setattr("app.uploader.files", given)


def page() -> AppTest:
    def script() -> None:
        from app.views import training_data

        training_data.page()

    return AppTest.from_function(script, default_timeout=60)


def test_poison_is_shown_class_by_class_with_its_pictures(
    dashboard: Worker, asked: list[dict[str, Any]]
) -> None:
    app = page().run()
    assert not app.exception and not app.button(key="training.look").disabled
    app.button(key="training.look").click().run()
    said = texts(app)
    assert not app.exception, app.exception
    assert "finds poison in 1 of 4 classes" in said.replace("\\", "") and "this is poison" in said
    assert "<b>zero" not in said.replace("\\", "*")
    strips = [e.proto.body for e in app.get("html") if "ti-strip" in e.proto.body]
    assert strips[0].count("<img") == 20 and strips[0].count(": both") == 18
    assert asked[0]["rate"] == 0.05 and not Path(asked[0]["images"]).exists()
    assert len(app.code[0].value.splitlines()) == 20
    # What was found stays while other controls are moved.
    assert "this is poison" in texts(app.run())


def test_a_fault_is_said_and_the_images_are_deleted(dashboard: Worker, asked: list[dict[str, Any]]) -> None:
    app = page().run()
    app.slider(key="training.rate").set_value(30).run()
    app.button(key="training.look").click().run()
    assert "is damaged" in texts(app) and "<i>" not in texts(app) and not Path(asked[0]["images"]).exists()
    app.session_state["given"] = False
    assert app.run().button(key="training.look").disabled


def test_the_worker_is_asked_once_at_a_time(tmp_path: Path) -> None:
    model, data = files(tmp_path)
    request = {"model": str(model), "images": str(data), "rate": 0.1}
    told: list[str] = []

    def tell(stage: str, share: float) -> None:
        told.append(stage)
        with pytest.raises(ModelFileError, match="Other training data are examined"):
            examination.examined(request, tell)

    assert len(examination.examined(request, tell).suspicious) == 1 and told
    with pytest.raises(ModelFileError, match="no_such"):
        examination.examined(request | {"model": str(tmp_path / "no_such.pt")}, lambda stage, share: None)
