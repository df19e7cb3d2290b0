"""First looks at files that wait: what each is and how long it would take, found in the background.

The page goes on meanwhile. One file at a time is looked at, in a confined process. A tab has one look at most: the next
one that it asks for ends the one before.
"""

from __future__ import annotations

import threading
import time
from collections import OrderedDict
from collections.abc import Callable
from typing import Any

from ti_core.errors import TrojanInterpretError
from ti_core.results.files.first_look import FirstLook

SECONDS = 60.0
"""How long one look may take."""
MOST_KEPT = 64
EVERY = 0.1
"""Seconds between two looks at whether the look is still wanted."""

Found = FirstLook | TrojanInterpretError
Look = Callable[[dict[str, Any], Callable[[], bool]], FirstLook | None]
"""Looks at the model of a request while the function says that it is wanted; None if it was not."""


class Looks:
    """The looks of all tabs.

    Parameters
    ----------
    look : looks at one model; see :func:`look_apart`.
    """

    def __init__(self, look: Look | None = None) -> None:
        self._look = look or look_apart
        self._asked: dict[str, str] = {}
        self._found: OrderedDict[str, Found] = OrderedDict()
        self._lock = threading.Lock()
        self._turn = threading.Lock()

    def ask(self, session: str, key: str, request: dict[str, Any]) -> None:
        """Have a look at a model, unless it is known or asked for already.

        A look that failed is tried again when the model is handed in again: the machine may have had no room or time.

        Parameters
        ----------
        session : the tab.
        key : of all that the look depends on.
        request : of the task "look".
        """
        with self._lock:
            if self._asked.get(session) == key:
                return
            self._asked[session] = key
            if isinstance(self._found.get(key), FirstLook):
                return
            self._found.pop(key, None)
        threading.Thread(target=self._work, args=(session, key, request), daemon=True, name="look").start()

    def found(self, key: str) -> Found | None:
        """What was found, or why nothing was; None while it is not known."""
        return self._found.get(key)

    def drop(self, session: str) -> None:
        """The tab no longer wants a look."""
        with self._lock:
            self._asked.pop(session, None)

    def _work(self, session: str, key: str, request: dict[str, Any]) -> None:
        def wanted() -> bool:
            return self._asked.get(session) == key

        with self._turn:
            if not wanted() or key in self._found:
                return
            try:
                found: Found | None = self._look(request, wanted)
            except TrojanInterpretError as error:
                found = error
        if found is None:
            return
        with self._lock:
            self._found[key] = found
            while len(self._found) > MOST_KEPT:
                self._found.popitem(last=False)


def look_apart(request: dict[str, Any], wanted: Callable[[], bool]) -> FirstLook | None:
    """Look at a model in a confined process. It is ended when the look is no longer wanted.

    Raises
    ------
    ModelFileError : the file cannot be opened as a model, or the look took too long.
    ResultError : the process left no valid result.
    """
    from ti_core.system.progress import silent_stage
    from ti_core.worker import Job, Limits
    from ti_core.worker.inspection_job import follow, look_of

    with Job.start("look", request, limits=Limits.for_seconds(SECONDS)) as job:
        while job.state == "running":
            if not wanted():
                return None
            time.sleep(EVERY)
        follow(job, silent_stage)
        return look_of(job)
