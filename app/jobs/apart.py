"""Work of one kind in a confined process, asked for within the run of a page: one request at a time."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, TypeVar

from ti_core.errors import ModelFileError

if TYPE_CHECKING:
    from ti_core.worker import Job

TICK = 0.2
Result = TypeVar("Result")


class Apart:
    """One kind of work.

    Parameters
    ----------
    task : of :data:`ti_core.worker.tasks.TASKS`.
    seconds : how long one request may take.
    busy : what a visitor is told while another request is under way.
    """

    def __init__(self, task: str, seconds: float, busy: str) -> None:
        self._task, self._seconds, self._busy = task, seconds, busy
        self._turn = threading.Lock()

    def run(
        self, request: dict[str, Any], tell: Callable[[str, float], None], take: Callable[[Job], Result]
    ) -> Result:
        """What ``take`` reads of the finished job. The work is stopped if ``tell`` raises, as when the visitor leaves.

        Parameters
        ----------
        tell : called with the stage and its share several times a second.

        Raises
        ------
        ModelFileError : it failed, or another request is under way.
        """
        from ti_core.worker import Job, Limits

        if not self._turn.acquire(blocking=False):
            raise ModelFileError(self._busy)
        try:
            with Job.start(self._task, request, limits=Limits.for_seconds(self._seconds)) as job:
                stage, share = "opening", 0.0
                while job.state == "running":
                    for event in job.poll():
                        if event.kind == "progress":
                            stage, share = event.stage, event.share
                    tell(stage, share)
                    time.sleep(TICK)
                if job.state != "done":
                    raise ModelFileError(job.error or "The work ended without a result.")
                return take(job)
        finally:
            self._turn.release()
