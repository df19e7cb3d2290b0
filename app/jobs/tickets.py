"""The ticket that a session holds for a requested inspection, and the interface of the job behind it."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

from ti_core.results.case import Case
from ti_core.results.so_far import SoFar
from ti_core.system.time_left import TimeLeft


class Running(Protocol):
    """The part of :class:`ti_core.worker.Job` that the desk uses."""

    state: str
    error: str | None
    fault: str
    folder: Path
    isolation: dict[str, str]

    def poll(self) -> list[Any]: ...
    def cancel(self) -> None: ...
    def close(self) -> None: ...


Launch = Callable[[str, dict[str, Any], Path], Running]


@dataclass
class Ticket:
    """One inspection that a session requested.

    Attributes
    ----------
    attached : a folder with files for this request. It is removed when the ticket ends.
    state : "waiting", "running", "done", "failed" or "cancelled".
    stage, share, fraction, left : the current stage, the finished share of the stage and of the whole inspection, and
        the seconds left; None before they can be predicted.
    clock : predicts the time left.
    partial : the unfinished case, from the first pictures on.
    so_far : the last verdict so far. It stays when the work is stopped.
    case_id : the id of the finished case.
    error, fault : if the job failed, one sentence and the name of the class of an expected error.
    watchers : other sessions that show the ticket. It continues while its own tab or the tab of a watcher is open.
    due : the time that orders the waiting tickets. The earliest is next.
    """

    id: str
    session: str
    title: str
    task: str
    request: dict[str, Any]
    attached: Path | None = None
    state: str = "waiting"
    stage: str = "opening"
    share: float = 0.0
    fraction: float = 0.0
    left: float | None = None
    clock: TimeLeft = field(default_factory=TimeLeft)
    partial: Case | None = None
    so_far: SoFar | None = None
    case_id: str = ""
    error: str = ""
    fault: str = ""
    submitted: float = field(default_factory=time.monotonic)
    started: float = 0.0
    first_pictures: float = 0.0
    ended: float = 0.0
    missed_since: float | None = None
    watchers: frozenset[str] = frozenset()
    due: float = 0.0

    @property
    def active(self) -> bool:
        return self.state in ("waiting", "running")
