"""A finding about a file: its severity, and a sentence."""

from __future__ import annotations

import enum
from dataclasses import dataclass


class Severity(enum.Enum):
    """The severity of a finding. The value holds its rank and the meaning of the rank."""

    FINE = (0, "It belongs in a model file.")
    UNUSUAL = (1, "It is unusual, but does no harm.")
    UNREADABLE = (2, "The file cannot be opened as a model.")
    REFUSED = (3, "Opening it elsewhere could run code or exhaust the machine, so it is not opened.")
    MALICIOUS = (4, "It is a known means of running code when a file is opened.")

    @property
    def rank(self) -> int:
        return self.value[0]

    @property
    def meaning(self) -> str:
        return self.value[1]


@dataclass(frozen=True)
class Finding:
    """One thing found in a file."""

    severity: Severity
    sentence: str

    def __str__(self) -> str:
        return self.sentence


def worst(findings: list[Finding]) -> Finding | None:
    """The most severe finding, and among equals the first; None if there are no findings."""
    return max(findings, key=lambda f: f.severity.rank, default=None)
