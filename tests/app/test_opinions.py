"""Second opinions under a verdict: chosen, asked for in the worker, and drawn beside the members of the pack."""

from __future__ import annotations

from dataclasses import replace
from io import BytesIO
from pathlib import Path
from typing import Any
from zipfile import ZipFile

import pytest
from streamlit.testing.v1 import AppTest

from app import state
from app.charts.opinions import beside_members
from app.charts.theme import LIGHT
from app.jobs import opinions
from app.jobs.apart import Apart
from app.sections import download
from app.sections import opinions as section
from app.store.cases import CaseStore
from app.store.sources import Source
from tests.app.conftest import Worker
from tests.app.test_pages import page, texts
from ti_core.errors import CaseError, ModelFileError
from ti_core.methods.beside import Beside
from ti_core.methods.opinion import Opinion, Opinions
from ti_core.reference.pack import Pack
from ti_core.rendering.opinions.drawing import span
from ti_core.results.case import Case
from ti_core.worker.inspection_job import opinions_of

BESIDE = Beside((0.1, 0.2, 0.3, 0.4), (0.5, 0.8, 0.9, 50.0))


def said(pack: Pack) -> Opinions:
    given = (
        Opinion(
            "neural_cleanse", 3.5, 2.0, True, "The smallest mask leads to class top.", 0, (1.0, 2.0), 0.4
        ),
        Opinion("strip", 0.25, None, None, "A quarter <i>is</i> rejected.", 1, (), 0.2),
    )
    unmet = {"mntd": "MNTD needs to have been learnt on the pack."}
    return Opinions("bars.safetensors", pack.name, pack.sha256, pack.class_names, given, unmet)


@pytest.fixture
def asked(
    dashboard: Worker,
    tiny_cases: dict[str, Case],
    tiny_pack: Pack,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> tuple[AppTest, list[dict[str, Any]]]:
    """The page of a case whose model file is still there, and the requests that it sends."""
    requests: list[dict[str, Any]] = []

    def answer(request: dict[str, Any], tell: Any) -> Opinions:
        requests.append(request)
        tell("opening", 0.0)
        tell("STRIP", 0.5)
        if "strip" not in request["methods"]:
            raise ModelFileError("The file <i>is</i> damaged.")
        return said(tiny_pack)

    source = Source("bars.safetensors", tmp_path / "bars.safetensors")
    monkeypatch.setattr(state, "kept", lambda sha256, file: source)
    monkeypatch.setattr(opinions, "asked", answer)
    monkeypatch.setattr(
        section, "beside", lambda one, pack, sha256: BESIDE if one.method == "strip" else None
    )
    app = page()
    app.query_params["case"] = state.store().keep(tiny_cases["patch"])
    app.query_params["open"] = "second-opinions"
    return app, requests


def test_methods_are_asked_and_stand_beside_the_members(
    asked: tuple[AppTest, list[dict[str, Any]]], tiny_pack: Pack
) -> None:
    app, requests = asked
    app.run()
    assert "take no part in the verdict above" in texts(app)
    key = next(b.key for b in app.button if str(b.key).endswith("opinions.ask"))
    app.button(key=key).click().run()
    assert not app.exception
    (request,) = requests
    assert request["pack"] == tiny_pack.name and "strip" in request["methods"] and "case" in request
    raw = texts(app)
    shown = raw.replace("\\", "")
    assert "**Neural Cleanse**: :material/warning: backdoored" in shown and "backdoored above 2" in shown
    assert "**STRIP**: no decision" in shown and "<i>" not in raw
    assert "higher than that of 50% of 4 clean networks and of 0% of 4 backdoored ones" in shown
    assert "**MNTD** was not asked. MNTD needs to have been learnt on the pack." in shown
    app.multiselect(key=key.replace("ask", "methods")).set_value(["mm_bd"]).run()
    app.button(key=key).click().run()
    # What was said before is kept with the case.
    assert "damaged" in texts(app) and "**STRIP**" in texts(app)


def test_opinions_enter_the_reports_of_their_case(
    asked: tuple[AppTest, list[dict[str, Any]]], tiny_pack: Pack
) -> None:
    app, _ = asked
    app.run()
    case_id = state.store().entries()[0].id
    before = state.case(case_id).report
    assert not before.opinions
    key = next(b.key for b in app.button if str(b.key).endswith("opinions.ask"))
    app.button(key=key).click().run()
    case = state.case(case_id)
    assert [one["method"] for one in case.report.opinions] == ["neural_cleanse", "strip", "mntd"]
    assert (case.report.verdict, case.report.probability) == (before.verdict, before.probability)
    written = download.page(case, case_id)
    assert "<h2>Second opinions</h2>" in written and "A quarter &lt;i&gt;is&lt;/i&gt; rejected." in written
    # After a restart, and without the model's file.
    fresh = CaseStore(state.store().folder.parent)
    assert fresh.load(case_id).report == case.report
    assert any(
        name.endswith("opinions.json") for name in ZipFile(BytesIO(fresh.export([case_id]))).namelist()
    )


def test_later_opinions_join_earlier_ones_and_replace_those_of_the_same_method(
    dashboard: Worker, tiny_cases: dict[str, Case], tiny_pack: Pack
) -> None:
    name = state.store().keep(tiny_cases["patch"])
    state.add_opinions(name, said(tiny_pack))
    later = replace(
        said(tiny_pack),
        given=(Opinion("mntd", 0.9, 0.5, True, "It has one."),),
        unmet={"strip": "No images."},
    )
    state.add_opinions(name, later)
    found = {one["method"]: one for one in state.case(name).report.opinions}
    assert found["mntd"]["decision"] == "backdoored" and found["strip"]["statistic"] is None
    assert found["neural_cleanse"]["statistic"] == 3.5 and len(found) == 3


@pytest.mark.parametrize("content", [b"{", b"[]", b'{"file": 1}', b"\xff"])
def test_damaged_opinions_leave_the_case_readable_and_are_named(
    content: bytes, dashboard: Worker, tiny_cases: dict[str, Case], tiny_pack: Pack
) -> None:
    store = state.store()
    name = store.keep(tiny_cases["patch"])
    store.add_opinions(name, said(tiny_pack))
    (store.folder / name / "opinions.json").write_bytes(content)
    case = store.load(name)
    assert not case.report.opinions and "cannot be used" in case.notes[-1] and store.opinions(name) is None
    store.add_opinions(name, said(tiny_pack))
    assert len(store.load(name).report.opinions) == 3


def test_opinions_on_another_pack_or_of_no_case_are_not_kept(
    dashboard: Worker, tiny_cases: dict[str, Case], tiny_pack: Pack
) -> None:
    store = state.store()
    name = store.keep(tiny_cases["patch"])
    store.add_opinions(name, replace(said(tiny_pack), pack_sha256="0" * 64))
    assert not store.load(name).report.opinions
    with pytest.raises(CaseError, match="no such case"):
        store.add_opinions(name[:-1] + ("0" if name[-1] != "0" else "1"), said(tiny_pack))


def test_without_the_model_file_nobody_is_asked(
    dashboard: Worker, tiny_cases: dict[str, Case], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(state, "kept", lambda sha256, file: None)
    app = page()
    app.query_params["case"] = state.store().keep(tiny_cases["patch"])
    assert "Second opinions" not in texts(app.run())


def test_the_chart_holds_members_threshold_and_model_and_cuts_far_outliers() -> None:
    one = Opinion("mm_bd", 1.1, 1.3, False, ".")
    low, high = span(one, BESIDE)
    assert low < 0.1 and 1.3 < high < 2
    figure = beside_members(one, BESIDE, "a statistic", LIGHT)
    assert [len(t.x) for t in figure.data] == [4, 4]
    # The member at 50 stands at the edge.
    assert max(figure.data[1].x) == high and figure.data[1].customdata[-1] == 50.0
    assert [shape.x0 for shape in figure.layout.shapes] == [1.1, 1.3]
    assert {a.text for a in figure.layout.annotations} == {"this model", "threshold"}
    far = beside_members(Opinion("mm_bd", 1e6, None, None, "."), BESIDE, "a statistic", LIGHT)
    assert len(far.layout.shapes) == 1 and far.layout.shapes[0].x0 == far.layout.xaxis.range[1]


def test_the_worker_is_asked_for_opinions(tiny_pack: Pack, monkeypatch: pytest.MonkeyPatch) -> None:
    def run(self: Apart, request: dict[str, Any], tell: Any, take: Any) -> Any:
        tell("opening", 0.0)
        return request, take

    monkeypatch.setattr(Apart, "run", run)
    told: list[str] = []
    request, take = opinions.asked({"methods": ["strip"]}, lambda stage, share: told.append(stage))  # type: ignore[misc]
    assert request == {"methods": ["strip"]} and take is opinions_of and told == ["opening"]
