"""Errands: work in a confined process that goes on while pages are drawn. A page polls them and may cancel them."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from ti_core.errors import TrojanInterpretError

if TYPE_CHECKING:
    from ti_core.worker import Job, Limits

EVERY = 0.2
"""Seconds between two looks at the job."""
NO_RESULT = "The work ended without a result; try again."
Result = TypeVar("Result")


class Errand(Generic[Result]):
    """One errand. It begins at once in a thread of its own.

    Parameters
    ----------
    start : starts the job.
    take : reads the result of the finished job.
    wanted : whether somebody still wants it; if not, it is cancelled.
    after : called at the end, however it ends.
    turn : errands with the same lock run one after the other.

    Attributes
    ----------
    state : "waiting", "running", "done", "failed" or "cancelled".
    stage, share : the present stage of the work, and its share that is done.
    error : why it failed, in a sentence.
    result : of the finished errand.
    """

    def __init__(
        self,
        start: Callable[[], Job],
        take: Callable[[Job], Result],
        wanted: Callable[[], bool],
        after: Callable[[], None],
        turn: threading.Lock,
    ) -> None:
        self.state = "waiting"
        self.stage, self.share = "opening", 0.0
        self.error = ""
        self.result: Result | None = None
        self._start, self._take, self._wanted, self._after, self._turn = start, take, wanted, after, turn
        self._cancelled = threading.Event()
        self._thread = threading.Thread(target=self._work, daemon=True, name="errand")
        self._thread.start()

    @property
    def active(self) -> bool:
        return self.state in ("waiting", "running")

    def cancel(self) -> None:
        """Stop it. The work has ended when this returns."""
        self._cancelled.set()
        self._thread.join(10.0)

    def _stopped(self) -> bool:
        return self._cancelled.is_set() or not self._wanted()

    def _work(self) -> None:
        ended = "failed"
        try:
            while not self._turn.acquire(timeout=EVERY):
                if self._stopped():
                    ended = "cancelled"
                    return
            try:
                ended = self._run()
            finally:
                self._turn.release()
        except TrojanInterpretError as error:
            self.error = str(error)
        except Exception as error:
            self.error = f"Something unexpected stopped the work ({type(error).__name__}); try again."
        finally:
            self._after()
            self.state = ended

    def _run(self) -> str:
        """How the job ended."""
        if self._stopped():
            return "cancelled"
        self.state = "running"
        with self._start() as job:
            while job.state == "running":
                for event in job.poll():
                    if event.kind == "progress":
                        self.stage, self.share = event.stage, event.share
                if self._stopped():
                    job.cancel()
                    return "cancelled"
                self._cancelled.wait(EVERY)
            if job.state != "done":
                self.error = job.error or NO_RESULT
                return "failed"
            self.result = self._take(job)
        return "done"


def starter(task: str, request: dict[str, Any], limits: Limits) -> Callable[[], Job]:
    """Starts a job of a confined process."""

    def start() -> Job:
        from ti_core.worker import Job

        return Job.start(task, request, limits=limits)

    return start
