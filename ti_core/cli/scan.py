"""``scan``: argument values in, exit code out."""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import closing, nullcontext
from functools import partial
from pathlib import Path
from typing import Any

from ti_core.cli.bar import Bar
from ti_core.cli.formats.page import page_of
from ti_core.cli.formats.writing import Documents, named_files
from ti_core.cli.options import CODES, ERROR, limits_of, request_of
from ti_core.cli.output import STDOUT, lines_to, one_to_stdout, write
from ti_core.cli.shell.table import Table, stream_for
from ti_core.cli.terminal import complain
from ti_core.errors import CaseError, PackError, SettingsError
from ti_core.results.formats.outcome import Outcome
from ti_core.scan import ledger
from ti_core.scan import scan as scanning
from ti_core.scan.baseline import Baseline
from ti_core.system.time_left import duration
from ti_core.text import shown
from ti_core.worker import Job
from ti_core.worker.inspection_job import read_case
from ti_core.worker.results import ResultError

Line = dict[str, Any]


def scan(options: argparse.Namespace) -> int:
    """``scan FOLDER_OR_FILES``: a line for each model when it is finished. Broken files do not stop it."""
    request = request_of(options)
    if options.jobs < 1:
        raise SettingsError(f"--jobs is at least 1, not {options.jobs}.")
    if options.html and options.engine == "ray":
        raise SettingsError("--html needs the results on this machine; leave out --engine ray.")
    limits = limits_of(options, options.jobs)
    files = scanning.model_files(options.paths)
    if not files:
        endings = ", ".join(sorted(scanning.MODEL_ENDINGS))
        raise SettingsError(
            f"There is no model file to scan. Name a file, or a folder with files that end in {endings}."
        )
    jsonl = _lines_file(options)
    printed = one_to_stdout((jsonl, *named_files(options).values()))
    kept = jsonl is not None and jsonl != STDOUT
    known = ledger.known_lines(jsonl) if kept and jsonl else ()
    plan = scanning.Scan(
        files, request.with_(case=bool(options.html)), options.jobs, limits, known, options.engine
    )
    if options.html:
        plan.finished = partial(_keep_page, options.html, request.pack)
    baseline = Baseline(ledger.known_lines(options.baseline, mend=False)) if options.baseline else None
    with closing(Bar("scan", options.quiet)) as bar:
        told = _Told(options, baseline, Table(stream_for(options.quiet, printed), files, bar.clear))
        with lines_to(jsonl) if jsonl else nullcontext(lambda line: None) as put:
            begun = time.monotonic()
            for count, line in enumerate(_written(plan, put), 1):
                told.add(line)
                finished = len(plan.outcomes)
                left = (time.monotonic() - begun) / count * (len(files) - finished)
                rest = f", about {duration(left)} left" if finished < len(files) else ""
                bar(f"{finished} of {len(files)}{rest}", finished / len(files))
        if kept and jsonl and plan.passed_over:
            for line in plan.lines_passed_over(ledger.known_lines(jsonl)):
                told.add(line, shown_now=False)
    told.finish(plan)
    return CODES.get(ledger.worst(told.failing(plan)), ERROR)


def _lines_file(options: argparse.Namespace) -> Path | None:
    """Where the lines of JSON go. On a terminal people read the table instead, unless they ask for the lines."""
    if options.jsonl is not None:
        return Path(options.jsonl)
    taken = STDOUT in named_files(options).values()
    return None if taken or (sys.stdout is not None and sys.stdout.isatty()) else STDOUT


def _written(plan: scanning.Scan, put: Callable[[str], None]) -> Iterator[Line]:
    for line in plan.lines():
        put(json.dumps(line, allow_nan=False))
        yield line


class _Told:
    """What is said of the files beside the lines of JSON: the table, the documents, the exit code."""

    def __init__(self, options: argparse.Namespace, baseline: Baseline | None, table: Table) -> None:
        self._fails = frozenset(options.fail_on or ("backdoored", "inconclusive", "error"))
        self._baseline, self._table, self._documents = baseline, table, Documents(options)
        self._known: set[str] = set()

    def add(self, line: Line, shown_now: bool = True) -> None:
        known = None if self._baseline is None else self._baseline.knows(line)
        outcome = Outcome.of(line, ledger.outcome(line) in self._fails, known)
        if known and outcome.verdict != "clean":
            self._known.add(line["file"])
        self._documents.add(outcome)
        if shown_now:
            self._table.add(outcome)

    def failing(self, plan: scanning.Scan) -> Iterator[str]:
        """The outcomes that count for the exit code."""
        for file, verdict in plan.outcomes.items():
            if verdict in self._fails and file not in self._known:
                yield verdict

    def finish(self, plan: scanning.Scan) -> None:
        self._documents.write()
        self._table.summary(list(plan.outcomes.values()), len(plan.passed_over), len(self._known))


def _keep_page(folder: Path, pack: str | None, path: Path, digest: str, job: Job) -> None:
    """Write the page of one model. A page that cannot be made does not stop the scan."""
    try:
        page = page_of(read_case(job, alone=False), pack)
    except (PackError, CaseError, ResultError) as error:
        complain(f"There is no page of {shown(path.name)}: {error}")
        return
    write(folder / f"{path.name}-{digest[:8]}.html", page)
