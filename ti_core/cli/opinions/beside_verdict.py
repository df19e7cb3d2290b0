"""``inspect --opinions``: opinions for the report of an inspection, asked for once the verdict is there."""

from __future__ import annotations

import argparse
from collections.abc import Sequence

from ti_core.cli.bar import Bar
from ti_core.cli.options import limits_of
from ti_core.cli.terminal import complain
from ti_core.errors import TrojanInterpretError
from ti_core.rendering.opinions.reported import with_opinions, with_reason
from ti_core.results.report import Report
from ti_core.system.folders import default_folder
from ti_core.text import plain
from ti_core.worker import Job
from ti_core.worker import inspection_job as inspecting
from ti_core.worker.request import InspectionRequest

DECLARED = ("normalisation", "channel_order", "output", "input_size", "variant")
"""Settings that say how the model takes its images."""


def with_asked(
    report: Report, names: Sequence[str], request: InspectionRequest, options: argparse.Namespace
) -> Report:
    """The report with the opinions of these methods. What keeps them from an answer stands in it as a sentence.

    Parameters
    ----------
    request : of the inspection.
    """
    if not names:
        return report
    settings = {name: value for name, value in request.settings.items() if name in DECLARED}
    # An inspection without a named pack has chosen one. The report says which.
    pack = request.pack or report.pack["name"]
    sketch = request.sketch or report.model.get("sketch")
    asked = request.with_(case=False, cache=None, pack=pack, sketch=sketch, settings=settings).as_dict()
    folder = default_folder()
    learnt = None if folder is None else str((folder / "methods").absolute())
    try:
        with Job.start(
            "opinions", asked | {"methods": list(names), "learnt": learnt}, limits=limits_of(options)
        ) as job:
            bar = Bar(options.model.name, options.quiet)
            try:
                inspecting.follow(job, bar)
            finally:
                bar.close()
            return with_opinions(report, inspecting.opinions_of(job))
    except (TrojanInterpretError, ValueError) as error:
        complain(plain(f"No second opinions: {error}", 500))
        return with_reason(report, names, str(error))


def lines_of(report: Report) -> list[str]:
    """The opinions of a report for a terminal."""
    lines = ["  Second opinions, which take no part in the verdict"] if report.opinions else []
    for one in report.opinions:
        if one["statistic"] is None:
            lines.append(f"  - {one['title']}: not asked. {one['sentence']}")
        else:
            decided = one["decision"] or "no decision on networks"
            lines.append(f"  - {one['title']}: {decided} ({one['statistic']:.3g}). {one['sentence']}")
    return lines
