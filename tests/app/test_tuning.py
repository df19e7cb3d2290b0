"""Tuning a verdict on its own page, driven as Streamlit's own test harness drives a page."""

from __future__ import annotations

from dataclasses import replace

import pytest

from app.sections.verdicts.tuning import BEFORE, changes
from app.store.cases import CaseStore, home
from tests.app.conftest import Worker
from tests.app.test_pages import page, settled, texts
from ti_core.results.case import Case


@pytest.fixture
def opened(dashboard: Worker) -> str:
    """The id of a case that the page made of a sample, whose file is therefore still here."""
    app = page().run()
    app.button(key="sample.bars.patch").click().run()
    settled(app, dashboard)
    return CaseStore(home()).entries()[0].id


def test_settings_are_changed_on_the_verdict_page_and_the_model_is_inspected_again(
    dashboard: Worker, opened: str
) -> None:
    app = page()
    app.query_params["case"] = opened
    prefix = f"{opened}.tune"
    app.session_state[f"{prefix}.panel"] = True
    app.run()
    assert not app.exception and app.button(key=f"{prefix}.again").disabled
    assert "Change a setting to inspect" in texts(app)
    app.slider(key=f"{prefix}.bins").set_value(20).run()
    assert not app.button(key=f"{prefix}.again").disabled and "comes from the cache" in texts(app)
    asked = len(dashboard.requests)
    app.button(key=f"{prefix}.again").click().run()
    app = settled(app, dashboard)
    assert not app.exception, app.exception
    assert dashboard.requests[asked]["settings"]["bins"] == 20
    assert app.session_state[BEFORE] == opened and app.query_params["case"] != [opened]
    assert "Beside the verdict before" in texts(app)
    rows = app.table[0].value
    assert list(rows["Before"])[:2] == list(rows["Now"])[:2]


def test_the_packs_settings_are_one_click_away(dashboard: Worker, opened: str) -> None:
    app = page()
    app.query_params["case"] = opened
    prefix = f"{opened}.tune"
    app.session_state[f"{prefix}.panel"] = True
    app.run()
    app.slider(key=f"{prefix}.bins").set_value(20).run()
    app.button(key=f"{prefix}.usual").click().run()
    from app import state

    assert app.slider(key=f"{prefix}.bins").value == state.pack("bars").settings.bins and not app.exception


def test_what_changed_is_said(tiny_cases: dict[str, Case]) -> None:
    old, new = tiny_cases["clean"].report, tiny_cases["patch"].report
    turned = replace(
        new, settings={**new.settings, "bins": 20}, streams={"universal": {"score": 1.5, "clean_share": None}}
    )
    rows = {name: (was, now) for name, was, now in changes(old, turned)}
    assert rows["Verdict"] == ("clean", "backdoored")
    assert rows["Bins"] == (str(old.settings["bins"]), "20")
    one = old.streams["universal"]
    was = f"{one['score']:.3g}, reached by {one['clean_share']:.0%} of the clean models"
    assert rows["Stream universal"] == (was, "1.5")
    assert rows["Stream saliency"][1] == "none" and "Stream windowed" in rows
    same = changes(old, old)
    assert [name for name, _, _ in same] == [
        "Verdict",
        "Probability of a backdoor",
        "Reasons that only one has",
    ]
    assert same[-1][1:] == ("0", "0")
