"""What an earlier scan found, so that a pipeline sees only what is new."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping
from typing import Any

from ti_core.scan.ledger import outcome


class Baseline:
    """The findings of an earlier scan: of which file, which verdict, and which trigger to which class.

    Parameters
    ----------
    lines : of the earlier scan. Its settings may be others.
    """

    def __init__(self, lines: Iterable[Mapping[str, Any]]) -> None:
        self._known = {_finding(line) for line in lines}

    def knows(self, line: Mapping[str, Any]) -> bool:
        """Whether the earlier scan said the same of a file with the same content."""
        return _finding(line) in self._known


def _finding(line: Mapping[str, Any]) -> bytes:
    """A digest of what a line found. A file that could not be read has no digest, so its name counts."""
    content = line.get("sha256") or line.get("file")
    said = [content, outcome(line), line.get("trigger_kind"), line.get("target_class")]
    return hashlib.sha256(json.dumps(said).encode()).digest()
