"""``scan``: argument values in, exit code out."""

from __future__ import annotations

import argparse
import json
from contextlib import closing

from ti_core.cli.bar import Bar
from ti_core.cli.options import CODES, ERROR, limits_of, request_of
from ti_core.cli.output import STDOUT, lines_to
from ti_core.errors import SettingsError
from ti_core.scan import ledger
from ti_core.scan import scan as scanning


def scan(options: argparse.Namespace) -> int:
    """``scan FOLDER_OR_FILES``: writes one line of JSON when a model is finished. Broken files do not stop it."""
    request = request_of(options)
    if options.jobs < 1:
        raise SettingsError(f"--jobs is at least 1, not {options.jobs}.")
    limits = limits_of(options, options.jobs)
    files = scanning.model_files(options.paths)
    if not files:
        raise SettingsError("There is no model file to scan.")
    known = ledger.known_lines(options.jsonl) if options.jsonl != STDOUT else ()
    plan = scanning.Scan(files, request, options.jobs, limits, known, options.engine)
    with lines_to(options.jsonl) as put, closing(Bar("scan")) as bar:
        for line in plan.lines():
            put(json.dumps(line, allow_nan=False))
            bar(f"{len(plan.outcomes)} of {len(files)}", len(plan.outcomes) / len(files))
    return CODES.get(ledger.worst(plan.outcomes.values()), ERROR)
