"""Errands: work that goes on while pages are drawn, with its progress, its cancellation and its end."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import Any

from app.jobs.errands import NO_RESULT, Errand
from tests.app.conftest import Event, FakeJob
from tests.app.waiting import until
from ti_core.errors import DataError


class Job(FakeJob):
    """A job that may be used in a ``with`` statement."""

    def __enter__(self) -> Job:
        return self

    def __exit__(self, *ignored: object) -> None:
        self.close()


def errand(job: Job, take: Any = None, wanted: Any = None, turn: threading.Lock | None = None) -> Errand[str]:
    ended: list[str] = []
    found: Errand[str] = Errand(
        lambda: job,  # type: ignore[arg-type,return-value]
        take or (lambda job: "result"),
        wanted or (lambda: True),
        lambda: ended.append("ended"),
        turn or threading.Lock(),
    )
    found.ended = ended  # type: ignore[attr-defined]
    return found


def test_an_errand_tells_its_progress_and_ends_with_its_result() -> None:
    job = Job(Path(), [Event("progress", "LIME", 0.5)], seconds=0.5)
    found = errand(job)
    until(lambda: found.stage == "LIME")
    assert found.active and found.state == "running" and found.share == 0.5 and found.result is None
    until(lambda: not found.active)
    assert found.state == "done" and found.result == "result" and job.closed
    assert found.ended == ["ended"]  # type: ignore[attr-defined]


def test_a_cancelled_errand_has_stopped_when_cancel_returns() -> None:
    job = Job(Path(), [], seconds=60.0)
    found = errand(job)
    until(lambda: found.state == "running")
    found.cancel()
    assert found.state == "cancelled" and job.cancelled and job.closed


def test_an_errand_that_nobody_wants_any_more_is_cancelled() -> None:
    job, open_tabs = Job(Path(), [], seconds=60.0), ["tab"]
    found = errand(job, wanted=lambda: bool(open_tabs))
    until(lambda: found.state == "running")
    open_tabs.clear()
    until(lambda: not found.active)
    assert found.state == "cancelled" and job.cancelled


def test_errands_of_one_kind_wait_for_each_other_and_may_be_cancelled_meanwhile() -> None:
    turn = threading.Lock()
    first = errand(Job(Path(), [], seconds=60.0), turn=turn)
    until(lambda: first.state == "running")
    never = Job(Path(), [], seconds=60.0)
    second = errand(never, turn=turn)
    assert second.state == "waiting" and second.active
    second.cancel()
    assert second.state == "cancelled" and not never.cancelled and not never.closed
    third = errand(Job(Path(), []), turn=turn)
    first.cancel()
    until(lambda: not third.active)
    assert third.state == "done"


def test_a_failure_is_said_in_a_sentence() -> None:
    def refuse(job: Any) -> str:
        raise DataError("The result is not valid.")

    def stumble(job: Any) -> str:
        raise KeyError("secret")

    cases = (
        (Job(Path(), [], ends="failed", error="The disk is full."), None, "The disk is full."),
        (Job(Path(), [], ends="failed"), None, NO_RESULT),
        (Job(Path(), []), refuse, "The result is not valid."),
        (Job(Path(), []), stumble, "Something unexpected stopped the work (KeyError); try again."),
    )
    for job, take, says in cases:
        found = errand(job, take)
        until(lambda found=found: not found.active)
        assert found.state == "failed" and found.error == says and job.closed
        assert found.ended == ["ended"]  # type: ignore[attr-defined]
