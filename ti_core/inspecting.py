"""``inspect`` and ``scan`` of the command line: what is asked of the worker, and what is made of its answers.

This process opens no model file and imports no torch.
"""

from __future__ import annotations

import argparse
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

from ti_core.errors import ModelFileError, SettingsError
from ti_core.folders import default_folder
from ti_core.report import Report
from ti_core.settings import Settings
from ti_core.worker import Event, Job, Limits
from ti_core.worker.limits import GIB
from ti_core.worker.protocol import plain
from ti_core.worker.results import ResultError

LARGEST_REPORT = 20_000_000
LARGEST_PAGE = 100_000_000

Tell = Callable[[str, float], None]


def limits_of(options: argparse.Namespace, jobs: int = 1) -> Limits:
    """The limits of each of ``jobs`` processes.

    Raises
    ------
    SettingsError : a limit under which nothing could be inspected.
    """
    standard = Limits()
    memory = options.memory * GIB if options.memory is not None else standard.memory_bytes / jobs
    minutes = options.minutes if options.minutes is not None else standard.wall_seconds / 60
    if not memory >= GIB / 2:
        raise SettingsError(f"--memory is at least 0.5 (GB a process), not {memory / GIB:.2g}.")
    if not 0 < minutes < 1e6:
        raise SettingsError(f"--minutes is more than 0, not {minutes:g}.")
    threads = os.cpu_count() or 1
    return Limits(int(memory), int(minutes * 60 * threads) + 1, minutes * 60)


def request_of(path: Path, options: argparse.Namespace, settings: Settings) -> dict[str, Any]:
    """What the worker is asked; every path absolute, since it works in another folder."""
    return {
        "model": str(path.absolute()),
        "pack": _pack(options.pack),
        "settings": settings.as_dict(),
        "device": options.device,
        "cache": None if options.no_cache else str(default_folder().absolute()),
    }


def _pack(name: str | None) -> str | None:
    """A bundled pack's name as it is, a folder's absolute path."""
    if name is None or not Path(name).is_dir() or (len(Path(name).parts) == 1 and _bundled(name)):
        return name
    return str(Path(name).absolute())


def _bundled(name: str) -> bool:
    return (Path(__file__).resolve().parent.parent / "assets" / "packs" / name / "pack.json").is_file()


def follow(job: Job, tell: Tell) -> None:
    """Wait for a job.

    Raises
    ------
    ModelFileError : it failed; the text is its sentence.
    """

    def hear(event: Event) -> None:
        if event.kind == "progress":
            tell(event.stage, event.share)

    job.wait(hear)
    if job.state != "done":
        raise ModelFileError(job.error or "The work ended without a result.")


def report_of(job: Job) -> Report:
    """The report that a job left.

    Raises
    ------
    ResultError : it left none, or not a proper one.
    """
    record = job.result_json("report.json", LARGEST_REPORT)
    try:
        # What confined it is this process's to say.
        return Report.from_dict({**record, "isolation": job.isolation})
    except (ValueError, TypeError) as error:
        raise ResultError(f"The result report.json is not readable: {error}.") from error


def page_of(job: Job) -> str:
    """The HTML report that a job left; the policy that forbids scripts stands before everything else in it.

    Raises
    ------
    ResultError : it left none, or not a proper one.
    """
    from ti_core.html import POLICY

    page = job.result("report.html", LARGEST_PAGE).decode("utf-8", "replace")
    head = (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
        f'<meta http-equiv="Content-Security-Policy" content="{POLICY}">'
    )
    if not page.startswith(head):
        raise ResultError("The result report.html is not readable.")
    return page


def printed(report: Report) -> str:
    """The verdict and its reasons, for a terminal."""
    lines = [report.sentence(), *(f"  - {reason}" for reason in report.reasons)]
    return "\n".join(plain(line, 2000) for line in lines)
