"""The demonstration: eight steps, the first three at once, the others once the sample is inspected."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from streamlit.testing.v1 import AppTest

from app import lab
from app.store.cases import CaseStore
from app.story import second
from app.story.steps import STEPS, says_second_opinions
from app.story.told import Told
from tests.app.conftest import Worker
from tests.app.test_lab import bench, pack_folder
from tests.app.test_pages import texts
from ti_core.errors import SettingsError
from ti_core.loading.digest import sha256_of
from ti_core.methods.opinion import Opinion
from ti_core.reference.pack import Pack
from ti_core.results.case import Case
from ti_core.settings import Settings

__all__ = ["bench", "pack_folder"]


def page() -> AppTest:
    def script() -> None:
        from app.views import demonstration

        demonstration.page()

    return AppTest.from_function(script, default_timeout=120)


def kept(home: Path, bench: Path, case: Case, changed: bool = False) -> str:
    """Keep a case of the backdoored sample."""
    model = {**case.report.model, "sha256": sha256_of(bench / "bars-patch.safetensors")}
    pack = {**case.report.pack, "changed_settings": {"bins": 16}} if changed else case.report.pack
    return CaseStore(home).keep(replace(case, report=replace(case.report, model=model, pack=pack)))


def test_every_step_is_told_and_one_press_apart(
    dashboard: Worker, bench: Path, home: Path, tiny_cases: dict[str, Case]
) -> None:
    kept(home, bench, tiny_cases["patch"])
    app = page().run()
    assert app.button(key="story.back").disabled
    for number, step in enumerate(STEPS):
        assert not app.exception, app.exception
        assert [t.value for t in app.title] == [step.title] and f"{number + 1} of {len(STEPS)}" in texts(app)
        assert not app.warning and not app.info
        if number + 1 < len(STEPS):
            app.button(key="story.next").click().run()
    assert app.button(key="story.next").disabled and len(app.get("download_button")) == 3
    assert not dashboard.requests, "a case of the sample was there"
    app.button(key="story.back").click().run()
    assert [t.value for t in app.title] == [STEPS[-2].title]


def test_the_attack_is_shown_while_the_sample_is_inspected_once(
    dashboard: Worker, bench: Path, home: Path, tiny_cases: dict[str, Case], tiny_pack: Pack
) -> None:
    kept(home, bench, tiny_cases["patch"], changed=True)
    dashboard.seconds = 60.0
    app = page().run()
    for step in STEPS:
        assert not app.exception and [t.value for t in app.title] == [step.title]
        assert ("is not done yet" in texts(app)) == step.needs_case
        if not app.button(key="story.next").disabled:
            app.button(key="story.next").click().run()
    assert [Path(r["model"]).name for r in dashboard.requests] == ["bars-patch.safetensors"]
    # The case that this inspection keeps has to be one at the pack's own settings, or the story never finds it.
    assert Settings.parse(dashboard.requests[0]["settings"]) == tiny_pack.settings_with({})


def test_an_inspection_that_failed_is_said_so_and_can_be_asked_for_again(
    dashboard: Worker, bench: Path
) -> None:
    dashboard.fails = "The disk of this machine is full."
    app = page().run()
    app.session_state["story.step"] = 4
    while not app.warning:
        app.run()
    assert "disk of this machine is full" in app.warning[0].value
    app.button(key="story.again").click().run()
    assert not app.exception


def test_what_is_said_of_the_models_is_what_they_do(dashboard: Worker, bench: Path) -> None:
    told = Told(lab.pair("bars", "patch"))
    pack, (bad, good) = told.pair.pack, told.pair.subjects
    labels = pack.labels.numpy()
    assert told.accuracy(bad) == pytest.approx(
        float((lab.of_all(bad, pack, None).argmax(1) == labels).mean())
    )
    flipped = lab.of_all(bad, pack, told.spec).argmax(1) == told.pair.target
    assert told.effect(bad).success == pytest.approx(float(flipped[labels != told.pair.target].mean()))
    assert told.effect(good).success < told.effect(bad).success
    shown = labels[told.images]
    assert told.pair.target not in shown
    assert len(set(shown[: len(pack.class_names) - 1])) == len(pack.class_names) - 1, (
        "every class comes first"
    )


def test_without_samples_the_page_says_so(dashboard: Worker, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lab, "samples", dict)
    app = page().run()
    assert not app.exception and "none are bundled" in app.info[0].value


def test_second_opinions_are_asked_once_and_counted_by_their_own_thresholds(
    dashboard: Worker, bench: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    told = Told(lab.pair("bars", "patch"))
    target = told.pair.target
    # The tiny pack has too few classes for Neural Cleanse.
    assert "1 methods" not in says_second_opinions(told)
    calls: list[object] = []

    def ask(subject: object, names: object) -> object:
        calls.append(names)
        if len(calls) == 1:
            raise SettingsError("A method failed.")
        return (
            Opinion("neural_cleanse", 1.9, 2.0, False, "The smallest mask is small.", target),
            Opinion("linear_weights", 0.6, 0.5, True, "The weights show it."),
        ), {}

    monkeypatch.setattr(second, "ask", ask)
    second._asked.clear()
    app = page()
    app.session_state["story.step"] = [s.title for s in STEPS].index("Second opinions")
    assert "A method failed" in app.run().warning[0].value
    for _ in range(2):
        shown = texts(app.run())
        assert not app.exception and not app.warning
        assert "At its own threshold, 1 of 2 called this network backdoored" in shown
        assert f"Neural Cleanse named {told.target}, the attacker's class" in shown
        assert "The smallest mask is small" in shown and "backdoored above 2" in shown
    assert len(calls) == 2, "asked again after the failure, and then kept"


def test_the_guide_names_every_step_and_quotes_what_never_changes() -> None:
    guide = Path("docs/demonstration.md").read_text(encoding="utf-8")
    rows = [line for line in guide.splitlines() if line.startswith("| **")]
    assert [row.split("**")[1] for row in rows[: len(STEPS)]] == [step.title for step in STEPS]
    fixed = [step for step in STEPS if step.says.__name__ == "<lambda>"]
    assert len(fixed) == 3 and all(step.says(None) in guide for step in fixed)  # type: ignore[arg-type]
