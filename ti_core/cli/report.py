"""``report verify``: argument values in, exit code out."""

from __future__ import annotations

import argparse
import json

from ti_core.cli.options import BACKDOORED, CLEAN, INCONCLUSIVE
from ti_core.cli.report_arguments import STDOUT
from ti_core.errors import SettingsError
from ti_core.rendering.verify import DIFFERS, HOLDS, NOT_COMPARED, Verification, verify_report
from ti_core.text import plain

CODES = {HOLDS: CLEAN, DIFFERS: BACKDOORED, NOT_COMPARED: INCONCLUSIVE}
ENDS = {
    HOLDS: "Everything that was compared holds. Who vouches for the report, only a signature shows.",
    DIFFERS: "Something does not hold: this is not the report as it was written, or not what it was written of.",
    NOT_COMPARED: "Nothing was found to be changed, but another version of the program made this report, so that not"
    " all of it could be compared.",
}


def verify(options: argparse.Namespace) -> int:
    """``report verify FILE``."""
    digest = options.digest
    if digest is not None and (
        len(digest.strip()) != 64 or set(digest.strip().lower()) - set("0123456789abcdef")
    ):
        raise SettingsError("--digest takes the 64 letters and digits of a SHA-256.")
    found = verify_report(options.file, options.model, options.pack, options.images, digest)
    if options.json:
        text = json.dumps({"file": str(options.file)} | found.as_dict(), indent=2)
        if options.json == STDOUT:
            print(text)
            return CODES[found.state]
        options.json.parent.mkdir(parents=True, exist_ok=True)
        options.json.write_text(text + "\n", encoding="utf-8")
    print("\n".join(_lines(found)))
    return CODES[found.state]


def _lines(found: Verification) -> list[str]:
    lines = [f"The report says: {found.report.sentence()}"]
    for check in found.checks:
        lines.append(f"  {check.state:<13} {check.name:<7} {check.sentence}")
        if check.sha256:
            lines.append(f"  {'':<21} {check.sha256}")
    return [plain(line, 2000) for line in [*lines, ENDS[found.state]]]
