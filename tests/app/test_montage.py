"""All methods of attribution on one image, and the film of activation maximisation, on the page of a case."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors.numpy import load, save
from streamlit.testing.v1 import AppTest

from app import state
from app.sections.pictures import montage
from app.store.sources import Source
from tests.app.conftest import Worker
from tests.app.test_errands import Job
from tests.app.test_pages import page, texts
from tests.app.waiting import until
from ti_core.results.case import Case
from ti_core.results.files.attributions import WHO
from ti_core.settings import ATTRIBUTIONS


class Explained(Job):
    """A job that left a map of every method but CAM, each brightest in its own pixel."""

    shape = (1, 1)

    def result_json(self, name: str, limit: int) -> dict[str, Any]:
        unfit = [{"method": "cam", "who": who, "reason": "It has <b>no</b> average."} for who in WHO]
        return {"seen": [0, 1], "unfit": unfit}

    def result(self, name: str, limit: int) -> bytes:
        maps = {}
        for i, method in enumerate(ATTRIBUTIONS):
            for who in WHO if method != "cam" else ():
                maps[f"{method}/{who}"] = np.zeros(self.shape, np.float32)
                maps[f"{method}/{who}"].flat[i] = 1.0
        return save(maps)


@pytest.fixture
def asked(
    dashboard: Worker, tiny_cases: dict[str, Case], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> tuple[AppTest, list[dict[str, Any]], list[Job], str]:
    """The page of a case, the requests that it sends, the jobs that answer them, and the id of the case."""
    requests: list[dict[str, Any]] = []
    jobs: list[Job] = [Explained(tmp_path, [], seconds=0.4)]
    Explained.shape = tiny_cases["patch"].arrays["probes"].shape[-2:]

    def starter(task: str, request: dict[str, Any], limits: Any) -> Any:
        assert task == "explain image"
        image = load(Path(request["image"]).read_bytes())["image"]
        requests.append(request | {"pixels": image})
        return lambda: jobs[-1]

    monkeypatch.setattr(montage, "starter", starter)
    source = Source("bars.safetensors", tmp_path / "bars.safetensors")
    monkeypatch.setattr(state, "kept", lambda sha256, file: source)
    app = page()
    name = state.store().keep(tiny_cases["patch"])
    app.query_params["case"] = name
    app.query_params["open"] = "saliency,activation-maximisation"
    return app, requests, jobs, name


def test_one_press_shows_every_method_and_the_reason_beside_those_that_are_not_possible(
    asked: tuple[AppTest, list[dict[str, Any]], list[Job], str], tiny_cases: dict[str, Case]
) -> None:
    app, requests, _, name = asked
    app.run()
    app.slider(key=f"{name}.image").set_value(2).run()
    app.button(key=f"{name}.montage.ask").click().run()
    until(lambda: not app.session_state[f"{name}.montage"][1].active)
    body = next(e.proto.body for e in app.run().get("html") if "ti-montage" in e.proto.body)
    assert not app.exception and body.count("<figure>") == len(ATTRIBUTIONS) + 1
    pictures = [part.split('"')[0] for part in body.split('src="')[1:]]
    # The image, and two maps a method but CAM. Those of a pair are alike, those of different methods are not.
    assert len(pictures) == 1 + 2 * (len(ATTRIBUTIONS) - 1)
    assert len(set(pictures)) == len(ATTRIBUTIONS) and pictures[1] == pictures[2]
    assert body.count("It has &lt;b&gt;no&lt;/b&gt; average.") == 1 and "Smooth Grad-CAM++" in body
    (request,) = requests
    case = tiny_cases["patch"]
    assert np.array_equal(request["pixels"], case.arrays["probes"][0, 0, 1])
    assert request["witness"] == case.witness and request["target"] == case.report.target_class
    assert not Path(request["image"]).exists(), "the image goes when the work ends"
    app.slider(key=f"{name}.image").set_value(1).run()
    assert "ti-montage" not in texts(app) and app.button(key=f"{name}.montage.ask")


def test_the_work_is_cancelled_and_a_failure_is_said(
    asked: tuple[AppTest, list[dict[str, Any]], list[Job], str], tmp_path: Path
) -> None:
    app, _, jobs, name = asked
    jobs.append(Explained(tmp_path, [], seconds=60.0))
    app.run()
    app.button(key=f"{name}.montage.ask").click().run()
    until(lambda: app.session_state[f"{name}.montage"][1].state == "running")
    app.button(key=f"{name}.montage.cancel").click().run()
    assert jobs[-1].cancelled and not app.exception
    jobs.append(Explained(tmp_path, [], ends="failed", error="The file <i>is</i> damaged."))
    app.button(key=f"{name}.montage.ask").click().run()
    until(lambda: not app.session_state[f"{name}.montage"][1].active)
    assert "is* damaged" not in texts(app.run()) and "damaged" in app.warning[0].value
    assert app.button(key=f"{name}.montage.ask")


def test_the_film_shows_the_frame_of_the_slider_large(
    asked: tuple[AppTest, list[dict[str, Any]], list[Job], str], tiny_cases: dict[str, Case]
) -> None:
    from app.charts import pictures

    app, _, _, name = asked
    app.run()
    images = tiny_cases["patch"].arrays["actmax/maker/images"]
    frames = images.shape[1]
    slider = app.select_slider(key=f"{name}.actmax.frame")
    assert slider.value == frames - 1 and len(slider.options) == frames
    for frame in (frames - 1, 0):
        app.select_slider(key=f"{name}.actmax.frame").set_value(frame).run()
        bodies = [e.proto.body for e in app.get("html") if "log-probability" in e.proto.body]
        shown = [part.split('"')[0] for part in bodies[0].split('src="')[1:]]
        assert shown == [pictures.uri(pictures.photo(images[way, frame, 0])) for way in (0, 1)]
    assert not app.exception and "▲ start" in texts(app)
