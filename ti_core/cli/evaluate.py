"""``evaluate``: argument values in, exit code out."""

from __future__ import annotations

import argparse
import json
from typing import TYPE_CHECKING, Any

from ti_core.cli.options import pairs
from ti_core.cli.output import STDOUT, write
from ti_core.cli.terminal import complain
from ti_core.errors import SettingsError

if TYPE_CHECKING:
    from ti_core.evaluation.measure import Measured, Measurement
    from ti_core.reference.pack import Pack


def evaluate_pack(options: argparse.Namespace) -> int:
    """``evaluate --pack NAME``, at the pack's own settings with the changes of ``--set``."""
    from ti_core.cli.tables import few_networks
    from ti_core.evaluation.measure import Measurement
    from ti_core.evaluation.methods import MethodTable
    from ti_core.reference.pack import load_pack

    if options.count and not options.methods:
        raise SettingsError("--count says how many members --methods asks about; give both.")
    found = load_pack(options.pack)
    what = next((name for name in ("shift", "ablations", "methods") if getattr(options, name)), "table")
    wanted = Measurement(
        what, options.members, options.automl_budget, *_asked(options.methods), options.count
    )
    measured = _measured(found, pairs(options.settings), wanted)
    rows, text = _shown(found, measured)
    if options.json != STDOUT:
        print(text)
    if what == "table" and (note := few_networks(rows)):
        complain(note)
    if options.json:
        content = measured.as_dict() if isinstance(measured, MethodTable) else [r.as_dict() for r in rows]
        write(options.json, json.dumps(content, indent=2) + "\n")
    return 0


def _asked(methods: str | None) -> tuple[tuple[str, ...], str | None]:
    """The methods of ``--methods``, and the folder of what they have learnt."""
    from ti_core.methods.registry import chosen_methods
    from ti_core.system.folders import default_folder

    folder = default_folder()
    learnt = None if folder is None else str((folder / "methods").absolute())
    return (chosen_methods(methods) if methods else (), learnt)


def _measured(found: Pack, asked: dict[str, str], wanted: Measurement) -> Measured:
    """The result. Only a pack that comes with the program is opened in this process."""
    from ti_core.cli.bar import Bar
    from ti_core.reference.known import is_known
    from ti_core.system.cache import Cache, default_folder
    from ti_core.system.memory import keep_freed_memory
    from ti_core.worker.pack_jobs import evaluate_apart

    settings = found.settings_with(asked)
    bar = Bar(found.name)
    try:
        if not is_known(found):
            return evaluate_apart(found, dict(asked), wanted, bar)
        keep_freed_memory()
        cache = Cache(default_folder())
        try:
            return wanted.of(found, settings, cache, bar)
        finally:
            cache.close()
    finally:
        bar.close()


def _shown(found: Pack, measured: Measured) -> tuple[list[Any], str]:
    """The rows of a result, and the result as text."""
    from ti_core.cli.tables import ablations_text, evaluation_text, methods_text, shift_text
    from ti_core.evaluation.ablations import Ablations
    from ti_core.evaluation.methods import MethodTable
    from ti_core.evaluation.shift import Shift

    if isinstance(measured, Shift):
        return list(measured.rows), shift_text(found, measured)
    if isinstance(measured, MethodTable):
        return list(measured.rows), methods_text(found, measured)
    if isinstance(measured, Ablations):
        return list(measured.rows), ablations_text(found, measured)
    return list(measured), evaluation_text(found, measured)
