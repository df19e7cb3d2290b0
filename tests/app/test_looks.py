"""First looks in the background: one at a time, one for a tab, ended when they are no longer wanted."""

from __future__ import annotations

import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from app.jobs.looks import MOST_KEPT, Looks, look_apart
from tests.app.test_pages import LOOK
from tests.app.waiting import until
from ti_core.errors import ModelFileError
from ti_core.reference.pack import Pack
from ti_core.results.files.first_look import FirstLook
from ti_core.worker.request import InspectionRequest


class Slow:
    """Looks that last until they are released or unwanted."""

    def __init__(self) -> None:
        self.begun: list[str] = []
        self.most = 0
        self._now = 0
        self.release = threading.Event()

    def __call__(self, request: dict[str, Any], wanted: Callable[[], bool]) -> FirstLook | None:
        self._now += 1
        self.most = max(self.most, self._now)
        self.begun.append(request["model"])
        while wanted() and not self.release.wait(0.01):
            pass
        self._now -= 1
        return LOOK if wanted() else None


def test_one_file_at_a_time_is_looked_at() -> None:
    slow = Slow()
    looks = Looks(slow)
    for tab in "abc":
        looks.ask(tab, f"file of {tab}", {"model": tab})
    until(lambda: slow.begun)
    assert looks.found("file of a") is None
    slow.release.set()
    for tab in "abc":
        assert until(lambda tab=tab: looks.found(f"file of {tab}")) == LOOK
    assert slow.most == 1


def test_a_tab_s_next_file_ends_the_look_at_the_one_before() -> None:
    slow = Slow()
    looks = Looks(slow)
    looks.ask("tab", "one", {"model": "one"})
    until(lambda: slow.begun == ["one"])
    looks.ask("tab", "two", {"model": "two"})
    until(lambda: slow.begun == ["one", "two"])
    slow.release.set()
    assert until(lambda: looks.found("two")) == LOOK and looks.found("one") is None


def test_a_look_that_is_dropped_is_begun_again_when_it_is_asked_for() -> None:
    slow = Slow()
    looks = Looks(slow)
    looks.ask("tab", "one", {"model": "one"})
    until(lambda: slow.begun)
    looks.drop("tab")
    looks.ask("tab", "one", {"model": "one"})
    slow.release.set()
    assert until(lambda: looks.found("one")) == LOOK


def test_a_known_file_is_not_looked_at_again_and_the_oldest_are_forgotten() -> None:
    begun: list[str] = []

    def look(request: dict[str, Any], wanted: Callable[[], bool]) -> FirstLook:
        begun.append(request["model"])
        return LOOK

    looks = Looks(look)
    for number in range(MOST_KEPT + 1):
        looks.ask("tab", str(number), {"model": str(number)})
        until(lambda number=number: looks.found(str(number)))
    looks.ask("other", "5", {"model": "5"})
    assert looks.found("5") == LOOK and looks.found("0") is None and len(begun) == MOST_KEPT + 1


def test_why_a_file_cannot_be_looked_at_is_kept_until_it_is_handed_in_again() -> None:
    why = [ModelFileError("It took too long.")]

    def look(request: dict[str, Any], wanted: Callable[[], bool]) -> FirstLook:
        if why:
            raise why.pop()
        return LOOK

    looks = Looks(look)
    looks.ask("tab", "one", {})
    assert str(until(lambda: looks.found("one"))) == "It took too long."
    looks.ask("tab", "one", {})
    assert str(looks.found("one")) == "It took too long.", "a redraw of the page is no new look"
    looks.drop("tab")
    looks.ask("tab", "one", {})
    assert until(lambda: looks.found("one")) == LOOK


def test_the_confined_process_says_what_a_model_is(tiny_pack: Pack, tiny_models: dict[str, Path]) -> None:
    request = InspectionRequest(
        model=str(tiny_models["patch"]), pack=str(tiny_pack.folder), settings={}, device="cpu", case=False
    ).as_dict()
    found = look_apart(request, lambda: True)
    assert found is not None and found.fitting == ["bars"] and found.parameters > 0
    assert 0 < found.seconds["quick"] < found.seconds["standard"]
    assert look_apart(request, lambda: False) is None
    with pytest.raises(ModelFileError):
        look_apart({**request, "model": str(tiny_models["patch"].parent / "missing.pt")}, lambda: True)
