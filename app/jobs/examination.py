"""Examines training data in a confined process, one request at a time."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import Any

from ti_core.errors import ModelFileError
from ti_core.methods.training_data.record import FILE, LARGEST_FILE, LARGEST_PICTURES, PICTURES, Found

SECONDS = 1800.0
"""How long one examination may take."""
TICK = 0.2
BUSY = "Other training data are examined now; try again in a few minutes."

_one = threading.Lock()


def examined(request: dict[str, Any], tell: Callable[[str, float], None]) -> Found:
    """What the worker finds in training data. It is stopped if ``tell`` raises, as when the visitor leaves.

    Parameters
    ----------
    tell : called with the stage and its share several times a second.

    Raises
    ------
    ModelFileError : it failed, or other data are examined now.
    DataError, ResultError : the process left no valid result.
    """
    from ti_core.worker import Job, Limits

    if not _one.acquire(blocking=False):
        raise ModelFileError(BUSY)
    try:
        with Job.start("examine data", request, limits=Limits.for_seconds(SECONDS)) as job:
            stage, share = "opening", 0.0
            while job.state == "running":
                for event in job.poll():
                    if event.kind == "progress":
                        stage, share = event.stage, event.share
                tell(stage, share)
                time.sleep(TICK)
            if job.state != "done":
                raise ModelFileError(job.error or "The work ended without a result.")
            return Found.of(job.result_json(FILE, LARGEST_FILE), job.result(PICTURES, LARGEST_PICTURES))
    finally:
        _one.release()
