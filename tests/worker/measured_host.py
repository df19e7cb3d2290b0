"""The worker's host under ``make coverage``: its jobs may also write where coverage keeps what it measured.

A job is killed as soon as it has said how it went, so what was measured is written just before that.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import coverage
from coverage import sqldata

from ti_core.worker import child, host
from ti_core.worker.confinement import claims, isolation

KEPT = Path(os.environ["COVERAGE_FILE"]).parent
confine, tell = isolation.isolate, child.Lines.line


def isolate(folders: list[Path], *more: Any, **others: Any) -> claims.Means:
    return confine([*folders, KEPT], *more, **others)


def line(self: child.Lines, kind: str, **values: Any) -> None:
    measured = coverage.Coverage.current()
    if kind in ("done", "failed") and measured is not None:
        measured.stop()
        measured.save()
        measured.save = lambda: None  # type: ignore[method-assign]
    tell(self, kind, **values)


if __name__ == "__main__":
    child.isolate = isolate  # type: ignore[attr-defined]
    child.Lines.line = line  # type: ignore[method-assign]
    # A job may neither delete nor rename. Coverage deletes the file that it will make, and renames it at the end.
    sqldata.file_be_gone = lambda path: None
    sqldata.os.rename = os.link
    host.main()
