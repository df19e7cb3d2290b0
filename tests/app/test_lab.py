"""The attack lab and the reference packs' page, driven as Streamlit's own test harness drives a page."""

from __future__ import annotations

import dataclasses
import json
import shutil
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import streamlit as st
from streamlit.testing.v1 import AppTest

from app import lab, state
from app.charts.curves import calibration_curve, roc_curves
from app.charts.lab import Entropies, answer_bars, entropy_chart, shares
from app.charts.packs import spread, table_forest
from app.charts.theme import DARK, LIGHT
from app.charts.verdict import MOST_POINTS, points
from app.jobs.pace import Pace
from app.sections import composer, run_time
from app.store.sources import Source
from app.views import attack_lab
from tests.worker import hostile
from ti_core.errors import PackError
from ti_core.evaluation.curves import Roc, calibration_bins, curves
from ti_core.evaluation.pack_summary import Group
from ti_core.evaluation.table import Row
from ti_core.methods.lab.effect import Flip
from ti_core.paper.triggers import TriggerSpec
from ti_core.reference import known
from ti_core.reference.pack import Pack, load_pack
from ti_core.settings import Settings
from ti_core.worker.tasks import TASKS, Task

TARGETS = {"blend": 1, "patch": 2}


def page(name: str) -> AppTest:
    """A page by itself."""

    def script(name: str) -> None:
        from app.views import attack_lab, packs

        {"lab": attack_lab, "packs": packs}[name].page()

    return AppTest.from_function(script, args=(name,), default_timeout=120)


def texts(app: AppTest) -> str:
    """Everything the page says in words, without the signs that make Markdown harmless."""
    kinds = ("title", "header", "subheader", "markdown", "caption", "info", "warning", "success", "error")
    found = [str(e.value) for kind in kinds for e in app.get(kind)]
    return "\n".join([*found, *(e.proto.body for e in app.get("html"))]).replace("\\", "")


@pytest.fixture
def pack_folder(tiny_pack: Pack, tmp_path: Path) -> Path:
    """A copy of the tiny pack that a test may break."""
    return Path(shutil.copytree(tiny_pack.folder, tmp_path / "packs" / "bars"))


@pytest.fixture
def bench(
    pack_folder: Path, tiny_pack: Pack, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Path]:
    """Samples of the tiny pack, each a trojaned member with its own trigger as its record; the folder they lie in."""
    from safetensors.torch import save_file

    folder = tmp_path / "samples"
    folder.mkdir()
    found = {}
    for label in ("clean", "blend", "patch"):
        member = max(
            (m for m in tiny_pack.members if m.label == label),
            key=lambda m: (m.attack_success or 0, m.clean_accuracy),
        )
        path = folder / f"bars-{label}.safetensors"
        save_file(tiny_pack.scores(member).network.state_dict(), path)
        record = {
            "label": label,
            "trigger": member.trigger,
            "target": member.target_class,
            "poisoning_rate": member.poisoning_rate or 0.0,
            "clean_accuracy": member.clean_accuracy,
            "attack_success": member.attack_success,
        }
        path.with_suffix(".json").write_text(json.dumps(record))
        found[label] = Source(path.name, path, pack="bars", kind=label)

    def pack(name: str) -> Pack:
        if name != "bars":
            raise PackError(f"There is no reference pack {name!r}.")
        return load_pack(pack_folder)

    st.cache_resource.clear()
    monkeypatch.setitem(known.KNOWN, "bars", tiny_pack.sha256)
    monkeypatch.setattr(lab, "samples", lambda: {"bars": found})
    monkeypatch.setattr(state, "pack", pack)
    monkeypatch.setattr(state, "packs", lambda: ["bars"])
    yield folder
    st.cache_resource.clear()


def test_the_true_trigger_is_loaded_by_one_click_and_the_backdoored_model_obeys(bench: Path) -> None:
    app = page("lab").run()
    assert not app.exception, app.exception
    assert "This is a trigger of your own" in texts(app)
    app.button(key="lab.true").click().run()
    said = texts(app)
    assert not app.exception and "This is the trigger that the backdoored model was taught" in said
    record = json.loads((bench / "bars-patch.json").read_text())
    assert app.slider(key="lab.trigger.top").value == record["trigger"]["top"]
    assert app.number_input(key="lab.trigger.seed").value == record["trigger"]["seed"]
    assert "Flips" in said and "the attacker's class" in said
    share = float(said.split("Backdoored model: attack success ")[1].split("%")[0])
    assert share >= 80
    clean = float(said.split("Clean model: attack success ")[1].split("%")[0])
    assert clean < share / 2
    assert "STRIP rejects the stamped image" in said or "STRIP lets the stamped image pass" in said


def test_a_blend_is_composed_and_stays_when_the_model_is_changed(bench: Path) -> None:
    app = page("lab").run()
    app.segmented_control(key="lab.trigger.kind").set_value("blend").run()
    app.slider(key="lab.trigger.ratio").set_value(0.5).run()
    app.selectbox(key="lab.trigger.pattern").set_value("checker").run()
    assert not app.exception
    assert app.number_input(key="lab.trigger.seed").disabled
    app.segmented_control(key="lab.kind").set_value("blend").run()
    assert not app.exception
    assert app.slider(key="lab.trigger.ratio").value == 0.5
    app.button(key="lab.true").click().run()
    record = json.loads((bench / "bars-blend.json").read_text())
    assert app.slider(key="lab.trigger.ratio").value == record["trigger"]["alpha"]
    assert "This is the trigger that the backdoored model was taught" in texts(app)


def test_a_patch_never_leaves_the_image(bench: Path) -> None:
    app = page("lab").run()
    app.slider(key="lab.trigger.left").set_value(9).run()
    app.slider(key="lab.trigger.width").set_value(12).run()
    assert not app.exception
    app.slider(key="lab.trigger.height").set_value(12).run()
    assert not app.exception
    app.slider(key="lab.trigger.width").set_value(3).run()
    assert not app.exception and app.slider(key="lab.trigger.left").max == 9


def test_strip_follows_its_own_controls(bench: Path) -> None:
    app = page("lab").run()
    app.toggle(key="lab.strip.every").set_value(True).run()
    app.select_slider(key="lab.strip.rate").set_value(0.1).run()
    said = texts(app)
    assert not app.exception
    assert "at 10.0% false rejections" in said and "when they are stamped" in said


def test_a_sample_whose_record_is_damaged_is_a_sentence(bench: Path) -> None:
    (bench / "bars-patch.json").write_text("{}")
    app = page("lab").run()
    assert not app.exception and "is not the record of a sample" in texts(app)
    (bench / "bars-patch.json").unlink()
    assert "cannot be read; restore it" in texts(app.run()) and not app.exception
    app.segmented_control(key="lab.kind").set_value("blend").run()
    assert not app.exception and "What the models answer" in texts(app)


def test_a_sample_that_is_no_model_is_a_sentence(bench: Path) -> None:
    (bench / "bars-clean.safetensors").write_bytes(b"no weights")
    app = page("lab").run()
    assert not app.exception and len(app.warning) == 1 and "Traceback" not in texts(app)


def test_without_samples_the_lab_says_what_it_needs(bench: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lab, "samples", dict)
    app = page("lab").run()
    assert not app.exception and "This needs a clean sample and a backdoored one" in texts(app)


def test_a_pack_is_shown_with_everything_it_records(bench: Path, tiny_pack: Pack) -> None:
    app = page("packs").run()
    assert not app.exception, app.exception
    headings = [s.value for s in app.header]
    assert headings == [
        "Members",
        "Accuracy and attack success",
        "Images and classes",
        "Triggers",
        "How well it detects",
        "Curves of the held-out models",
    ]
    said = texts(app)
    held = len(tiny_pack.where(fitted=False))
    assert f"the other {held} are held out" in said
    assert all(name in said for name in tiny_pack.class_names)
    assert not app.warning and "are called backdoored" in said
    app.segmented_control(key="packs.curves.streams").set_value("saliency").run()
    assert not app.exception


def test_the_server_draws_no_curves_of_a_strangers_pack(bench: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """They need CatBoost's files, which it opens only where they are the program's own."""
    monkeypatch.delitem(known.KNOWN, "bars")
    monkeypatch.setattr("ti_core.detector.metamodels.load_trees", pytest.fail)
    app = page("packs").run()
    assert not app.exception, app.exception
    assert "evaluate --pack bars" in texts(app) and "are called backdoored" not in texts(app)


def test_the_server_opens_a_strangers_pack_only_after_the_worker(
    bench: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delitem(known.KNOWN, "bars")
    monkeypatch.setitem(TASKS, "open pack", Task(hostile.crash))
    for reader in ("PackFiles", "Weights"):
        monkeypatch.setattr(f"ti_core.reference.pack.{reader}", pytest.fail)
    for name in ("packs", "lab"):
        app = page(name).run()
        assert not app.exception, app.exception
        assert any("cannot be used" in warning.value for warning in app.warning)
    settings = Settings(images=7)
    with pytest.raises(PackError, match="cannot be used"):
        Pace().reference_seconds(state.pack("bars"), settings)


def test_the_check_of_digests_says_what_it_found(bench: Path, pack_folder: Path) -> None:
    app = page("packs").run()
    app.button(key="packs.check").click().run()
    assert not app.exception and "files have the digests that the record names" in app.success[
        0
    ].value.replace("\\", "")
    with (pack_folder / "zoo.safetensors").open("ab") as file:
        file.write(b"x")
    app.button(key="packs.check").click().run()
    said = texts(app)
    assert (
        not app.exception and "zoo.safetensors is not the file" in said and "Do not rely on this pack" in said
    )


@pytest.mark.parametrize("name", ["images.npz", "baseline.npz"])
def test_a_pack_that_lacks_a_file_is_shown_as_far_as_it_goes(
    bench: Path, pack_folder: Path, name: str
) -> None:
    (pack_folder / name).unlink()
    app = page("packs").run()
    said = texts(app)
    assert not app.exception and f"lacks its file {name}" in said
    assert "Members" in said and "How well it detects" in said


@pytest.mark.parametrize(
    "record", ["", "[]", "{", '{"schema_version": 9}', '{"schema_version": 1, "members": 3}']
)
def test_a_pack_whose_record_is_broken_is_a_sentence(bench: Path, pack_folder: Path, record: str) -> None:
    (pack_folder / "pack.json").write_text(record)
    for name in ("packs", "lab"):
        app = page(name).run()
        assert not app.exception, app.exception
        assert app.warning and "Traceback" not in texts(app)
    assert "No reference pack can be used" in texts(page("packs").run())


def test_a_pack_of_another_version_says_so_instead_of_running_its_models(
    bench: Path, pack_folder: Path
) -> None:
    path = pack_folder / "pack.json"
    record = json.loads(path.read_text())
    record["stream_versions"]["universal"] = 0
    record["table"] = []
    path.write_text(json.dumps(record))
    said = texts(page("packs").run())
    assert "universal evidence in another version" in said and "records no evaluation" in said


def test_what_a_model_does_is_said_in_words() -> None:
    names = ("cat", "dog", "owl")
    assert attack_lab.says(Flip(0, 1, 0.9, 0.8), names, 1)[0] == "flips"
    assert attack_lab.says(Flip(0, 2, 0.9, 0.8), names, 1)[0] == "changes"
    word, sentence = attack_lab.says(Flip(0, 0, 1.0, 0.8), names, 1)
    assert word == "stays" and "cat (over 99% sure without the trigger, 80% with it)" in sentence
    assert "choose an image of another class" in attack_lab.says(Flip(1, 1, 0.9, 0.9), names, 1)[1]


def test_what_strip_finds_is_said_in_words() -> None:
    clean = np.array([1.0, 2.0, 3.0])
    low = run_time.says(Entropies(clean, 2.0, 0.5, 1.5, np.array([0.1, 1.4, 2.0])), 0.01)
    assert "STRIP rejects the stamped image. It rejects 1 of the 3 clean images, and 2 of the 3 when" in low
    none = run_time.says(Entropies(clean, 2.0, 0.5, -0.2), 0.01)
    assert "lets the stamped image pass" in none and "nothing can be rejected" in none


def test_a_trigger_is_true_if_what_acts_is_the_same() -> None:
    true = TriggerSpec("blend", "checker", 0.2, seed=5)
    record = type("Record", (), {"trigger": true})
    pair = type("Pair", (), {"record": record})
    assert composer.is_true(pair, dataclasses.replace(true, seed=9, top=4))  # type: ignore[arg-type]
    assert not composer.is_true(pair, dataclasses.replace(true, alpha=0.21))  # type: ignore[arg-type]


@pytest.mark.parametrize("colours", [LIGHT, DARK])
def test_no_figure_of_these_pages_has_more_points_than_it_may(colours: object) -> None:
    rng = np.random.default_rng(0)
    many = rng.uniform(size=20_000)
    roc = Roc("patch", np.sort(many), np.sort(many), np.sort(many)[::-1], 0.9, 0.8, 1.0)
    group = Group("patch", "standard", 9_000, 11_000, tuple(map(str, range(20_000))), many, many)
    found = [
        roc_curves([roc, roc], 0.5, colours),  # type: ignore[arg-type]
        calibration_curve(calibration_bins(many, many > 0.5), colours),  # type: ignore[arg-type]
        spread([group, group], {"one": many, "two": many}, "share", colours),  # type: ignore[arg-type]
        entropy_chart(Entropies(many, 0.1, 0.2, 0.3, many), 1.0, 1.0, LIGHT.suspect, colours),  # type: ignore[arg-type]
    ]
    assert all(0 < points(f) <= MOST_POINTS for f in found)


def test_the_answers_of_both_bars_are_those_of_the_model() -> None:
    figure = answer_bars(
        ["<b>cat</b>", "dog"],
        np.array([0.75, 0.25]),
        np.array([0.1, 0.9]),
        ["true", "attacker's"],
        LIGHT.clean,
        LIGHT,
    )
    before, after = figure.data
    assert list(before.x) == [0.75, 0.25] and list(after.x) == [0.1, 0.9]
    # Bars are told apart by hatching, not by colour alone; names are never mark-up.
    assert before.marker.pattern.shape == "/" and after.marker.pattern.shape == ""
    assert (
        "&lt;b&gt;cat" in figure.layout.yaxis.ticktext[0]
        and "attacker&#x27;s" in figure.layout.yaxis.ticktext[1]
    )


def test_entropy_bars_hold_every_image() -> None:
    values = np.array([0.0, 0.49, 0.5, 3.0])
    assert shares(values, 1.0).sum() == pytest.approx(1.0)
    figure = entropy_chart(Entropies(values, 0.2, 0.4, 0.3), 1.0, 1.0, LIGHT.suspect, LIGHT)
    marks = {t.name: t.x[0] for t in figure.data if t.type == "scatter"}
    assert marks == {"this image": 0.2, "this image, stamped": 0.4}


def test_the_roc_is_marked_where_the_verdict_falls(tiny_pack: Pack) -> None:
    found = curves(tiny_pack)["joint"]
    figure = roc_curves(found.roc, found.upper, LIGHT)
    marks = [t for t in figure.data if t.mode == "markers"]
    p, labels = found.probability, np.array(found.labels)
    for roc, mark in zip(found.roc, marks, strict=True):
        assert mark.x[0] == pytest.approx((p[labels == "clean"] >= found.upper).mean())
        assert mark.y[0] == pytest.approx((p[labels == roc.kind] >= found.upper).mean())


def test_table_one_draws_both_kinds_of_evidence_on_one_line_with_the_papers_figure() -> None:
    numbers = {
        "clean": 9,
        "trojaned": 5,
        "accuracy": 0.9,
        "found": 0.9,
        "false_alarms": 0.1,
        "clean_called": 0.9,
    }
    rows = [
        Row(streams=s, kind="patch", family="all", auc=a, low=a - 0.1, high=min(1.0, a + 0.05), **numbers)
        for s, a in (("saliency", 0.7), ("joint", 0.97))
    ]
    figure = table_forest(rows, {"patch": 0.6}, lambda r: r.kind, LIGHT)
    drawn = {t.name: t for t in figure.data}
    assert list(figure.layout.yaxis.ticktext) == ["patch"]
    assert drawn["all streams"].x[0] == 0.97 and drawn["the paper's figure"].x[0] == 0.6
    assert drawn["all streams"].error_x.array[0] == pytest.approx(0.03)
    assert drawn["all streams"].error_x.arrayminus[0] == pytest.approx(0.1)
