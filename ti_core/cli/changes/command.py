"""``changes``: argument values in, exit code out."""

from __future__ import annotations

import argparse
import json

from ti_core.cli.options import limits_of
from ti_core.cli.output import STDOUT, write
from ti_core.system.progress import silent_stage
from ti_core.text import plain
from ti_core.worker import Job
from ti_core.worker import inspection_job as inspecting

SHOWN = 40
"""Tensors that are printed; ``--json`` has all."""


def compare(options: argparse.Namespace) -> int:
    """``changes OLD NEW``."""
    request = {"old": str(options.old.absolute()), "new": str(options.new.absolute())}
    with Job.start("compare weights", request, limits=limits_of(options)) as job:
        inspecting.follow(job, silent_stage)
        found = inspecting.changes_of(job)
    if options.json:
        write(options.json, json.dumps(found.model_dump(), indent=2) + "\n")
    if options.json == STDOUT:
        return 0
    for sentence in found.sentences():
        print(plain(sentence, 2000))
    changed = found.changed
    for one in changed[:SHOWN]:
        far = "was all 0" if one.relative is None else f"{one.relative:.2%} of its norm"
        print(plain(f"  {one.name} {one.shape}: {one.share:.0%} of its values, {far}", 400))
    if len(changed) > SHOWN:
        print(f"  and {len(changed) - SHOWN} more; --json FILE has them all")
    return 0
