"""``inspect``: argument values in, exit code out."""

from __future__ import annotations

import argparse
import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from textwrap import wrap

from ti_core.cli.bar import JobBar
from ti_core.cli.formats.page import page_of
from ti_core.cli.formats.writing import Documents, named_files
from ti_core.cli.opinions.beside_verdict import lines_of as lines_of_opinions
from ti_core.cli.opinions.beside_verdict import with_asked
from ti_core.cli.options import CLEAN, CODES, ERROR, declared_network, limits_of, model_of, request_of
from ti_core.cli.output import STDOUT, one_to_stdout, write
from ti_core.cli.shell.hub import fetched, is_on_a_hub
from ti_core.cli.shell.table import COLOURS
from ti_core.cli.terminal import complain, say
from ti_core.errors import ModelFileError, RefusedFileError, SettingsError
from ti_core.kinds import MAPPINGS, MappingKind
from ti_core.loading.digest import digest_of
from ti_core.methods.registry import chosen_methods
from ti_core.results.coverage import ANYWHERE, FOUND, NOT_LOOKED, Line, Row, lines_of, rows_of
from ti_core.results.formats.outcome import Outcome
from ti_core.results.report import Report
from ti_core.system.time_left import duration
from ti_core.text import plain, with_a_command
from ti_core.worker import Job, Limits, warm_up
from ti_core.worker import inspection_job as inspecting
from ti_core.worker.request import InspectionRequest

WIDTH = 80
"""Columns of the table of what was looked for."""
SHORT: Mapping[MappingKind, str] = {
    "all to one": "to one class",
    "one source": "from one class",
    "all to all": "every class",
}
"""Where a backdoor leads, as that table says it."""


REFUSALS = (ModelFileError.__name__, RefusedFileError.__name__)
"""Faults of a file that is not opened."""


def inspect_one(options: argparse.Namespace) -> int:
    """``inspect MODEL``."""
    printed_elsewhere = one_to_stdout((options.json, options.html, *named_files(options).values()))
    names = chosen_methods(options.opinions) if options.opinions else ()
    options.model = _model(options)
    request = request_of(options)
    if options.images is not None:
        request = request.with_(images=str(options.images.absolute()))
    limits = limits_of(options)
    if options.images is not None and options.pack is not None:
        raise SettingsError("Give either --pack or --images: with --images no reference pack takes part.")
    if options.file_only:
        return _describe(options, limits)
    if options.forecast:
        return _forecast(options, request, limits)
    warm_up(tasks=("inspect",))
    digest = digest_of(options.model)
    request = inspecting.for_model(request, options.model, digest).with_(
        case=bool(options.html),
        **declared_network(options.architecture),
    )
    documents = Documents(options)
    with Job.start("inspect", request.as_dict(), limits=limits) as job:
        bar = JobBar(options.model.name, options.quiet)
        try:
            inspecting.follow(job, bar, bar.expect, bar.so_far)
        except ModelFileError as error:
            if job.fault not in REFUSALS:
                raise
            documents.add(Outcome(options.model, digest, error=str(error), fault=job.fault))
            documents.write()
            raise ModelFileError(with_a_command(str(error), options.model.name)) from error
        finally:
            bar.close()
            if job.state != "done" and job.so_far is not None:
                complain(job.so_far.stopped())
        case = inspecting.read_case(job, options.images is not None) if options.html else None
        report = case.report if case else inspecting.report_of(job)
        if "problem" in report.cache:
            complain(plain(str(report.cache["problem"]), 500))
    report = with_asked(report, names, request, options)
    case = replace(case, report=report) if case else None
    page = page_of(case, request.pack) if case else ""
    fails = report.verdict in (options.fail_on or CODES)
    documents.add(Outcome(options.model, digest, report, fails=fails))
    if options.json:
        write(options.json, report.as_json() + "\n")
    if case:
        write(options.html, page)
    documents.write()
    if not printed_elsewhere and not options.quiet:
        first, *others = printed(report).splitlines()
        say((first, COLOURS[report.verdict]))
        for line in others:
            say((line, None))
    return CODES[report.verdict] if fails else CLEAN


def _model(options: argparse.Namespace) -> Path:
    """The model file or folder. One on a hub is fetched first."""
    if not is_on_a_hub(options.model) or options.model.exists():
        return model_of(options.model)
    folder, said = fetched(options.model)
    if not options.quiet:
        complain(said)
    return folder


def _forecast(options: argparse.Namespace, request: InspectionRequest, limits: Limits) -> int:
    """Print what the model is, and how long each effort takes with it. No verdict is given."""
    asked = request.with_(
        model=str(options.model.absolute()), cache=None, **declared_network(options.architecture)
    )
    with Job.start("look", asked.as_dict(), limits=limits) as job:
        inspecting.follow(job, lambda stage, share: None)
        look = inspecting.look_of(job)
    for sentence in look.sentences():
        print(plain(sentence, 2000))
    for effort, seconds in look.seconds.items():
        print(f"{effort}: about {duration(seconds)}")
    return 0 if look.seconds else ERROR


def _describe(options: argparse.Namespace, limits: Limits) -> int:
    with Job.start("describe", {"model": str(options.model.absolute())}, limits=limits) as job:
        inspecting.follow(job, lambda stage, share: None)
        found = inspecting.description_of(job)
    if options.json:
        write(options.json, json.dumps(found, indent=2) + "\n")
    for sentence in found["sentences"] if options.json != STDOUT else ():
        print(plain(sentence, 2000))
    return 0 if found["opens"] else ERROR


def printed(report: Report) -> str:
    """The verdict, its reasons, what opening the file did, and what was looked for, for a terminal."""
    told = (*report.reasons, *report.model.get("remarks", ()))
    lines = [report.sentence(), *report.limits(), *(f"  - {reason}" for reason in told)]
    lines += coverage_table(rows_of(report.coverage))
    lines += lines_of_opinions(report)
    return "\n".join(plain(line, 2000) for line in lines)


def coverage_table(rows: Sequence[Row]) -> list[str]:
    """What was looked for, and what was not and why, in lines of at most :data:`WIDTH` columns."""
    table = lines_of(rows)
    looked = [line for line in table if line.status != NOT_LOOKED]
    if not looked:
        return []
    cells = [("  Looked for", "result", "found", "false alarms")]
    cells += [(f"  {_what(line)}", _result(line), line.found_short, line.alarms_short) for line in looked]
    widths = [max(len(row[i]) for row in cells) for i in range(len(cells[0]))]
    lines = ["  ".join(cell.ljust(w) for cell, w in zip(row, widths, strict=True)).rstrip() for row in cells]
    for note in dict.fromkeys(line.note for line in looked if line.note):
        lines += _wrapped(f"  * {note}: {'; '.join(_what(line) for line in looked if line.note == note)}")
    lines += ["  Not looked for"] if len(looked) < len(table) else []
    for line in table[len(looked) :]:
        lines += _wrapped(f"  {_what(line)}: {line.note}")
    return lines


def _what(line: Line) -> str:
    leads = ANYWHERE if line.mappings == MAPPINGS else " or ".join(SHORT[m] for m in line.mappings)
    return f"{line.what}, {leads}"


def _result(line: Line) -> str:
    return f"{'FOUND' if line.status == FOUND else 'not found'}{' *' if line.note else ''}"


def _wrapped(text: str) -> list[str]:
    return wrap(text, WIDTH, subsequent_indent="    ")
