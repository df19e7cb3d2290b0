"""Keeps second opinions beside the case that they are about, in a file of their own."""

from __future__ import annotations

import json
import secrets
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

from ti_core.errors import CaseError
from ti_core.methods.opinion import Opinions
from ti_core.rendering.opinions.reported import with_opinions
from ti_core.results.case import Case
from ti_core.system.plain_files import read_plain
from ti_core.system.strict_json import parse

NAME = "opinions.json"
MOST_BYTES = 20 << 20
UNREADABLE = "The second opinions that were kept with this case cannot be used. Ask the methods again."


def keep(folder: Path, found: Opinions) -> Opinions:
    """Write opinions into the folder of a case, beside those that are there. All of them are returned.

    Raises
    ------
    CaseError : there is no such case.
    OSError : they cannot be written. Those that were there are left.
    """
    if not (folder / "case.json").is_file():
        raise CaseError("There is no such case; choose one from the list of cases.")
    whole = found
    with suppress(CaseError):
        earlier = read(folder)
        if earlier is not None and earlier.pack_sha256 == found.pack_sha256:
            whole = earlier.followed_by(found)
    part = folder / f".{secrets.token_hex(4)}.part"
    try:
        part.write_text(json.dumps(whole.as_dict()), encoding="utf-8")
        part.replace(folder / NAME)
    except OSError:
        part.unlink(missing_ok=True)
        raise
    return whole


def read(folder: Path) -> Opinions | None:
    """The opinions that are kept with a case; None if there are none.

    Raises
    ------
    CaseError : they cannot be read.
    """
    if not (folder / NAME).exists():
        return None
    try:
        return Opinions.from_dict(parse(read_plain(folder / NAME, MOST_BYTES, CaseError).decode("utf-8")))
    except (ValueError, CaseError) as error:
        raise CaseError(UNREADABLE) from error


def with_kept(case: Case, folder: Path) -> Case:
    """The case, with the opinions that are kept in its folder in its report. A note says if they cannot be used."""
    try:
        found = read(folder)
        return case if found is None else replace(case, report=with_opinions(case.report, found))
    except (CaseError, ValueError):
        return replace(case, notes=(*case.notes, UNREADABLE))
