"""The lines that a job writes while it works: JSON, bounded in length and number, and checked when they are read."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from ti_core.text import plain

if TYPE_CHECKING:
    from ti_core.results.so_far import SoFar

LONGEST_MESSAGE = 150_000
LONGEST_LINE = 8192
MOST_BYTES = 16 * 1024**2
"""Maximum number of bytes of one job's lines. An honest job needs a few kilobytes."""
MOST_TEXT = 1500
SO_FAR = "so far"
KINDS = ("isolation", "progress", "expected", "partial", SO_FAR, "done", "failed")
MOST_STAGES = 64
LONGEST_STAGE = 1e9


@dataclass(frozen=True)
class Event:
    """One event that a job reported.

    Parameters
    ----------
    kind : "progress", "expected", "partial" (a result file is there before the end), "so far", "done" or "failed".
    stage : the current stage; for "partial" the name of the result.
    share : the finished share of the stage, 0 to 1.
    text : for "failed" one sentence for a person.
    stages : for "expected" the seconds that each stage takes, in order.
    fault : for "failed" the name of the expected error's class (:mod:`ti_core.errors`), else empty.
    so_far : for "so far" the verdict from what is done.
    """

    kind: str
    stage: str = ""
    share: float = 0.0
    text: str = ""
    fault: str = ""
    stages: Mapping[str, float] = field(default_factory=dict)
    so_far: SoFar | None = None


class MalformedLineError(Exception):
    """A job wrote a line that does not follow this protocol."""


def encode(kind: str, **values: Any) -> bytes:
    """One line. Texts are cut so that the line is never longer than the reader accepts."""
    cut = {k: plain(v, MOST_TEXT, lines=True) if isinstance(v, str) else v for k, v in values.items()}
    return json.dumps({"kind": kind} | cut, ensure_ascii=False).encode("utf-8", "replace") + b"\n"


def decode(line: bytes) -> tuple[Event, Mapping[str, str]]:
    """The event of one line; for "isolation" the means that are in effect.

    Raises
    ------
    MalformedLineError : the line is no JSON object of the expected kinds and types.
    """
    try:
        record = json.loads(line.decode("utf-8"))
    except (ValueError, RecursionError) as error:
        raise MalformedLineError from error
    if not isinstance(record, dict) or record.get("kind") not in KINDS:
        raise MalformedLineError
    stage, text, fault = (record.get(name, "") for name in ("stage", "text", "fault"))
    share = record.get("share", 0.0)
    if not all(isinstance(words, str) for words in (stage, text, fault)) or isinstance(share, bool):
        raise MalformedLineError
    if not isinstance(share, (int, float)) or not -1 <= share <= 2:
        raise MalformedLineError
    holds = record.get("holds", {})
    if not isinstance(holds, dict) or not all(isinstance(v, str) for v in holds.values()):
        raise MalformedLineError
    stages = record.get("stages", {})
    if not isinstance(stages, dict) or len(stages) > MOST_STAGES or not all(map(_is_time, stages.values())):
        raise MalformedLineError
    event = Event(
        record["kind"],
        plain(stage, 80),
        min(max(float(share), 0.0), 1.0),
        plain(text, MOST_TEXT, lines=True),
        plain(fault, 80),
        {plain(name, 80): float(seconds) for name, seconds in stages.items()},
        _so_far(record.get("so_far")) if record["kind"] == SO_FAR else None,
    )
    return event, {plain(k, 40): plain(v, MOST_TEXT) for k, v in holds.items()}


def _so_far(record: Any) -> SoFar:
    from ti_core.results.so_far import SoFar

    try:
        return SoFar.of(record)
    except ValueError as error:
        raise MalformedLineError from error


def _is_time(value: Any) -> bool:
    number = isinstance(value, (int, float)) and not isinstance(value, bool)
    return number and math.isfinite(value) and 0 <= value <= LONGEST_STAGE
