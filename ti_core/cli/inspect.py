"""What the commands do: argument values in, exit code out."""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path

from ti_core.cli.main import CODES, ERROR
from ti_core.errors import SettingsError
from ti_core.scan import ledger
from ti_core.scan import scan as scanning
from ti_core.worker import Job, Limits, warm_up
from ti_core.worker import inspection_job as inspecting
from ti_core.worker.protocol import plain


def inspect_one(options: argparse.Namespace) -> int:
    """``inspect MODEL``."""
    request = inspecting.request_of(options)
    limits = inspecting.limits_of(options)
    if options.images is not None and options.pack is not None:
        raise SettingsError("Give either --pack or --images: with --images no reference pack takes part.")
    if options.file_only:
        return _describe(options, limits)
    warm_up(tasks=("inspect",))
    digest = inspecting.digest_of(options.model)
    request = inspecting.for_model(request, options.model, digest)
    request["case"] = bool(options.html)
    request["images"] = str(options.images.absolute()) if options.images is not None else None
    request["declared"] = {"architecture": options.architecture} if options.architecture else {}
    with Job.start("inspect", request, limits=limits) as job:
        bar = Bar(options.model.name)
        try:
            inspecting.follow(job, bar)
        finally:
            bar.close()
        case = inspecting.case_of(job, options.images is not None) if options.html else None
        report = case.report if case else inspecting.report_of(job)
        if "problem" in report.cache:
            print(f"trojaninterpret: {plain(str(report.cache['problem']), 500)}", file=sys.stderr)
        if options.json:
            _write(options.json, report.as_json() + "\n")
    if case:
        _write(options.html, inspecting.page_of(case, request["pack"]))
    print(inspecting.printed(report))
    return CODES[report.verdict]


def _describe(options: argparse.Namespace, limits: Limits) -> int:
    with Job.start("describe", {"model": str(options.model.absolute())}, limits=limits) as job:
        inspecting.follow(job, lambda stage, share: None)
        found = job.result_json("file.json", inspecting.LARGEST_DESCRIPTION)
    if options.json:
        _write(options.json, json.dumps(found, indent=2) + "\n")
    for sentence in found.get("sentences", []):
        print(plain(str(sentence), 2000))
    return 0 if found.get("opens") is True else ERROR


def scan(options: argparse.Namespace) -> int:
    """``scan FOLDER_OR_FILES``: a line of JSON a model, written as it is finished; goes on past broken files."""
    request = inspecting.request_of(options)
    if options.jobs < 1:
        raise SettingsError(f"--jobs is at least 1, not {options.jobs}.")
    limits = inspecting.limits_of(options, options.jobs)
    files = scanning.model_files(options.paths)
    if not files:
        raise SettingsError("There is no model file to scan.")
    known = ledger.known_lines(options.jsonl) if options.jsonl else ()
    plan = scanning.Scan(files, request, options.jobs, limits, known, options.engine)
    out = options.jsonl.open("a") if options.jsonl else sys.stdout
    bar = Bar("scan")
    try:
        for line in plan.lines():
            print(json.dumps(line, allow_nan=False), file=out, flush=True)
            bar(f"{len(plan.outcomes)} of {len(files)}", len(plan.outcomes) / len(files))
    finally:
        bar.close()
        if options.jsonl:
            out.close()
    return CODES.get(ledger.worst(plan.outcomes.values()), ERROR)


def _write(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")


class Bar:
    """A progress bar on a terminal, nothing elsewhere."""

    def __init__(self, title: str) -> None:
        from tqdm import tqdm

        self._bar = tqdm(
            total=100,
            desc=title,
            disable=not sys.stderr.isatty(),
            leave=False,
            bar_format="{desc}: {percentage:3.0f}% |{bar:24}| {postfix}",
        )

    def __call__(self, stage: str, share: float) -> None:
        self._bar.n = round(100 * share)
        self._bar.set_postfix_str(stage)
        self._bar.refresh()

    def close(self) -> None:
        self._bar.close()
