"""Asks methods of other publications about a model in a confined process, one request at a time."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from app.jobs.apart import Apart
from ti_core.methods.opinion import Opinions
from ti_core.worker.inspection_job import opinions_of

SECONDS = 1800.0
"""How long one request may take."""
BUSY = "Methods are asked about another model now; try again in a few minutes."

_work = Apart("opinions", SECONDS, BUSY)


def asked(request: dict[str, Any], tell: Callable[[str, float], None]) -> Opinions:
    """What the methods say. The work is stopped if ``tell`` raises, as when the visitor leaves.

    Parameters
    ----------
    request : of the task "opinions".
    tell : called with the method and its share several times a second.

    Raises
    ------
    ModelFileError : it failed, or another model is judged now.
    ResultError : the process left no valid result.
    """
    return _work.run(request, tell, opinions_of)
