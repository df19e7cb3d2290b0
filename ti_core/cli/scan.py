"""``scan``: argument values in, exit code out."""

from __future__ import annotations

import argparse
import json
import sys

from ti_core.cli.bar import Bar
from ti_core.cli.options import CODES, ERROR, limits_of, request_of
from ti_core.errors import SettingsError
from ti_core.scan import ledger
from ti_core.scan import scan as scanning


def scan(options: argparse.Namespace) -> int:
    """``scan FOLDER_OR_FILES``: a line of JSON a model, written as it is finished; goes on past broken files."""
    request = request_of(options)
    if options.jobs < 1:
        raise SettingsError(f"--jobs is at least 1, not {options.jobs}.")
    limits = limits_of(options, options.jobs)
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
