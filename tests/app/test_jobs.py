from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from app.jobs.desk import MOST_OF_ONE, PICTURES_KEPT, Desk, FullError, launch_worker
from app.jobs.tickets import Ticket
from app.store.cases import CaseStore
from tests.app.conftest import Event, FakeJob, Worker
from tests.app.waiting import until
from tests.disks import fill


@pytest.fixture
def open_tabs() -> set[str]:
    return {"one", "two"}


@pytest.fixture
def desk(tmp_path: Path, worker: Worker, open_tabs: set[str]) -> Iterator[Desk]:
    found = Desk(CaseStore(tmp_path), tmp_path / "work", worker, open_tabs.__contains__)
    yield found
    found.close()


def ask(desk: Desk, session: str = "one", model: str = "patch.pt") -> Ticket:
    return desk.submit(session, model, {"model": model})


def let_go(worker: Worker) -> None:
    """The running job ends, and every later one at once."""
    worker.seconds = worker.jobs[0].seconds = 0.0


def test_a_job_shows_its_first_pictures_and_leaves_a_case(desk: Desk, worker: Worker) -> None:
    ticket = ask(desk)
    until(lambda: not ticket.active)
    assert ticket.state == "done" and ticket.error == ""
    assert ticket.partial is not None and not ticket.partial.finished
    case = desk.store.load(ticket.case_id)
    assert case.finished and case.report.isolation == {"network": "None."}
    until(lambda: worker.jobs[0].closed and not list(desk.work.iterdir()))


def test_jobs_run_one_at_a_time_in_the_order_they_came(desk: Desk, worker: Worker) -> None:
    worker.seconds = 60.0
    tickets = [ask(desk, s) for s in ("one", "two", "one")]
    until(lambda: tickets[0].state == "running")
    assert [desk.place(t) for t in tickets] == [0, 1, 2]
    assert len(worker.jobs) == 1
    let_go(worker)
    until(lambda: not any(t.active for t in tickets))
    assert [t.state for t in tickets] == ["done"] * 3
    assert tickets[0].ended <= tickets[1].started and tickets[1].ended <= tickets[2].started


def test_a_tabs_second_request_stands_back_behind_other_tabs(desk: Desk, worker: Worker) -> None:
    worker.seconds = 60.0
    first, second, other = ask(desk, "one"), ask(desk, "one"), ask(desk, "two")
    until(lambda: first.state == "running")
    assert [desk.place(t) for t in (other, second)] == [1, 2]
    let_go(worker)
    until(lambda: not any(t.active for t in (first, second, other)))
    assert first.ended <= other.started and other.ended <= second.started


def test_a_reloaded_page_goes_on_watching(
    desk: Desk, worker: Worker, open_tabs: set[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("app.jobs.desk.GRACE", 0.2)
    worker.seconds = 60.0
    ticket = ask(desk)
    until(lambda: ticket.state == "running")
    assert desk.hand_over(ticket.id, "three") is ticket and desk.hand_over("0" * 32, "three") is None
    open_tabs ^= {"one", "three"}
    time.sleep(0.6)
    assert ticket.active
    open_tabs.discard("three")
    until(lambda: ticket.state == "cancelled")


def test_first_pictures_are_not_kept_for_ever(desk: Desk, worker: Worker) -> None:
    tickets = []
    for _ in range(PICTURES_KEPT + 2):
        tickets.append(ask(desk))
        until(lambda: not tickets[-1].active)
    ask(desk)
    assert [t.partial is None for t in tickets] == [True, True] + [False] * PICTURES_KEPT


def test_what_a_killed_server_left_is_removed_and_a_running_one_is_left_alone(
    desk: Desk, worker: Worker, open_tabs: set[str]
) -> None:
    worker.seconds = 60.0
    ticket = ask(desk)
    until(lambda: ticket.state == "running")
    (desk.work / "left").mkdir()
    (desk.work / "left" / "partial.json").write_text("{}")
    (desk.work / "file").write_text("")
    other = Desk(CaseStore(desk.store.folder.parent), desk.work, worker, open_tabs.__contains__)
    other.close()
    assert [p.name for p in desk.work.iterdir()] == [ticket.id]
    assert (desk.work / ticket.id / "case.json").exists()


def test_a_full_disk_is_a_sentence_and_the_next_one_runs_when_there_is_room(
    small_disk: Path, worker: Worker, open_tabs: set[str]
) -> None:
    desk = Desk(CaseStore(small_disk), small_disk / "work", worker, open_tabs.__contains__)
    kept = ask(desk)
    until(lambda: not kept.active)
    ballast = fill(small_disk)
    full = ask(desk)
    until(lambda: not full.active)
    assert full.state == "failed" and "the disk is full; free some space and try again." in full.error
    until(lambda: not list(desk.work.iterdir()))
    ballast.unlink()
    again = ask(desk)
    until(lambda: not again.active)
    desk.close()
    assert again.state == "done"
    assert {e.id for e in CaseStore(small_disk).entries()} == {kept.case_id, again.case_id}


def test_cancel_stops_the_work_within_a_second_and_the_next_one_runs(desk: Desk, worker: Worker) -> None:
    worker.seconds = 60.0
    first = ask(desk)
    until(lambda: first.state == "running")
    worker.seconds = 0.0
    second = ask(desk)
    start = time.monotonic()
    desk.cancel(first)
    assert first.state == "cancelled" and worker.jobs[0].cancelled
    assert time.monotonic() - start < 1.0
    until(lambda: second.state == "done")
    assert [e.sha256 for e in desk.store.entries()] == [
        desk.store.load(second.case_id).report.model["sha256"]
    ]


def test_a_waiting_ticket_leaves_the_queue(desk: Desk, worker: Worker) -> None:
    worker.seconds = 60.0
    first, second, third = ask(desk), ask(desk, "two"), ask(desk)
    until(lambda: first.state == "running")
    desk.cancel(second)
    assert desk.place(third) == 1 and len(worker.jobs) == 1


def test_a_closed_tabs_job_ends_by_itself(
    desk: Desk, worker: Worker, open_tabs: set[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("app.jobs.desk.GRACE", 0.2)
    worker.seconds = 60.0
    ticket, other = ask(desk, "one"), ask(desk, "two")
    until(lambda: ticket.state == "running")
    open_tabs.discard("one")
    until(lambda: ticket.state == "cancelled")
    assert worker.jobs[0].cancelled
    until(lambda: other.state == "running")


def test_a_reload_is_no_closed_tab(
    desk: Desk, worker: Worker, open_tabs: set[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("app.jobs.desk.GRACE", 3.0)
    worker.seconds = 60.0
    ticket = ask(desk)
    open_tabs.discard("one")
    time.sleep(0.2)
    open_tabs.add("one")
    time.sleep(3.0)
    assert ticket.active


def test_a_failed_job_says_why(desk: Desk, worker: Worker) -> None:
    worker.fails = "The file is refused because it could run code."
    ticket = ask(desk)
    until(lambda: not ticket.active)
    assert ticket.state == "failed" and ticket.error == worker.fails and not desk.store.entries()


def test_a_result_that_is_no_case_is_not_kept(
    desk: Desk, worker: Worker, monkeypatch: pytest.MonkeyPatch
) -> None:
    def spoilt(task: str, request: dict, folder: Path) -> FakeJob:
        job = worker(task, request, folder)
        (folder / "case.json").write_text('{"verdict": "clean"}')
        return job

    monkeypatch.setattr(desk, "_launch", spoilt)
    ticket = ask(desk)
    until(lambda: not ticket.active)
    assert ticket.state == "failed" and "no valid result" in ticket.error and not desk.store.entries()


def test_a_worker_that_cannot_start_fails_its_ticket_only(desk: Desk, worker: Worker) -> None:
    launch = desk._launch

    def broken(task: str, request: dict, folder: Path) -> FakeJob:
        desk._launch = launch
        raise OSError("no process")

    desk._launch = broken
    first, second = ask(desk), ask(desk)
    until(lambda: not second.active)
    assert first.state == "failed" and "try again" in first.error and second.state == "done"


def test_the_queue_is_bounded(desk: Desk, worker: Worker) -> None:
    worker.seconds = 60.0
    for _ in range(MOST_OF_ONE):
        ask(desk)
    with pytest.raises(FullError, match="This tab"):
        ask(desk)
    ask(desk, "two")


def test_the_time_left_is_the_jobs_own_forecast(desk: Desk, worker: Worker) -> None:
    worker.seconds = 60.0
    ticket = ask(desk)
    until(lambda: ticket.state == "running" and ticket.stage == "windowed")
    assert ticket.left is None, "nothing is known yet"
    worker.jobs[0].events.append(Event("expected", stages={"windowed": 100.0, "case": 100.0}))
    until(lambda: ticket.left is not None)
    assert ticket.left is not None and 50.0 < ticket.left < 200.0 and 0 <= ticket.fraction < 0.5
    let_go(worker)
    until(lambda: not ticket.active)


def test_a_request_may_name_its_time(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    found = []
    monkeypatch.setattr(
        "ti_core.worker.Job.start", lambda task, request, folder, limits: found.append(limits)
    )
    launch_worker("inspect", {}, tmp_path)
    launch_worker("inspect", {"seconds": 600.0}, tmp_path)
    assert [limits.wall_seconds for limits in found] == [7200.0, 600.0] and found[1].cpu_seconds >= 600
