"""A dashboard over the tiny pack, with a worker that answers from cases made beforehand."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
import streamlit as st

from app import state
from app.jobs.desk import Desk
from app.jobs.looks import Looks
from app.store import sources
from app.store.cases import CaseStore
from app.store.sources import Source
from ti_core.errors import ModelFileError, PackError
from ti_core.reference.pack import Pack
from ti_core.results.case import Case
from ti_core.results.case_files import save_case
from ti_core.results.files.first_look import FirstLook
from ti_core.results.so_far import SoFar


@dataclass
class Event:
    kind: str
    stage: str = ""
    share: float = 0.0
    text: str = ""
    stages: dict[str, float] = field(default_factory=dict)
    so_far: SoFar | None = None


@dataclass
class FakeJob:
    """A job that plays a script: events, then an end."""

    folder: Path
    events: list[Event]
    ends: str = "done"
    error: str | None = None
    fault: str = ""
    seconds: float = 0.0
    isolation: dict[str, str] = field(default_factory=lambda: {"network": "None."})
    cancelled: bool = False
    closed: bool = False

    def __post_init__(self) -> None:
        self._start = time.monotonic()
        self._state = "running"

    @property
    def state(self) -> str:
        if self._state == "running" and time.monotonic() - self._start >= self.seconds and not self.events:
            self._state = self.ends
        return self._state

    def poll(self) -> list[Event]:
        events, self.events = self.events, []
        return events

    def cancel(self) -> None:
        self._state, self.cancelled = "cancelled", True

    def close(self) -> None:
        self.closed = True


class Worker:
    """Launches fake jobs, and says what it was asked for."""

    def __init__(self, cases: dict[str, Case]) -> None:
        self.cases = cases
        self.requests: list[dict[str, Any]] = []
        self.jobs: list[FakeJob] = []
        self.seconds = 0.0
        self.fails: str | None = None
        self.fault = ""
        self.alone: Case | None = None
        self.so_far: SoFar | None = None
        self.seen_images: list[list[str]] = []
        self.looked_at: list[dict[str, Any]] = []
        self.look_finds: FirstLook | ModelFileError | None = None

    def look(self, request: dict[str, Any], wanted: Callable[[], bool]) -> FirstLook | None:
        """Look at a file that waits: a script instead of a confined process."""
        self.looked_at.append(request)
        if isinstance(self.look_finds, ModelFileError):
            raise self.look_finds
        return self.look_finds

    def __call__(self, task: str, request: dict[str, Any], folder: Path) -> FakeJob:
        self.requests.append(request)
        label = next((k for k in ("clean", "blend", "patch") if k in Path(request["model"]).name), "clean")
        events = [Event("progress", "windowed", 0.2)]
        if request.get("images"):
            path = Path(request["images"])
            self.seen_images.append(sorted(p.name for p in path.iterdir()) if path.is_dir() else [path.name])
            assert self.alone is not None
            save_case(self.alone, folder)
        else:
            save_case(self.cases["partial"], folder, "partial")
            save_case(self.cases[label], folder)
            events = [Event("progress", "probes", 0.5), Event("partial", "partial"), *events]
        events += [Event("so far", so_far=self.so_far)] if self.so_far else []
        ends = "failed" if self.fails else "done"
        job = FakeJob(folder, events, ends, self.fails, self.fault, seconds=self.seconds)
        self.jobs.append(job)
        return job


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("TROJANINTERPRET_HOME", str(tmp_path / "home"))
    return tmp_path / "home"


@pytest.fixture
def worker(tiny_cases: dict[str, Case]) -> Worker:
    return Worker(tiny_cases)


@pytest.fixture
def dashboard(
    home: Path,
    worker: Worker,
    tiny_pack: Pack,
    tiny_models: dict[str, Path],
    monkeypatch: pytest.MonkeyPatch,
) -> Iterator[Worker]:
    """The page's surroundings: the tiny pack, its three models as samples, the fake worker."""
    from app.store import cases

    def pack(name: str) -> Pack:
        if name != "bars":
            raise PackError(f"There is no reference pack {name!r}; bundled are: bars.")
        return tiny_pack

    def found() -> dict[str, dict[str, Source]]:
        return {"bars": {k: Source(p.name, p, pack="bars", kind=k) for k, p in tiny_models.items()}}

    st.cache_resource.clear()
    desk = Desk(CaseStore(cases.home()), cases.home() / "work", worker, lambda session: True)
    monkeypatch.setattr(state, "desk", lambda: desk)
    looks = Looks(worker.look)
    monkeypatch.setattr(state, "looks", lambda: looks)
    monkeypatch.setattr(state, "pack", pack)
    monkeypatch.setattr(state, "packs", lambda: ["bars"])
    from app import sample_box
    from app.views import compare

    for module in (sources, sample_box, compare):
        monkeypatch.setattr(module, "samples", found)
    yield worker
    desk.close()
    st.cache_resource.clear()
