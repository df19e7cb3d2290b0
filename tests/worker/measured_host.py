"""The worker's host under ``make coverage``: its jobs may also write where coverage keeps what it measured.

A job is killed as soon as it has said how it went, so what was measured is written just before that.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import coverage

from ti_core.worker import child, host
from ti_core.worker.confinement import isolation

KEPT = Path(os.environ["COVERAGE_FILE"]).parent
confine, tell = isolation.isolate, child.Lines.line


def isolate(folders: list[Path], *more: Any, **others: Any) -> isolation.Isolation:
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
    host.main()
