"""Reading a report, as a page or as JSON, from a file that a stranger may have written."""

from __future__ import annotations

import re
from dataclasses import dataclass
from html import unescape
from pathlib import Path

from ti_core.errors import ReportError
from ti_core.results.report import FIRST_VERSION, SCHEMA_VERSION, Report
from ti_core.system.plain_files import read_plain
from ti_core.system.strict_json import TwiceError, parse
from ti_core.text import shown

LARGEST = 100_000_000
_JSON = re.compile(r'<pre id="report-json">([^<]*)</pre>')


@dataclass(frozen=True)
class ReportFile:
    """The content of a report's file.

    Parameters
    ----------
    report : the report.
    text : the JSON that the report was read from, letter by letter.
    page : the whole page, or None where the file is JSON.
    """

    report: Report
    text: str
    page: str | None = None


def read_report(path: Path) -> ReportFile:
    """Read and check a report.

    Raises
    ------
    ReportError : the file cannot be read, or is no report of this program.
    """
    content = _content(path)
    if content.lstrip("\ufeff").lstrip().startswith("{"):
        return ReportFile(_parsed(content, path.name), content)
    held = _JSON.findall(content)
    if len(held) != 1:
        raise _foreign(path.name)
    text = unescape(held[0])
    return ReportFile(_parsed(text, path.name), text, content)


def _content(path: Path) -> str:
    data = read_plain(path, LARGEST, ReportError)
    try:
        return data.decode("utf-8")
    except UnicodeDecodeError as error:
        raise _foreign(path.name) from error


def _foreign(name: str) -> ReportError:
    return ReportError(
        f"{shown(name)} is no report of this program, or it is damaged; give the HTML page or the JSON of one."
    )


def _parsed(text: str, name: str) -> Report:
    try:
        record = parse(text)
    except TwiceError as error:
        raise ReportError(f"{shown(name)} is no report as this program writes it: {error}.") from error
    except ValueError as error:
        raise _foreign(name) from error
    if not isinstance(record, dict):
        raise _foreign(name)
    version = record.get("schema_version", SCHEMA_VERSION)
    if version not in (FIRST_VERSION, SCHEMA_VERSION):
        raise ReportError(
            f"{shown(name)} is a report of schema version {shown(str(version), 20)}; this program reads"
            f" {FIRST_VERSION} and {SCHEMA_VERSION}."
        )
    try:
        return Report.from_dict(record)
    except ValueError as error:
        problem = shown(str(error), 200)
        raise ReportError(f"{shown(name)} is no report as this program writes it: {problem}") from error
