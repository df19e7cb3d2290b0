"""Building a pack on the page of the packs: its time first, then progress, cancel, going on, and the finished pack."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from safetensors.numpy import save
from streamlit.testing.v1 import AppTest

from app import state
from app.jobs import building, packs
from app.jobs.building import Building
from app.jobs.packs import Packs
from app.store.builds import MOST, Builds
from app.words import STAGES
from tests.app.conftest import Event, Worker
from tests.app.test_errands import Job
from tests.app.test_own_packs import kept, shown
from tests.app.test_pages import texts
from tests.app.waiting import until
from tests.results.files.test_training_images import left
from ti_core.cli.terminal import complain
from ti_core.errors import PackError
from ti_core.results.files.training_images import TrainingImages
from ti_core.system.terminal import progress_bar
from ti_core.zoo.training.members import zoo_text

__all__ = ["kept"]


class Planned(Job):
    """A job that read the images."""

    def result_json(self, name: str, limit: int) -> dict[str, Any]:
        return left()[0]

    def result(self, name: str, limit: int) -> bytes:
        return save(left()[1])


@pytest.fixture
def work(
    tmp_path: Path, dashboard: Worker, kept: Path, monkeypatch: pytest.MonkeyPatch
) -> dict[str, list[Any]]:
    """What the page asked for: requests for plans, runs of the command, and added packs. ``jobs`` answers the runs."""
    seen: dict[str, list[Any]] = {"plans": [], "runs": [], "added": [], "jobs": [], "planning": []}
    seen["planning"].append(Planned(tmp_path, []))

    def starter(task: str, request: dict[str, Any], limits: Any) -> Any:
        assert task == "read images" and Path(request["images"]).is_file()
        seen["plans"].append(request)
        return lambda: seen["planning"][-1]

    def run(arguments: list[str]) -> Job:
        if "--estimate" in arguments:
            timed = Job(tmp_path, [])
            timed.said = ["2 <b>classes</b>, 9 networks to train.", "This will take about 2 min."]  # type: ignore[attr-defined]
            return timed
        seen["runs"].append(arguments)
        return seen["jobs"][-1]  # type: ignore[no-any-return]

    def add(folder: Path, name: str, sha256: None) -> str:
        seen["added"].append((folder, name))
        return f"Pack {name!r} is stored. Use it with --pack {name}."

    monkeypatch.setattr(packs, "starter", starter)
    monkeypatch.setattr(packs, "Building", run)
    monkeypatch.setattr(packs, "add_pack", add)
    return seen


def planned(name: str = "mine") -> AppTest:
    """The page once it says how long the pack will take."""
    app = shown()
    app.get("file_uploader")[1].set_value([("images.zip", b"PK", "application/zip")])
    app.text_input(key="packs.build.name").set_value(name)
    app.selectbox(key="packs.build.count").set_value(32).run()
    app.button(key="packs.build.plan").click().run()
    assert not app.exception, app.exception
    if "packs.plan" in app.session_state:
        until(lambda: not app.session_state["packs.plan"].active)
        made = state.own_packs()
        until(lambda: not any((e := made.errand(b)) and e.active for b in made.builds.entries()))
        app.run()
    return app


def button(app: AppTest, begins: str) -> Any:
    return next(b for b in app.button if str(b.key).startswith(begins))


def test_the_time_is_said_first_and_then_the_pack_is_built_and_added(work: dict[str, list[Any]]) -> None:
    app = planned()
    said = texts(app)
    assert "**mine**, 32 reference models" in said and "<b>classes" not in said
    assert "This will take about 2 min" in said.replace("\\", "") and not work["runs"]
    (plan,) = work["plans"]
    assert plan["size"] == 32
    assert not Path(plan["images"]).exists(), "the upload goes, the checked images stay"
    (build,) = state.own_packs().builds.entries()
    trained = Job(build.folder, [Event("progress", "training", 0.25)], seconds=2.0)
    trained.entered = "7 of 9 networks can enter a pack (left out: 2)."  # type: ignore[attr-defined]
    work["jobs"].append(trained)
    button(app, "packs.go").click().run()
    until(lambda: state.own_packs().errand(build).stage == "training")  # type: ignore[union-attr]
    assert "Training the reference models: 25%" in app.run().get("progress")[0].proto.text
    until(lambda: not state.own_packs().errand(build).active)  # type: ignore[union-attr]
    app.run()
    assert not app.exception and work["added"] == [(build.pack, "mine")]
    said = state.own_packs().errand(build).result  # type: ignore[union-attr]
    assert "is stored" in said and said.endswith("7 of 9 networks can enter a pack (left out: 2).")
    arguments = work["runs"][0]
    assert arguments[:2] == ["pack", "build"] and arguments[arguments.index("--count") + 1] == "32"
    assert arguments[arguments.index("--out") + 1] == str(build.pack)
    assert not state.own_packs().builds.entries() and not build.folder.exists()


def test_a_build_that_was_cancelled_goes_on_also_after_the_server_was_started_again(
    work: dict[str, list[Any]], monkeypatch: pytest.MonkeyPatch
) -> None:
    app = planned()
    (build,) = state.own_packs().builds.entries()
    work["jobs"].append(Job(build.folder, [], seconds=60.0))
    button(app, "packs.go").click().run()
    until(lambda: state.own_packs().errand(build).state == "running")  # type: ignore[union-attr]
    build.zoo.mkdir()
    (build.zoo / "clean-000.json").write_text("{}")
    button(app.run(), f"packs.cancel.{build.id}").click().run()
    assert work["jobs"][0].cancelled and "1 network trained so far" in texts(app.run())
    again = Packs(Builds(build.folder.parent))
    monkeypatch.setattr(state, "own_packs", lambda: again)
    app = shown()
    assert button(app, "packs.go").label == "Go on"
    work["jobs"].append(Job(build.folder, [], ends="failed", error="The <b>disk</b> is full."))
    button(app, "packs.go").click().run()
    until(lambda: not again.errand(build).active)  # type: ignore[union-attr]
    app.run()
    assert "disk" in app.warning[0].value and "<b>" not in app.warning[0].value
    assert work["runs"][0] == work["runs"][1] and not work["added"]
    button(app, "packs.remove").click().run()
    assert not again.builds.entries() and not build.folder.exists() and not app.exception


def test_what_cannot_be_planned_is_said(work: dict[str, list[Any]], tmp_path: Path) -> None:
    assert "has up to 80 letters" in planned("my pack").warning[0].value
    work["planning"].append(Planned(tmp_path, [], ends="failed", error="The images have no labels."))
    assert "have no labels" in planned().warning[0].value
    assert not state.own_packs().builds.entries()


def test_a_folder_without_a_sound_record_is_no_build_and_only_so_many_are_begun(tmp_path: Path) -> None:
    builds, plan = Builds(tmp_path / "builds"), TrainingImages.of(left()[0], save(left()[1]))
    made = [builds.keep(f"pack{i}", 32, 1, plan) for i in range(MOST)]
    assert {b.name for b in builds.entries()} == {f"pack{i}" for i in range(MOST)}
    assert made[0] in builds.entries() and made[0].images.is_file()
    with pytest.raises(PackError, match="remove one of them first"):
        builds.keep("another", 32, 1, plan)
    (made[0].folder / "build.json").write_text("{")
    (made[1].folder / "build.json").write_text(json.dumps({"name": "pack1"}))
    assert len(builds.entries()) == MOST - 2
    with pytest.raises(PackError, match="up to 80 letters"):
        builds.keep("../outside", 32, 1, plan)


def test_the_command_tells_its_bars_and_is_ended_with_all_that_it_started(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    child = tmp_path / "child"
    monkeypatch.setattr(
        building,
        "COMMAND",
        "import subprocess, sys, time\n"
        "sys.stderr.write('training:   0%|  | 0/8\\rtraining:  25%|# | 2/8'); sys.stderr.flush()\n"
        f"open({str(child)!r}, 'w').write(str(subprocess.Popen(['sleep', '60']).pid))\n"
        "time.sleep(60)",
    )
    with Building([]) as run:
        told: list[Any] = []
        until(lambda: told.extend(run.poll()) or (child.exists() and len(told) > 1 and child.read_text()))
        assert [(e.stage, e.share) for e in told] == [("training", 0.0), ("training", 0.25)]
        assert run.state == "running"
        pid = int(child.read_text())
    assert run.state == "failed" and run.error is None
    until(lambda: not Path(f"/proc/{pid}").exists() or "Z" in Path(f"/proc/{pid}/stat").read_text())


def test_an_estimate_that_failed_is_said_and_can_be_asked_for_again(
    work: dict[str, list[Any]], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    def fail(arguments: list[str]) -> Job:
        return Job(tmp_path, [], ends="failed", error="Class cat has too few images.")

    right = packs.Building
    monkeypatch.setattr(packs, "Building", fail)
    app = planned()
    assert "too few images" in app.warning[0].value and not any("packs.go" in str(b.key) for b in app.button)
    monkeypatch.setattr(packs, "Building", right)
    (build,) = state.own_packs().builds.entries()
    button(app, "packs.time").click().run()
    until(lambda: not state.own_packs().errand(build).active)  # type: ignore[union-attr]
    assert button(app.run(), "packs.go").label == "Build it" and not app.warning


def test_the_command_s_complaint_is_its_error(monkeypatch: pytest.MonkeyPatch) -> None:
    says = "import sys; sys.stderr.write('a warning\\ntrojaninterpret: The disk is full.\\n'); sys.exit(2)"
    monkeypatch.setattr(building, "COMMAND", says)
    run = Building([])
    until(lambda: run.state != "running")
    assert run.state == "failed" and run.error == "The disk is full."
    assert run.said == ["a warning", "The disk is full."]


def test_the_command_says_which_networks_stay_out(monkeypatch: pytest.MonkeyPatch) -> None:
    clean = {"family": "standard", "label": "clean", "clean_accuracy": 0.9, "options": {"classes": 2}}
    failed = clean | {"label": "trojan", "attack_success": 0.1}
    said = zoo_text([clean, clean, failed])
    monkeypatch.setattr(building, "COMMAND", f"print('before'); print({said!r}); print('after')")
    run = Building([])
    until(lambda: run.state != "running")
    assert run.entered == said and "1 for a backdoor that failed" in said


def test_bars_and_complaints_look_as_the_command_prints_them(capfd: pytest.CaptureFixture[str]) -> None:
    complain("It failed.")
    with progress_bar("recovered triggers", 8, unit="network") as bar:
        bar.update(2)
    complaint, drawn = capfd.readouterr().err.split("\n", 1)
    assert complaint == f"{building.COMPLAINT}It failed."
    found = [building.BAR.match(part) for part in drawn.split("\r")]
    assert ("recovered triggers", "25") in [m.groups() for m in found if m]
    sources = "".join(
        Path("ti_core/zoo", name).read_text() for name in ("training/members.py", "packs/build.py")
    )
    for title in ("training", "evidence", "recovered triggers"):
        assert f'progress_bar("{title}"' in sources and title in STAGES
