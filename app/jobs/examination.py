"""Examines training data in a confined process, one request at a time."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from app.jobs.apart import Apart
from ti_core.methods.training_data.record import FILE, LARGEST_FILE, LARGEST_PICTURES, PICTURES, Found

SECONDS = 1800.0
"""How long one examination may take."""
BUSY = "Other training data are examined now; try again in a few minutes."

_work = Apart("examine data", SECONDS, BUSY)


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
    return _work.run(
        request,
        tell,
        lambda job: Found.of(job.result_json(FILE, LARGEST_FILE), job.result(PICTURES, LARGEST_PICTURES)),
    )
