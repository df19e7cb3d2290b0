"""Runs inspections in worker processes, one at a time. The others wait in order.

The page computes nothing. It gives a request to the desk, polls the ticket, and shows the case when it is finished.
A ticket is cancelled when its browser tab has been closed.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any
from uuid import uuid4

from app.jobs.pace import Pace
from app.jobs.tickets import Launch, Running, Ticket
from app.jobs.workroom import Workroom
from app.store.cases import CaseStore
from app.words import reason
from ti_core.errors import CaseError
from ti_core.results.case_files import load_case
from ti_core.worker.inspection_job import left_case

TICK = 0.05
"""Seconds between two looks at the running job."""
GRACE = 4.0
"""Seconds that a closed tab's ticket continues. A reload closes one connection before it opens the next."""
MOST_WAITING = 16
MOST_OF_ONE = 3
MODESTY = 120.0
"""Seconds by which each waiting request of a tab delays the tab's next request in the queue."""
ENDED_KEPT = 64
"""Maximum number of ended tickets that are kept."""
PICTURES_KEPT = 2
"""Maximum number of ended tickets whose first pictures are kept. Pictures may be large."""

FULL = "Too many inspections are waiting already; try again in a few minutes."
FULL_FOR_YOU = "This tab already has several inspections waiting; let one finish or cancel it."


class FullError(Exception):
    """The queue is full. The text is for the visitor."""


class Desk:
    """Queues requests, runs them one at a time, and stores the finished cases.

    Parameters
    ----------
    store : holds the finished cases.
    work : a folder for the folders of the jobs.
    launch : starts a job; see :func:`launch_worker`.
    alive : returns whether the tab of the session with that id is open.
    """

    def __init__(
        self,
        store: CaseStore,
        work: Path,
        launch: Launch,
        alive: Callable[[str], bool],
        pace: Pace | None = None,
    ) -> None:
        self.store = store
        self.work = work
        self._room = Workroom(work)
        self.pace = pace or Pace()
        self._launch = launch
        self._alive = alive
        self._tickets: dict[str, Ticket] = {}
        self._order: list[str] = []
        self._job: tuple[Ticket, Running] | None = None
        self._lock = threading.RLock()
        self._wake = threading.Event()
        self._closing = False
        self._thread = threading.Thread(target=self._serve, daemon=True, name="desk")
        self._thread.start()

    def submit(
        self,
        session: str,
        title: str,
        request: dict[str, Any],
        task: str = "inspect",
        attached: Path | None = None,
    ) -> Ticket:
        """Put a request in the queue.

        Parameters
        ----------
        attached : a folder from :meth:`attach` with files for this request. It is removed when the request has ended.

        Raises
        ------
        FullError : too many requests are waiting.
        """
        with self._lock:
            waiting = [t for t in self._tickets.values() if t.active]
            if len(waiting) >= MOST_WAITING:
                raise FullError(FULL)
            own = sum(t.session == session for t in waiting)
            if own >= MOST_OF_ONE:
                raise FullError(FULL_FOR_YOU)
            ticket = Ticket(uuid4().hex, session, title, task, request, attached)
            ticket.due = ticket.submitted + own * MODESTY
            self._tickets[ticket.id] = ticket
            self._order = sorted([*self._order, ticket.id], key=lambda name: self._tickets[name].due)
            self._forget()
        self._wake.set()
        return ticket

    def attach(self) -> Path:
        """A new folder for the files of a request. Without a :meth:`submit`, the caller calls :meth:`detach`.

        Raises
        ------
        OSError : the folder cannot be made.
        """
        return self._room.open(f"{uuid4().hex}.attached")

    def detach(self, folder: Path) -> None:
        """Remove a folder that :meth:`attach` made."""
        self._room.close(folder.name)

    def ticket(self, name: str) -> Ticket | None:
        """The ticket with that id, or None if the desk no longer has it."""
        return self._tickets.get(name)

    def hand_over(self, name: str, session: str) -> Ticket | None:
        """The ticket with that id, with this session among its watchers. A reloaded page is another session."""
        ticket = self._tickets.get(name)
        if ticket is not None:
            ticket.watchers |= {session}
        return ticket

    def place(self, ticket: Ticket) -> int:
        """The number of tickets before this one: 0 if it is running or next."""
        with self._lock:
            if ticket.id not in self._order:
                return 0
            running = sum(t.state == "running" for t in self._tickets.values())
            return self._order.index(ticket.id) + running

    def cancel(self, ticket: Ticket) -> None:
        """Stop a ticket's job, or take the ticket out of the queue. The job has ended when this returns."""
        with self._lock:
            if not ticket.active:
                return
            running = self._job[1] if self._job and self._job[0] is ticket else None
            self._end(ticket, "cancelled", "The inspection was stopped.")
        if running is not None:
            running.cancel()
        self._wake.set()

    def close(self) -> None:
        """Stop the desk and its running job."""
        self._closing = True
        self._wake.set()
        self._thread.join(timeout=5)
        for ticket in list(self._tickets.values()):
            self.cancel(ticket)

    def _serve(self) -> None:
        while not self._closing:
            self._wake.wait(timeout=TICK if self._tickets_active() else 1.0)
            self._wake.clear()
            try:
                self._turn()
            except Exception as error:
                self._give_up(error)

    def _tickets_active(self) -> bool:
        return any(t.active for t in list(self._tickets.values()))

    def _turn(self) -> None:
        """Check the closed tabs and the running job, and start the next ticket if no job is running."""
        now = time.monotonic()
        for ticket in [t for t in list(self._tickets.values()) if t.active]:
            if any(map(self._alive, (ticket.session, *ticket.watchers))):
                ticket.missed_since = None
            elif ticket.missed_since is None:
                ticket.missed_since = now
            elif now - ticket.missed_since > GRACE:
                self.cancel(ticket)
        if self._job is not None:
            self._follow(*self._job)
        if self._job is None:
            self._next()

    def _next(self) -> None:
        with self._lock:
            if not self._order:
                return
            ticket = self._tickets[self._order[0]]
        try:
            job = self._launch(ticket.task, ticket.request, self._room.open(ticket.id))
        except Exception as error:
            self._room.close(ticket.id)
            why = reason(error) if isinstance(error, OSError) else f"{type(error).__name__}; try again."
            self._end(ticket, "failed", f"The inspection could not be started: {why}")
            return
        with self._lock:
            self._job = (ticket, job)
            if ticket.active:
                self._order.remove(ticket.id)
                ticket.state, ticket.started = "running", time.monotonic()
                ticket.clock.begin()
        if not ticket.active:
            job.cancel()

    def _follow(self, ticket: Ticket, job: Running) -> None:
        state = job.state
        for event in job.poll():
            if event.kind == "progress":
                ticket.stage, ticket.share = event.stage, event.share
                ticket.clock.at(event.stage, event.share)
            elif event.kind == "expected":
                ticket.clock.expect(event.stages)
            elif event.so_far is not None and ticket.active:
                ticket.so_far = event.so_far
            elif event.kind == "partial" and ticket.active:
                with suppress(CaseError):
                    ticket.partial = load_case(job.folder, "partial")
                    ticket.first_pictures = time.monotonic()
        ticket.fraction, ticket.left = max(ticket.fraction, ticket.clock.share), ticket.clock.left
        if state == "running" and ticket.active:
            return
        if ticket.active and state == "done":
            self._keep(ticket, job)
        elif ticket.active:
            ticket.fault = job.fault
            self._end(ticket, state, job.error or "The inspection ended without a result; try again.")
        with suppress(OSError):
            job.close()
        self._room.close(ticket.id)
        with self._lock:
            self._job = None

    def _keep(self, ticket: Ticket, job: Running) -> None:
        try:
            alone = bool(ticket.request.get("images"))
            case = left_case(job.folder, job.isolation, alone)
            ticket.case_id = self.store.keep(case)
        except CaseError as error:
            self._end(ticket, "failed", f"The process that opened the file left no valid result. {error}")
            return
        except OSError as error:
            self._end(ticket, "failed", f"The case cannot be kept: {reason(error)}")
            return
        self._end(ticket, "done", "")

    def _end(self, ticket: Ticket, state: str, error: str) -> None:
        with self._lock:
            if ticket.active:
                ticket.state, ticket.error, ticket.ended = state, error, time.monotonic()
            if ticket.id in self._order:
                self._order.remove(ticket.id)
        if ticket.attached is not None:
            self.detach(ticket.attached)

    def _give_up(self, error: Exception) -> None:
        """After an unexpected error of the desk, the running ticket fails and the desk goes on with the next one."""
        with self._lock:
            job, self._job = self._job, None
            running = [job[0]] if job else [t for t in self._tickets.values() if t.state == "running"]
        for ticket in running:
            self._end(
                ticket, "failed", f"The inspection could not be followed ({type(error).__name__}); try again."
            )
            self._room.close(ticket.id)
        if job:
            with suppress(Exception):
                job[1].cancel()

    def _forget(self) -> None:
        ended = sorted((t for t in self._tickets.values() if not t.active), key=lambda t: t.ended)
        for ticket in ended[:-PICTURES_KEPT]:
            ticket.partial = None
        for ticket in ended[:-ENDED_KEPT]:
            self._tickets.pop(ticket.id, None)


def launch_worker(task: str, request: dict[str, Any], folder: Path) -> Running:
    """A job in a confined process of its own. It has the time that the request names."""
    from ti_core.worker import Job, Limits

    limits = Limits.for_seconds(request["seconds"]) if request.get("seconds") else Limits()
    return Job.start(task, request, folder, limits)
