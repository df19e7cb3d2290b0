"""What became of one model file: a report, or the sentence that says why there is none."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote

from ti_core.results.formats.taxonomy import BY_KIND, REFUSED, UNDECIDED, Rule
from ti_core.results.report import Report
from ti_core.text import plain, shown

REFUSAL = "RefusedFileError"
"""Name of the fault of a file that opening could make run code or exhaust the machine."""
LONGEST = 1000
"""Characters of a message."""


@dataclass(frozen=True)
class Outcome:
    """What became of one model file.

    Parameters
    ----------
    path : as the command line named it.
    sha256 : digest of the file; empty if it could not be read.
    report, error : one of both is None.
    fault : name of the error's class.
    fails : whether the command fails because of it.
    known : whether an earlier scan said the same; None if the scan is not compared with one.
    """

    path: Path
    sha256: str
    report: Report | None = None
    error: str | None = None
    fault: str | None = None
    fails: bool = True
    known: bool | None = None

    @classmethod
    def of(cls, line: Mapping[str, Any], fails: bool = True, known: bool | None = None) -> Outcome:
        """The outcome that a line of ``scan`` tells. The line was made by this program."""
        report = None if "error" in line else Report.of(line)
        return cls(
            Path(line["file"]), line["sha256"], report, line.get("error"), line.get("fault"), fails, known
        )

    @property
    def verdict(self) -> str:
        """ "clean", "backdoored", "inconclusive", or "error"."""
        return self.report.verdict if self.report else "error"

    @property
    def rule(self) -> Rule | None:
        """The kind of finding; None for a clean model, and for a file that says nothing about itself."""
        if self.report is None:
            return REFUSED if self.fault == REFUSAL else None
        if self.report.verdict == "backdoored":
            return BY_KIND[self.report.trigger_kind]
        return UNDECIDED if self.report.verdict == "inconclusive" else None

    @property
    def message(self) -> str:
        """It in a sentence."""
        return plain(self.report.sentence() if self.report else (self.error or ""), LONGEST)

    @property
    def name(self) -> str:
        """The path, fit to show."""
        return shown(self.path.as_posix(), 500)

    @property
    def address(self) -> str:
        """The path as a reference that a URI may hold. A relative path stays relative."""
        escaped = quote(os.fsencode(self.path.as_posix()))
        return f"file://{escaped}" if self.path.is_absolute() else escaped

    @property
    def seconds(self) -> float:
        """How long the inspection took."""
        return sum(self.report.timings.values()) if self.report else 0.0
