"""What a session holds of an inspection it asked for, and what the desk needs of the job that does it."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

from ti_core.results.case import Case


class Running(Protocol):
    """What the desk needs of :class:`ti_core.worker.Job`."""

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
    """One inspection that a session asked for.

    Attributes
    ----------
    attached : a folder with files for this request alone, which goes when the ticket ends.
    state : "waiting", "running", "done", "failed" or "cancelled".
    stage, share, fraction, left : where it stands: the stage and the share of it that is done, the share of the whole,
        and the seconds left.
    partial : the unfinished case once the first pictures are there; case_id : the finished one's, once it is kept.
    error, fault : one sentence if it failed, and the name of the expected error's class, if it was one.
    watchers : other sessions that look at it; it goes on as long as any of them, or its own, has its tab open.
    due : its place among the waiting ones, as a time; the earliest is next.
    """

    id: str
    session: str
    title: str
    task: str
    request: dict[str, Any]
    expected: Mapping[str, float]
    attached: Path | None = None
    state: str = "waiting"
    stage: str = "opening"
    share: float = 0.0
    fraction: float = 0.0
    left: float = 0.0
    partial: Case | None = None
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
