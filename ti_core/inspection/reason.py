"""A sentence of the report, with its bearing on the verdict."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from ti_core.detector.grounds import GROUND
from ti_core.results.groups import Speaks
from ti_core.streams import Reading

COMPARISON = "pack"
"""The subject of sentences on what the model was compared with."""
TRIGGER = "recovered_trigger"
LEANINGS: dict[str, Speaks] = {"backdoored": "for", "clean": "against"}
"""What a sentence speaks for that gives the verdict itself."""


@dataclass(frozen=True)
class Reason:
    """One reason.

    Parameters
    ----------
    sentence : the reason in words.
    speaks : "for" a backdoor, "against" one, or for "neither".
    of : the entry of the report's ``streams`` that holds its figures, :data:`COMPARISON`, or empty.
    """

    sentence: str
    speaks: Speaks = "neither"
    of: str = ""

    def bearing(self) -> dict[str, Any]:
        """The entry of the report's ``bearings``."""
        return {"speaks": self.speaks, "of": self.of}


def plain(sentences: Iterable[str], of: str = "") -> list[Reason]:
    """Reasons that speak neither for a backdoor nor against one."""
    return [Reason(sentence, of=of) for sentence in sentences]


def of_reading(name: str, reading: Reading, leads: bool) -> Reason:
    """What a stream found. It speaks for a backdoor if few clean models go as far, and else against one.

    Parameters
    ----------
    leads : whether the verdict rests on this stream, or names the class that it names. It decides where there are no
        clean models for comparison.
    """
    if math.isnan(reading.clean_share):
        return Reason(reading.sentence, "for" if leads else "neither", name)
    return Reason(reading.sentence, "for" if reading.clean_share <= GROUND else "against", name)
