"""``report verify``: argument values in, exit code out."""

from __future__ import annotations

import argparse
import json
from pathlib import Path

from ti_core.cli.bar import JobBar
from ti_core.cli.options import BACKDOORED, CLEAN, INCONCLUSIVE, inspected_pack, limits_of
from ti_core.cli.output import STDOUT, write
from ti_core.errors import ReportError, SettingsError
from ti_core.rendering.verify import (
    DIFFERS,
    HOLDS,
    NOT_COMPARED,
    Check,
    Verification,
    compare_verdicts,
    verify_report,
)
from ti_core.results.formats.attestation import is_stated
from ti_core.results.report import Report
from ti_core.system.plain_files import read_plain
from ti_core.text import plain, shown
from ti_core.worker import Job
from ti_core.worker import inspection_job as inspecting
from ti_core.worker.request import InspectionRequest

CODES = {HOLDS: CLEAN, DIFFERS: BACKDOORED, NOT_COMPARED: INCONCLUSIVE}
LONGEST_STATEMENTS = 64 << 20
"""Limit for the bytes of a file with statements."""
SIGNATURE = "Who vouches for the report, only a signature shows."
AGAIN = "Whether the verdict is right, --again shows: it inspects the model once more."


def verify(options: argparse.Namespace) -> int:
    """``report verify FILE``."""
    digest = options.digest
    if digest is not None and (
        len(digest.strip()) != 64 or set(digest.strip().lower()) - set("0123456789abcdef")
    ):
        raise SettingsError("--digest takes the 64 letters and digits of a SHA-256.")
    if options.again and not options.model:
        raise SettingsError("--again inspects the model once more; give its file with --model.")
    found = verify_report(options.file, options.model, options.pack, options.images, digest)
    if options.attestation:
        found = found.with_check(_statement(options.attestation, found.report))
    if options.again and found.state != DIFFERS:
        found = found.with_check(compare_verdicts(found.report, _inspected_again(options, found.report)))
    if options.json:
        write(options.json, json.dumps({"file": str(options.file)} | found.as_dict(), indent=2) + "\n")
    if options.json != STDOUT:
        print("\n".join(_lines(found)))
    return CODES[found.state]


def _statement(path: Path, report: Report) -> Check:
    """Compare the report with statements about it. Who signed them, the signer's own tool shows."""
    if is_stated(read_plain(path, LONGEST_STATEMENTS, ReportError), report):
        words = f"{shown(path.name)} states what the report says, about the same file."
        return Check("statement", HOLDS, words)
    return Check("statement", DIFFERS, f"{shown(path.name)} states something else than the report says.")


def _lines(found: Verification) -> list[str]:
    lines = [f"The report says: {found.report.sentence()}"]
    for check in found.checks:
        lines.append(f"  {check.state:<13} {check.name:<7} {check.sentence}")
        if check.sha256:
            lines.append(f"  {'':<21} {check.sha256}")
    return [plain(line, 2000) for line in [*lines, _end(found)]]


def _end(found: Verification) -> str:
    """The result in words."""
    if found.state == DIFFERS:
        return "Something does not hold: this is not the report as it was written, or not what it was written of."
    again = "" if any(check.name == "verdict" for check in found.checks) else f" {AGAIN}"
    if found.state == HOLDS:
        return f"Everything that was compared holds.{again} {SIGNATURE}"
    left = ", ".join(found.left_out)
    return f"Nothing was found to be changed, but not all of it was compared ({left}).{again} {SIGNATURE}"


def _inspected_again(options: argparse.Namespace, report: Report) -> Report:
    """The report of a new inspection, in the worker, of the model file that was given. No cache takes part."""
    images = report.pack.get("images")
    if images and options.images is None:
        raise SettingsError("--again needs the clean images that took part; give them with --images.")
    request = InspectionRequest(
        model=str(options.model[0].absolute()),
        companions=tuple(str(path.absolute()) for path in options.model[1:]),
        pack=None if images else inspected_pack(options.pack or str(report.pack["name"])),
        images=str(options.images.absolute()) if images else None,
        sketch=report.model.get("sketch"),
        settings=report.settings,
    )
    with Job.start("inspect", request.as_dict(), limits=limits_of(options)) as job:
        bar = JobBar(options.model[0].name)
        try:
            inspecting.follow(job, bar, bar.expect)
        finally:
            bar.close()
        return inspecting.report_of(job)
