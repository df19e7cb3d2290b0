"""``evaluate``: argument values in, exit code out."""

from __future__ import annotations

import argparse
import json
from typing import Any

from ti_core.cli.options import pairs
from ti_core.cli.output import STDOUT, write
from ti_core.system.cache import Cache, default_folder


def evaluate_pack(options: argparse.Namespace) -> int:
    """``evaluate --pack NAME``, at the pack's own settings with the changes of ``--set``."""
    from ti_core.cli.bar import Bar
    from ti_core.reference.pack import load_pack
    from ti_core.system.memory import keep_freed_memory

    keep_freed_memory()
    found = load_pack(options.pack)
    settings = found.settings_with(pairs(options.settings))
    cache = Cache(default_folder())
    bar = Bar(found.name)
    rows: list[Any]
    try:
        if options.shift:
            from ti_core.cli.tables import shift_text
            from ti_core.evaluation.shift import shift

            shifted = shift(found, settings, options.members, cache, bar)
            rows, text = list(shifted.rows), shift_text(found, shifted)
        elif options.ablations:
            from ti_core.cli.tables import ablations_text
            from ti_core.evaluation.ablations import ablate

            ablated = ablate(found, settings, options.members, options.automl_budget, cache, bar)
            rows, text = list(ablated.rows), ablations_text(found, ablated)
        else:
            from ti_core.cli.tables import evaluation_text
            from ti_core.evaluation import evaluate

            rows = list(evaluate(found, settings, cache))
            text = evaluation_text(found, rows)
    finally:
        bar.close()
        cache.close()
    if options.json != STDOUT:
        print(text)
    if options.json:
        write(options.json, json.dumps([r.as_dict() for r in rows], indent=2) + "\n")
    return 0
