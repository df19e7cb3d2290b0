"""Every page and every refusal, driven as Streamlit's own test harness drives a page."""

from __future__ import annotations

import ast
import errno
import json
import re
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import pytest
from streamlit.testing.v1 import AppTest

from app import address, controls, words
from app.markup import section_map
from app.sections import comparison, weight_changes
from app.store.arrivals import Arrivals, Arrived
from app.store.cases import CaseStore
from tests.app.conftest import Worker
from tests.app.waiting import until
from ti_core.errors import ModelFileError
from ti_core.loading import load_model
from ti_core.loading.versions.changes import changes
from ti_core.loading.versions.record import Changes
from ti_core.results.case import Case
from ti_core.results.files.first_look import FirstLook
from ti_core.results.so_far import SoFar
from ti_core.settings import Settings
from ti_core.text import export_to_onnx, save_state_dict, ways_out

ROOT = Path(__file__).resolve().parents[2]


PANEL = "settings.panel"
"""Key of the start page's settings. They are sent once they are unfolded."""


def page(name: str = "inspect") -> AppTest:
    """A page by itself, inside what the entry gives every page. Its settings are unfolded."""

    def script(name: str) -> None:
        import streamlit as st

        from app.views import cases, compare, inspect

        st.session_state.setdefault("pages", {})
        {"inspect": inspect, "compare": compare, "cases": cases}[name].page()

    app = AppTest.from_function(script, args=(name,), default_timeout=60)
    app.session_state[PANEL] = True
    return app


def texts(app: AppTest) -> str:
    """Everything the page says in words."""
    kinds = ("title", "header", "subheader", "markdown", "caption", "info", "warning", "error", "code")
    found = [str(e.value) for kind in kinds for e in app.get(kind)]
    return "\n".join([*found, *(e.proto.body for e in app.get("html"))])


def finished(app: AppTest) -> bool:
    """Whether the page shows a finished verdict, with its downloads."""
    return bool(app.get("download_button"))


def settled(app: AppTest, worker: Worker) -> AppTest:
    """The page once its inspection has ended."""
    from app import state

    end = time.monotonic() + 30
    while any(t.active for t in state.desk()._tickets.values()):
        assert time.monotonic() < end
        time.sleep(0.05)
    return app.run()


def test_the_whole_app_starts(dashboard: Worker, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ti_core.worker.warm_up", lambda count: None)
    app = AppTest.from_file(str(ROOT / "app" / "main.py"), default_timeout=60).run()
    assert not app.exception and "Is there a backdoor" in texts(app)


@pytest.mark.parametrize(("kind", "verdicts"), [("patch", "Backdoored"), ("clean", "Clean")])
def test_one_click_on_a_sample_leads_to_a_verdict(
    dashboard: Worker, tiny_cases: dict[str, Case], kind: str, verdicts: str
) -> None:
    app = page().run()
    assert not app.exception
    app.button(key=f"sample.bars.{kind}").click().run()
    app = settled(app, dashboard)
    assert not app.exception, app.exception
    app.button(key="show-model-file").click().run()
    said = texts(app)
    expected = tiny_cases[kind].report
    assert '<div class="word"' in said and expected.verdict.capitalize() in said
    assert '<table class="ti-covered">' in said and "the stream pairs is off" in said
    assert expected.model["sha256"] in said
    headings = [s.value for s in app.header]
    order = [
        "Class by class",
        "Saliency",
        "Activation maximisation",
        "Histograms of saliency",
        "Why",
        "Model file",
    ]
    assert [h for h in headings if h in order] == order
    request = dashboard.requests[0]
    own = dashboard.cases[kind].report.settings
    assert request["settings"] == json.loads(json.dumps(own)) and request["case"] is True
    assert app.query_params["case"]


def test_the_first_pictures_come_before_the_verdict(dashboard: Worker) -> None:
    from app import state

    dashboard.seconds = 60.0
    app = page().run()
    app.button(key="sample.bars.patch").click().run()
    end = time.monotonic() + 20
    while not any(t.partial for t in state.desk()._tickets.values()):
        assert time.monotonic() < end
        time.sleep(0.05)
    app.run()
    said = texts(app)
    assert "So far from saliency alone" in said and "ti-grid" in said and not finished(app)
    app.button(key="ticket.cancel").click().run()
    assert dashboard.jobs[0].cancelled and "was stopped" in texts(app.run())
    app.button(key="sample.bars.clean")


def test_the_verdict_so_far_is_shown_and_stays_when_the_work_is_stopped(dashboard: Worker) -> None:
    from app import state

    dashboard.seconds = 60.0
    dashboard.so_far = SoFar("backdoored", 0.9, ("saliency", "inversion"), ("windowed",), "<b>four</b>")
    app = page().run()
    app.button(key="sample.bars.patch").click().run()
    end = time.monotonic() + 20
    while not any(t.so_far for t in state.desk()._tickets.values()):
        assert time.monotonic() < end
        time.sleep(0.05)
    said = words.safe(dashboard.so_far.sentence())
    assert f"{said} This is not the verdict yet." in texts(app.run()) and "<b>" not in said
    app.button(key="ticket.cancel").click().run()
    shown = texts(app.run())
    assert "there is no verdict. What was computed is kept." in shown
    assert words.safe(dashboard.so_far.stopped()) in shown and "not the verdict yet" not in shown
    dashboard.fails, dashboard.seconds = "The work took longer than the 2 minutes it may take.", 0.0
    app.button(key="sample.bars.clean").click().run()
    shown = texts(settled(app, dashboard))
    assert "was not inspected to the end" in shown and "took longer" in shown
    assert words.safe(dashboard.so_far.stopped()) in shown


REFUSALS = [
    "The file is TorchScript, which can run code when it is opened; export the model to ONNX instead.",
    "The file is refused: its pickle would import os.system.\nWhere the model can be trusted to run, export it to ONNX",
    "The file has 3.0 GiB; the limit is 2 GiB.",
    "Several packs fit this model (10 classes): choose a or b with --pack.",
    "At best 12% of the pack's labelled images are classified correctly; declare it with --set normalisation=NAME.",
    "The file needs more memory than the 8.0 GB it may use, so it was ended; allow more.",
    "<script>alert(1)</script> cannot be read.",
]


@pytest.mark.parametrize("sentence", REFUSALS)
def test_a_refusal_is_a_sentence_and_the_session_goes_on(dashboard: Worker, sentence: str) -> None:
    dashboard.fails = sentence
    app = page().run()
    app.button(key="sample.bars.patch").click().run()
    app = settled(app, dashboard)
    said = texts(app)
    assert not app.exception and "was not inspected" in said
    assert "--pack" not in said.replace("\\", "") and "--set" not in said.replace("\\", "")
    # A backslash before it makes the sign a letter.
    assert "<script" not in said.replace("\\<", "") and "Traceback" not in said
    dashboard.fails = None
    app.button(key="sample.bars.clean").click().run()
    assert finished(settled(app, dashboard))


@pytest.mark.parametrize("name", ["inspect", "compare"])
def test_the_boxes_of_a_refusal_hold_commands_and_no_prose(dashboard: Worker, name: str) -> None:
    dashboard.fails = f"The file is TorchScript, which can run code. {ways_out()}"
    app = page(name).run()
    if name == "inspect":
        app.button(key="sample.bars.patch").click().run()
    else:
        app.selectbox(key="compare.left").set_value("sample:bars:patch").run()
    app = settled(app, dashboard)
    assert [c.value for c in app.code] == [export_to_onnx(), save_state_dict()]
    for code in app.code:
        ast.parse(code.value)
    prose = "\n".join(m.value for m in app.markdown)
    assert "was not inspected" in prose and "export it to ONNX, with the channels C" in prose
    assert "torch" not in prose and "Or, for a network of a registered architecture" in prose


def test_a_refusal_without_a_command_gets_one_with_the_files_name(dashboard: Worker) -> None:
    dashboard.fails, dashboard.fault = "The file is damaged.", "ModelFileError"
    app = page().run()
    app.button(key="sample.bars.patch").click().run()
    app = settled(app, dashboard)
    (box,) = app.code
    assert box.value.startswith("python -m ti_core inspect ") and box.value.endswith(" --file-only")
    assert "The file is damaged" in texts(app)


@pytest.mark.parametrize(
    ("name", "says"),
    [("0" * 32, "may have been started anew since then"), ("unknown", "The address names no inspection")],
)
def test_an_inspection_that_the_server_does_not_know_is_a_sentence(
    dashboard: Worker, name: str, says: str
) -> None:
    app = page()
    app.query_params["ticket"] = name
    app.run()
    assert not app.exception and says in texts(app).replace("\\", "")
    assert "ticket" not in app.query_params
    app.button(key="sample.bars.clean").click().run()
    assert app.query_params["ticket"]
    app = settled(app, dashboard)
    assert finished(app) and "ticket" not in app.query_params and app.query_params["case"]


def test_a_reloaded_page_finds_its_inspection(dashboard: Worker) -> None:
    from app import state

    dashboard.seconds = 60.0
    app = page().run()
    app.button(key="sample.bars.patch").click().run()
    again = page()
    (again.query_params["ticket"],) = state.desk()._tickets
    again.run()
    assert not again.exception and "bars\\-patch" in texts(again)
    again.button(key="ticket.cancel").click().run()
    assert dashboard.jobs[0].cancelled and len(dashboard.jobs) == 1


@pytest.mark.parametrize("sample", [True, False])
def test_a_full_disk_is_a_sentence(dashboard: Worker, sample: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    from app import ask
    from app.store.sources import ModelShelf

    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(ask, "_cache", full)
    monkeypatch.setattr(ModelShelf, "put", full)
    app = page().run()
    if sample:
        app.button(key="sample.bars.clean").click().run()
    else:
        app.get("file_uploader")[0].set_value([("m.pt", b"x", "application/octet-stream")]).run()
        app.button(key="inspect").click().run()
    assert not app.exception and "the disk is full; free some space and try again." in texts(app)
    assert not dashboard.requests


@pytest.mark.parametrize(
    ("files", "words"),
    [
        ([("a.pt", b"x"), ("b.pt", b"y")], "one model at a time"),
        ([("m.pt", b"x" * 2000)], "more than the"),
    ],
)
def test_an_upload_that_is_no_model_is_refused(
    dashboard: Worker, files: list[tuple[str, bytes]], words: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("app.store.sources.most_bytes", lambda: 1000)
    app = page().run()
    app.get("file_uploader")[0].set_value([(n, d, "application/octet-stream") for n, d in files]).run()
    app.button(key="inspect").click().run()
    assert not app.exception and words in texts(app).replace("\\", "") and not dashboard.requests


@pytest.mark.parametrize("whole", [True, False])
def test_a_file_that_the_disk_did_not_take_is_said_as_soon_as_it_is_chosen(
    dashboard: Worker, whole: bool, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    arrivals = Arrivals(home / "arriving")
    word = arrivals.keep(Arrived(None, 0, OSError(errno.ENOSPC, "No space left on device")))
    monkeypatch.setattr("app.store.arrivals.arrivals", lambda: arrivals)
    app = page().run()
    files = [("m.onnx", word)] if whole else [("m.onnx", b"graph"), ("m.onnx.data", word)]
    app.get("file_uploader")[0].set_value([(n, d, "application/octet-stream") for n, d in files]).run()
    assert not app.exception
    assert "The file cannot be kept: the disk is full; free some space and try again." in texts(app)
    assert app.button(key="inspect").disabled and not dashboard.requests
    app.get("file_uploader")[0].set_value([("m.pt", b"weights", "application/octet-stream")]).run()
    assert "cannot be kept" not in texts(app) and not app.button(key="inspect").disabled


def test_an_uploaded_model_is_inspected_under_its_own_name(dashboard: Worker) -> None:
    app = page().run()
    app.get("file_uploader")[0].set_value([("my-patch.pt", b"weights", "application/octet-stream")]).run()
    app.button(key="inspect").click().run()
    settled(app, dashboard)
    request = dashboard.requests[0]
    assert Path(request["model"]).name == "my-patch.pt" and request.get("pack") is None
    assert request["settings"] == {}, "those of the pack that the model will choose"
    assert Path(request["model"]).read_bytes() == b"weights"
    assert request["cache"].endswith(Path(request["cache"]).name) and len(Path(request["cache"]).name) == 64


LOOK = FirstLook(
    format="torch state dict",
    architecture="lenet5",
    sketch="",
    parameters=44_426,
    classes=3,
    input_shape=[1, 12, 12],
    doubt="",
    fitting=["bars"],
    pack="bars",
    why="It is compared with the reference pack bars: the one for 1 channel and 3 classes.",
    seconds={"quick": 8.0, "standard": 200.0, "thorough": 3000.0},
)


def test_a_file_that_waits_is_looked_at_before_anything_is_pressed(dashboard: Worker) -> None:
    dashboard.look_finds = LOOK
    app = page().run()
    assert app.button(key="inspect").disabled and app.button(key="quick").disabled
    files = app.get("file_uploader")[0]
    files.set_value([("my-patch.pt", b"weights", "application/octet-stream")]).run()
    until(lambda: dashboard.looked_at)
    said = until(lambda: "lenet5" in texts(app.run()) and texts(app))
    for part in (
        "44,426",
        "1 × 12 × 12",
        "about 8 s",
        "about 3 min",
        "about 50 min",
        "1 channel and 3 classes",
    ):
        assert part in said, part
    assert len(dashboard.looked_at) == 1, "once for a file"
    asked = dashboard.looked_at[0]
    assert Path(asked["model"]).read_bytes() == b"weights" and "cache" not in asked
    assert not dashboard.requests
    app.button(key="inspect").click().run()
    settled(app, dashboard)
    assert Path(dashboard.requests[0]["model"]).name == "my-patch.pt"


def test_a_file_that_is_no_model_is_said_so_while_it_waits(dashboard: Worker) -> None:
    dashboard.look_finds = ModelFileError("The file is damaged; hand in *another* one.")
    app = page().run()
    app.get("file_uploader")[0].set_value([("a.pt", b"w", "application/octet-stream")]).run()
    said = until(lambda: "damaged" in texts(app.run()) and texts(app))
    assert "\\*another\\*" in said, "untrusted text is shown literally"


def test_the_files_of_a_model_folder_are_inspected_as_one_model(dashboard: Worker) -> None:
    app = page().run()
    files = [("model.safetensors", b"w"), ("config.json", b"{}"), ("preprocessor_config.json", b"{}")]
    app.get("file_uploader")[0].set_value([(n, d, "application/octet-stream") for n, d in files]).run()
    app.button(key="inspect").click().run()
    settled(app, dashboard)
    request = dashboard.requests[0]
    assert sorted(p.name for p in Path(request["model"]).iterdir()) == sorted(name for name, _ in files)
    assert not request["companions"]


def test_an_inspection_that_would_take_too_long_says_which_control_allows_more(dashboard: Worker) -> None:
    dashboard.fails = (
        "The inspection would take about 3.0 hours on this machine, longer than the 2.0 hours it may take; it was not"
        " begun. Allow more time with --minutes."
    )
    dashboard.fault = "TooLongError"
    app = page().run()
    app.button(key="sample.bars.clean").click().run()
    app = settled(app, dashboard)
    said = texts(app).replace("\\", "")
    assert "about 3.0 hours" in said and "Allow more time under Settings" in said and "--minutes" not in said
    dashboard.fails, dashboard.fault = None, ""
    app.session_state[PANEL] = True
    app.run().number_input(key="minutes").set_value(240).run()
    app.button(key="sample.bars.clean").click().run()
    assert finished(settled(app, dashboard))
    assert [request["seconds"] for request in dashboard.requests] == [7200.0, 14400.0]


def test_the_papers_settings_reach_the_worker(dashboard: Worker) -> None:
    app = page().run()
    app.button(key="paper").click().run()
    app.button(key="sample.bars.clean").click().run()
    settled(app, dashboard)
    sent = dashboard.requests[0]["settings"]
    assert sent["streams"] == ["saliency"] and sent["histogram_form"] == "per_image"
    assert sent["quantiles"] == [0.97, 0.99]


def test_a_quick_look_takes_the_streams_that_tell_most(dashboard: Worker) -> None:
    app = page().run()
    app.get("file_uploader")[0].set_value([("a-clean.pt", b"w", "application/octet-stream")]).run()
    app.button(key="quick").click().run()
    settled(app, dashboard)
    assert dashboard.requests[0]["settings"]["streams"] == ["saliency", "inversion", "assignment", "graph"]


def test_a_thorough_inspection_looks_for_every_kind(dashboard: Worker) -> None:
    app = page().run()
    app.get("file_uploader")[0].set_value([("a-clean.pt", b"w", "application/octet-stream")]).run()
    app.button(key="thorough").click().run()
    settled(app, dashboard)
    assert {"pairs", "warp", "stripes", "assignment"} < set(dashboard.requests[0]["settings"]["streams"])


def test_settings_are_for_one_inspection_and_come_back_when_they_are_asked_for(
    dashboard: Worker, tiny_settings: Settings
) -> None:
    app = page().run()
    assert "The next inspection" not in texts(app) and "as_before" not in {b.key for b in app.button}
    places = len(app.main.children)
    app.button(key="paper").click().run()
    assert len(app.main.children) == places, "the settings below stay unfolded"
    said = texts(app)
    assert "next inspection is made with settings other than the pack" in said
    assert "“Evidence streams” saliency instead of saliency, universal, windowed, narrowed, inversion" in said
    app.button(key="sample.bars.clean").click().run()
    app = settled(app, dashboard)
    app.button(key="another").click().run()
    assert "The next inspection" not in texts(app)
    app.button(key="sample.bars.clean").click().run()
    app = settled(app, dashboard)
    sent = [Settings.parse(request["settings"]) for request in dashboard.requests]
    assert sent == [tiny_settings.with_(**Settings.PAPER), tiny_settings]
    app.session_state[PANEL] = True
    app.button(key="another").click().run()
    app.button(key="as_before").click().run()
    assert "next inspection is made with settings other than the pack" in texts(app)
    app.button(key="sample.bars.clean").click().run()
    settled(app, dashboard)
    assert Settings.parse(dashboard.requests[2]["settings"]) == sent[0]


def test_a_chosen_pack_is_for_one_inspection_too(dashboard: Worker) -> None:
    app = page().run()
    app.selectbox(key="pack").set_value("bars").run()
    app.button(key="sample.bars.clean").click().run()
    app = settled(app, dashboard)
    app.button(key="another").click().run()
    assert app.session_state["pack"] == "" and app.session_state["settings.images"] == Settings().images


def test_the_comparison_says_which_settings_it_will_use(dashboard: Worker) -> None:
    app = page("compare").run()
    assert "The next inspection" not in texts(app)
    app.session_state[controls.key("settings", "bins")] = 5
    assert "“Bins” 5 instead of 16" in texts(app.run())


def test_a_verdict_with_other_settings_says_so_before_its_figure(
    dashboard: Worker, home: Path, tiny_cases: dict[str, Case]
) -> None:
    report = tiny_cases["clean"].report
    rates = report.pack["detects"]
    turned = report.pack | {"changed_settings": {"histogram_form": "pooled"}, "all_streams": rates}
    name = CaseStore(home).keep(replace(tiny_cases["clean"], report=replace(report, pack=turned)))
    app = opened(name)
    (said,) = app.warning
    assert "“Histogram form” both instead of pooled values" in said.value
    assert "saliency alone" in said.value and "with all streams" in said.value
    order = [
        e.value if e.type == "warning" else "verdict"
        for e in app.main
        if e.type == "warning" or (e.type == "html" and "ti-verdict" in e.proto.body)
    ]
    assert order[:2] == [said.value, "verdict"]
    assert sum("saliency alone" in line for line in texts(app).splitlines()) == 1, (
        "not among the reasons again"
    )


def test_every_setting_has_a_control_with_its_help(dashboard: Worker) -> None:
    app = page().run()
    shown = {
        e.key
        for kind in ("slider", "number_input", "selectbox", "multiselect", "button_group", "text_input")
        for e in app.get(kind)
    }
    assert {controls.key("settings", name) for name in controls.schema()} <= shown
    assert all(controls.schema()[n].metadata["says"] for n in controls.schema())


def test_settings_are_sent_once_they_are_unfolded_and_stay_turned_when_folded(
    dashboard: Worker, tiny_settings: Settings
) -> None:
    app = page()
    app.session_state[PANEL] = False
    app.run()
    assert not app.slider and not app.number_input, "on a slow line their code would be in the way"
    app.session_state[PANEL] = True
    app.run().slider(key="settings.images").set_value(9).run()
    app.number_input(key="minutes").set_value(7).run()
    app.session_state[PANEL] = False
    app.run()
    assert not app.slider and "other than the pack's own" in texts(app)
    app.button(key="sample.bars.clean").click().run()
    settled(app, dashboard)
    (request,) = dashboard.requests
    assert (
        Settings.parse(request["settings"]) == tiny_settings.with_(images=9) and request["seconds"] == 420.0
    )


def test_settings_that_make_the_reference_models_run_say_how_long(
    dashboard: Worker, tiny_settings: Settings
) -> None:
    app = page().run()
    assert "looked at again" not in texts(app)
    app.slider(key="settings.patch_size").set_value(5).run()
    assert "reference models of bars are looked at again" in texts(app)
    app.slider(key="settings.patch_size").set_value(tiny_settings.patch_size).run()
    assert "looked at again" not in texts(app)


def test_the_controls_follow_the_pack_but_for_what_was_turned(
    dashboard: Worker, tiny_settings: Settings
) -> None:
    app = page().run()
    app.slider(key="settings.patch_size").set_value(6).run()
    app.selectbox(key="pack").set_value("bars").run()
    assert (
        app.session_state["settings.images"] == tiny_settings.images
        and app.session_state["settings.patch_size"] == 6
    )
    assert app.session_state["settings.quantiles"] == list(tiny_settings.quantiles)
    app.selectbox(key="pack").set_value("").run()
    assert (
        app.session_state["settings.images"] == Settings().images
        and app.session_state["settings.patch_size"] == 6
    )
    app.selectbox(key="pack").set_value("bars").run()
    app.button(key="defaults").click().run()
    assert app.session_state["settings.patch_size"] == tiny_settings.patch_size
    app.slider(key="settings.images").set_value(9).run()
    app.button(key="sample.bars.clean").click().run()
    settled(app, dashboard)
    sent = Settings.parse(dashboard.requests[0]["settings"])
    assert sent == tiny_settings.with_(images=9)


def test_nothing_chosen_where_something_must_be_is_a_sentence(dashboard: Worker) -> None:
    app = page().run()
    for name, title in (("streams", "Evidence streams"), ("trigger_kinds", "Random triggers")):
        app.session_state[controls.key("settings", name)] = []
        said = texts(app.run()).replace("\\", "")
        assert (
            f"The setting “{title}” is empty: at least one value is needed." in said
            and f"Setting {name}" not in said
        )
        app.button(key="sample.bars.clean").click().run()
        assert (
            f"The setting “{title}” is empty" in texts(app) and not app.exception and not dashboard.requests
        )
        app.button(key="defaults").click().run()


@pytest.fixture
def kept(dashboard: Worker, home: Path, tiny_cases: dict[str, Case]) -> dict[str, str]:
    store = CaseStore(home)
    return {k: store.keep(tiny_cases[k]) for k in ("clean", "blend", "patch")}


def opened(name: str, sections: str = "all") -> AppTest:
    """The page of a case with these sections open."""
    app = page()
    app.query_params["case"] = name
    if sections:
        app.query_params["open"] = sections
    return app.run()


def test_a_case_opens_by_its_address_without_computing(dashboard: Worker, kept: dict[str, str]) -> None:
    app = opened(kept["patch"])
    assert not app.exception and finished(app) and not dashboard.requests


@pytest.mark.parametrize("name", ["../../etc/passwd", "20200101-000000-aaaaaaaaaaaa-bbbbbbbb", "<script>"])
def test_an_address_of_no_case_is_a_sentence(dashboard: Worker, name: str) -> None:
    app = opened(name)
    assert not app.exception and "Is there a backdoor" in texts(app)
    (said,) = app.warning
    assert "no case" in said.value or "no such case" in said.value
    assert not app.query_params and not app.run().warning


def test_going_back_leaves_the_verdict_and_forward_returns_to_it(
    dashboard: Worker, kept: dict[str, str]
) -> None:
    app = page().run()
    app.button(key="sample.bars.clean").click().run()
    app = settled(app, dashboard)
    case, ticket = app.query_params["case"], app.session_state["ticket"]
    assert list(app.query_params) == ["case"]
    # The address before the case named the inspection. It is over, so that its page is the one to begin from.
    for before in ({"ticket": ticket}, {}):
        app.query_params.clear()
        app.query_params.update(before)
        app.run()
        assert "Is there a backdoor" in texts(app) and not app.query_params and not app.warning
    app.query_params["case"] = case
    assert finished(app.run())
    app.query_params["case"] = kept["patch"]
    assert "bars\\-patch" in texts(app.run())


def test_an_address_names_an_inspection_or_a_case_and_never_both(
    dashboard: Worker, kept: dict[str, str]
) -> None:
    from app import state

    dashboard.seconds = 60.0
    app = page().run()
    app.button(key="sample.bars.patch").click().run()
    (name,) = state.desk()._tickets
    again = page()
    again.query_params["ticket"], again.query_params["case"] = name, kept["clean"]
    again.run()
    assert dict(again.query_params) == {"ticket": name} and "bars\\-patch" in texts(again)
    again.button(key="ticket.cancel").click().run()
    again = page()
    again.query_params["ticket"], again.query_params["case"] = name, kept["clean"]
    again.run()
    assert dict(again.query_params) == {"case": kept["clean"]} and "bars\\-clean" in texts(again)


def test_a_case_is_still_there_after_a_visit_to_another_page(dashboard: Worker, kept: dict[str, str]) -> None:
    def script(name: str) -> None:
        import streamlit as st

        from app import address
        from app.views import inspect

        st.query_params.pop("case", None)
        if st.session_state.get("elsewhere", name) == "elsewhere":
            address.leave()
        else:
            inspect.page()

    app = AppTest.from_function(script, args=("inspect",), default_timeout=60)
    app.session_state["case"] = kept["clean"]
    assert finished(app.run())
    app.session_state["elsewhere"] = "elsewhere"
    app.run()
    app.session_state["elsewhere"] = "inspect"
    assert finished(app.run()) and dict(app.query_params) == {"case": kept["clean"]}


def test_turning_quantiles_redraws_within_half_a_second_and_runs_no_model(
    dashboard: Worker, kept: dict[str, str]
) -> None:
    app = opened(kept["patch"])
    before = len(app.get("plotly_chart"))
    start = time.perf_counter()
    app.multiselect(key=f"{kept['patch']}.profile.quantiles").set_value([0.75, 0.95]).run()
    spent = time.perf_counter() - start
    said = texts(app)
    assert not app.exception and "other settings than the verdict above" in said
    assert len(app.get("plotly_chart")) == before and not dashboard.requests
    # The rest is the harness; on an idle machine it takes a tenth of that.
    assert spent < 5.0
    app.button(key=f"{kept['patch']}.again").click().run()
    until(lambda: "no longer here" in texts(app) or bool(dashboard.requests))


def test_pictures_of_the_gallery_follow_the_slider_and_the_switch(
    dashboard: Worker, kept: dict[str, str]
) -> None:
    name = kept["patch"]
    app = opened(name)
    first = next(e.proto.body for e in app.get("html") if "ti-grid" in e.proto.body)
    app.slider(key=f"{name}.image").set_value(3).run()
    second = next(e.proto.body for e in app.get("html") if "ti-grid" in e.proto.body)
    app.toggle(key=f"{name}.overlay").set_value(True).run()
    third = next(e.proto.body for e in app.get("html") if "ti-grid" in e.proto.body)
    assert len({first, second, third}) == 3 and not app.exception


def test_another_method_is_asked_for_and_one_without_a_rule_says_why(
    dashboard: Worker, kept: dict[str, str]
) -> None:
    name = kept["patch"]
    app = opened(name)
    assert (
        app.button(key=f"{name}.method.cam").disabled and app.button(key=f"{name}.method.saliency").disabled
    )
    assert "does not follow the average of a feature map" in texts(app).replace("\\", "")
    app.button(key=f"{name}.method.lrp").click().run()
    until(lambda: "no longer here" in texts(app) or bool(dashboard.requests))
    assert not dashboard.requests or dashboard.requests[-1]["settings"]["attribution"] == "lrp"


def test_a_section_is_drawn_when_it_is_opened_and_the_address_says_which_are_open(
    dashboard: Worker, kept: dict[str, str]
) -> None:
    app = opened(kept["patch"], "")
    few = len(app.get("plotly_chart"))
    assert "ti-grid" in texts(app) and "Which random triggers" not in texts(app)
    app.button(key="show-why").click().run()
    assert app.query_params["open"] == ",".join([*section_map.AT_FIRST, "why"])
    assert len(app.get("plotly_chart")) == few + 2
    app.button(key="hide-saliency").click().run()
    assert "ti-grid" not in texts(app)
    shared = page()
    shared.query_params.update(dict(app.query_params))
    shared.run()
    assert len(shared.get("plotly_chart")) == few + 2 and "ti-grid" not in texts(shared)
    # The address before names no section: those of the beginning are open again.
    del shared.query_params["open"]
    assert len(shared.run().get("plotly_chart")) == few and "ti-grid" in texts(shared)
    shared.button(key="sections.all").click().run()
    assert shared.query_params["open"] == "all" and not [
        b for b in shared.button if b.label.startswith("Show")
    ]
    shared.button(key="hide-why").click().run()
    assert "why" not in shared.query_params["open"] and "saliency" in shared.query_params["open"]
    shared.button(key="show-why").click().run()
    shared.button(key="sections.all").click().run()
    assert shared.query_params["open"] == "none" and not shared.get("plotly_chart")[1:]
    shared.query_params["case"] = kept["clean"]
    del shared.query_params["open"]
    assert not shared.run().get("plotly_chart")[1:], "the next case has the same sections open"
    assert shared.query_params["open"] == "none"


@pytest.mark.parametrize(
    "asked", ["<script>", "why,../..,why", "x" * 5000, ",".join("abcdefghijklmnopqrstuvwxyz")]
)
def test_an_address_of_no_section_opens_nothing_else(
    dashboard: Worker, kept: dict[str, str], asked: str
) -> None:
    app = opened(kept["patch"], asked)
    assert not app.exception and "ti-grid" not in texts(app)
    assert re.fullmatch("[a-z,-]{1,60}", app.query_params["open"])


def test_no_figure_on_the_page_is_too_large(dashboard: Worker, kept: dict[str, str]) -> None:
    import json

    app = opened(kept["patch"])
    for chart in app.get("plotly_chart"):
        spec = json.loads(chart.proto.spec)
        assert len(chart.proto.spec) < 400_000 and spec["data"]
        assert chart.proto.alt, "every chart says what it shows"


def test_cases_are_listed_searched_and_deleted(dashboard: Worker, kept: dict[str, str]) -> None:
    app = page("cases").run()
    assert not app.exception and len(app.dataframe[0].value) == 3
    app.text_input(key="cases.search").set_value("bars-blend").run()
    assert len(app.dataframe[0].value) == 1
    app.text_input(key="cases.search").set_value("zebra").run()
    assert "No case matches" in texts(app)


def test_removing_a_case_removes_its_model(dashboard: Worker, home: Path, kept: dict[str, str]) -> None:
    from app import state
    from app.views import cases

    entry = next(e for e in state.store().entries() if e.id == kept["patch"])
    cases.remove(entry)
    assert kept["patch"] not in {e.id for e in state.store().entries()}


def test_without_cases_the_page_says_where_to_begin(
    dashboard: Worker, monkeypatch: pytest.MonkeyPatch
) -> None:
    told = texts(page("cases").run())
    assert "No case yet" in told and "gone when it stops" not in told
    monkeypatch.delenv("TROJANINTERPRET_HOME")
    monkeypatch.setenv("HOME", "/dev/null/home")
    monkeypatch.delenv("XDG_DATA_HOME", raising=False)
    assert "gone when it stops" in texts(page("cases").run())


def test_two_cases_are_compared_in_words_and_pictures(dashboard: Worker, kept: dict[str, str]) -> None:
    app = page("compare").run()
    assert "Choose a model on each side" in texts(app)
    app.selectbox(key="compare.left").set_value(f"case:{kept['clean']}").run()
    app.selectbox(key="compare.right").set_value(f"case:{kept['patch']}").run()
    said = texts(app)
    assert not app.exception, app.exception
    assert "What differs" in said and said.count('class="ti-grid"') == 2 and not dashboard.requests


def test_several_cases_are_compared_and_the_address_brings_them_back(
    dashboard: Worker,
    kept: dict[str, str],
    tiny_cases: dict[str, Case],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    app = page("compare").run()
    app.selectbox(key="compare.left").set_value(f"case:{kept['clean']}").run()
    assert app.query_params["cases"] == kept["clean"] and "At a glance" not in texts(app)
    app.selectbox(key="compare.right").set_value(f"case:{kept['patch']}").run()
    app.button(key="compare.more").click().run()
    assert "Choose a model in each place" in texts(app) and "At a glance" not in texts(app)
    app.selectbox(key="compare.third").set_value(f"case:{kept['blend']}").run()
    order = [kept["clean"], kept["patch"], kept["blend"]]
    assert not app.exception and app.query_params["cases"] == ",".join(order)
    shared = page("compare")
    shared.query_params["cases"] = ",".join(order)
    shared.run()
    assert not shared.exception
    for one in (app, shared):
        said = texts(one)
        assert said.count('class="ti-grid"') == 3 and said.count("beside") >= 2
        rows = {row["What"]: row for row in one.table[0].value.to_dict("records")}
        reports = [tiny_cases[kind].report for kind in ("clean", "patch", "blend")]
        assert list(rows["Verdict"].values())[1:] == [report.verdict for report in reports]
        assert list(rows["SHA-256 of the file"].values())[1:] == [r.model["sha256"][:16] for r in reports]
        assert "Setting Seed" not in rows and "Compared with" not in rows, "they are the same in all"
    # A request that was under way when the address changed takes nothing back.
    monkeypatch.setattr(address, "LATE", 1e6)
    app.query_params["cases"] = ",".join(order[:2])
    assert texts(app.run()).count('class="ti-grid"') == 3
    monkeypatch.setattr(address, "LATE", 0.0)
    app.query_params["cases"] = ",".join(order)
    app.run()
    # Back: the address before names two of them. Then one that names none, where the comparison begins.
    shared.query_params["cases"] = ",".join(order[:2])
    assert texts(shared.run()).count('class="ti-grid"') == 2
    shared.query_params.clear()
    assert "Choose a model on each side" in texts(shared.run()) and not shared.query_params
    app.button(key="compare.less").click().run()
    assert app.query_params["cases"] == ",".join(order[:2])


def test_cases_that_say_the_same_are_said_to_and_settings_that_differ_are_named(
    tiny_cases: dict[str, Case],
) -> None:
    case = tiny_cases["patch"]
    (row,) = comparison.glance([case, case])
    assert row["What"] == "Everything in the reports" and set(row.values()) - {row["What"]} == {"the same"}
    turned = replace(case, report=replace(case.report, settings=case.report.settings | {"seed": 7}))
    rows = comparison.glance([case, turned, case])
    (row,) = rows
    assert row["What"] == "Setting Seed" and list(row.values())[1:] == ["0", "7", "0"]
    assert "different probe images" in comparison.unlike([case, turned]) and not comparison.unlike(
        [case, case]
    )


@pytest.mark.parametrize("named", ["../../etc", "20200101-000000-aaaaaaaaaaaa-bbbbbbbb,<b>", "," * 500])
def test_a_comparisons_address_of_no_case_is_left_aside(dashboard: Worker, named: str) -> None:
    app = page("compare")
    app.query_params["cases"] = named
    app.run()
    assert not app.exception and "Choose a model on each side" in texts(app) and not app.query_params


def test_the_weights_of_two_versions_are_compared_where_both_files_are_kept(
    dashboard: Worker, kept: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def direct(old: str, new: str, *digests: str) -> Changes:
        assert digests[0] != digests[1]
        return changes(load_model(old), load_model(new))

    monkeypatch.setattr(weight_changes, "_changes", direct)
    app = page("compare").run()
    app.selectbox(key="compare.left").set_value(f"case:{kept['clean']}").run()
    app.selectbox(key="compare.right").set_value(f"case:{kept['patch']}").run()
    app.button(key="compare.weights").click().run()
    assert not app.exception and "tensors differ" in texts(app) and app.get("plotly_chart")


def test_a_sample_is_inspected_for_the_comparison(dashboard: Worker, kept: dict[str, str]) -> None:
    app = page("compare").run()
    app.selectbox(key="compare.left").set_value(f"case:{kept['clean']}").run()
    app.selectbox(key="compare.right").set_value("sample:bars:blend").run()
    app = settled(app, dashboard)
    assert not app.exception and len(dashboard.requests) == 1 and "What differs" in texts(app)


def test_two_sessions_do_not_disturb_each_other(dashboard: Worker) -> None:
    one, two = page().run(), page().run()
    one.button(key="sample.bars.patch").click().run()
    two.button(key="sample.bars.clean").click().run()
    one, two = settled(one, dashboard), settled(two, dashboard)
    assert "bars\\-patch" in texts(one) and "bars\\-clean" not in texts(one)
    assert "bars\\-clean" in texts(two) and "bars\\-patch" not in texts(two)


def test_downloads_are_what_they_say(
    dashboard: Worker, kept: dict[str, str], tiny_cases: dict[str, Case]
) -> None:
    import io
    import json
    import zipfile

    from app import state
    from app.sections import download

    case = state.case(kept["patch"])
    assert json.loads(case.report.as_json())["verdict"] == tiny_cases["patch"].report.verdict
    assert case.report.model["sha256"] in download.page(case, kept["patch"])
    assert zipfile.ZipFile(io.BytesIO(download.figures(case, kept["patch"]))).testzip() is None
    assert download.stem(case).startswith("bars-patch.safetensors-")


def test_pandas_is_whole_before_any_page_is_drawn(home: Path) -> None:
    """Plotly looks into ``sys.modules`` for it: half imported by another thread, it once broke the first page."""
    script = "import sys, app.main; assert not sys.modules['pandas'].__spec__._initializing"
    subprocess.run([sys.executable, "-c", script], cwd=ROOT, check=True, timeout=120)
    order = (ROOT / "app" / "main.py").read_text()
    assert (
        order.index("import pandas") < order.index("import streamlit") and order.count("import pandas") == 1
    )


def test_the_map_of_a_verdict_leads_to_every_section_and_to_nothing_else(
    dashboard: Worker, tiny_cases: dict[str, Case]
) -> None:
    app = page().run()
    app.button(key="sample.bars.patch").click().run()
    app = settled(app, dashboard)
    (shown,) = [e.proto.body for e in app.get("html") if "ti-map" in e.proto.body]
    links = re.findall(r'href="#([a-z-]+)">([^<]+)</a>', shown)
    headings = {h.anchor or section_map.anchor(h.value): h.value for h in app.header}
    assert [anchor for anchor, _ in links] == list(headings)
    assert links[0] == ("verdict", "Verdict") and headings["verdict"].endswith(".safetensors")
    assert all(headings[anchor] == title for anchor, title in links[1:])
