"""The verdict so far, as plain data: what the streams that are done say, and which are not done yet.

A worker tells it while it works. It is checked, since the file may have taken over the worker.
"""

from __future__ import annotations

import re
from dataclasses import asdict, dataclass
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, Field

from ti_core.results.coverage import joined
from ti_core.results.report import percent
from ti_core.stream_registry import STREAMS
from ti_core.system.records import Group, Number, Text, matching
from ti_core.system.schema import checked
from ti_core.text import plain

TRIGGER = "trigger"
"""Stands among the streams that are not done where the trigger is still to be recovered."""
LONGEST_NAME = 80


@dataclass(frozen=True)
class SoFar:
    """The verdict so far.

    Parameters
    ----------
    verdict, probability : by the same judgement as the final verdict's, from these streams alone.
    streams : names of the streams that it rests on, in the order in which they ran.
    ahead : names of those that are not done, in order; :data:`TRIGGER` for the recovered trigger.
    target : the suspected class's name, or None.
    """

    verdict: str
    probability: float
    streams: tuple[str, ...]
    ahead: tuple[str, ...]
    target: str | None = None

    def as_dict(self) -> dict[str, Any]:
        """Plain data for JSON."""
        target = None if self.target is None else plain(self.target, LONGEST_NAME)
        return asdict(self) | {"streams": list(self.streams), "ahead": list(self.ahead), "target": target}

    @classmethod
    def of(cls, record: Any) -> SoFar:
        """What :meth:`as_dict` wrote.

        Raises
        ------
        ValueError : it is anything else.
        """
        checked(SoFarRecord, "A verdict so far", record)
        target = record["target"]
        return cls(
            record["verdict"],
            float(record["probability"]),
            tuple(record["streams"]),
            tuple(record["ahead"]),
            None if target is None else plain(target, LONGEST_NAME),
        )

    def sentence(self) -> str:
        """It in words, while the work goes on."""
        return f"So far: {self._said()} Not looked at yet: {joined(self.ahead)}."

    def stopped(self) -> str:
        """It in words, once the work was stopped."""
        return (
            f"Before the inspection was stopped, the verdict so far was: {self._said()}"
            f" Not looked at: {joined(self.ahead)}."
        )

    def _said(self) -> str:
        towards = "" if self.target is None else f", towards class {self.target}"
        return (
            f"{self.verdict}{towards} (probability of a backdoor {percent(self.probability)}), from"
            f" {joined(self.streams)}."
        )


def _one_of(*names: str) -> AfterValidator:
    return matching(re.compile("|".join(map(re.escape, names))))


class SoFarRecord(Group):
    """:meth:`SoFar.as_dict`."""

    verdict: Literal["clean", "inconclusive", "backdoored"]
    probability: Number = Field(ge=0, le=1)
    streams: list[Annotated[Text, _one_of(*STREAMS)]] = Field(min_length=1, max_length=len(STREAMS))
    ahead: list[Annotated[Text, _one_of(*STREAMS, TRIGGER)]] = Field(min_length=1, max_length=len(STREAMS))
    target: Text | None
