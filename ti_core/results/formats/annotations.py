"""Notes in a change request: the commands that GitHub reads from a log, and GitLab's code-quality report."""

from __future__ import annotations

import hashlib
import json
from typing import Any

from ti_core.results.formats.outcome import Outcome


class GitHub:
    """A line for each file that makes the command fail and was not known before."""

    def __init__(self) -> None:
        self._lines: list[str] = []

    def add(self, outcome: Outcome) -> None:
        """One more file."""
        if outcome.verdict == "clean" or outcome.known:
            return
        level = "error" if outcome.fails and outcome.verdict != "inconclusive" else "warning"
        title = outcome.rule.title if outcome.rule else "Not inspected"
        self._lines.append(
            f"::{level} file={_property(outcome.name)},title={_property(title)}::{_escaped(outcome.message)}\n"
        )

    def text(self) -> str:
        """The lines."""
        return "".join(self._lines)


def _escaped(text: str) -> str:
    return text.replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")


def _property(text: str) -> str:
    return _escaped(text).replace(":", "%3A").replace(",", "%2C")


class GitLab:
    """A code-quality report: a list of findings."""

    def __init__(self) -> None:
        self._found: list[dict[str, Any]] = []

    def add(self, outcome: Outcome) -> None:
        """One more file."""
        if outcome.verdict == "clean" or outcome.known:
            return
        rule = outcome.rule
        name = rule.id if rule else "not-inspected"
        key = f"{name} {outcome.sha256} {outcome.name}"
        severe = "major" if rule is None else "critical" if rule.level == "error" else "minor"
        self._found.append(
            {
                "description": outcome.message,
                "check_name": name,
                "fingerprint": hashlib.sha256(key.encode()).hexdigest(),
                "severity": severe,
                "location": {"path": outcome.name, "lines": {"begin": 1}},
            }
        )

    def text(self) -> str:
        """The report."""
        return json.dumps(self._found, indent=2) + "\n"
