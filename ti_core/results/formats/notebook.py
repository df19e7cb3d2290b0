"""A report as a card for a notebook, and as a table of data. The card runs no script and loads nothing."""

from __future__ import annotations

from html import escape
from typing import TYPE_CHECKING

from ti_core.results.coverage import lines_of, rows_of
from ti_core.results.report import Report, percent
from ti_core.text import shown

if TYPE_CHECKING:
    import pandas

COLOURS = {"clean": "#1d7a4f", "backdoored": "#b3261e", "inconclusive": "#8a6100"}
LONGEST = 1000


def card(report: Report) -> str:
    """The verdict with its reasons, a bar for each stream, and what was looked for."""
    colour = COLOURS[report.verdict]
    reasons = "".join(f"<li>{_safe(reason)}</li>" for reason in report.reasons)
    rows = "".join(
        f"<tr><td>{_safe(line.what)}</td><td>{_safe(line.leads)}</td><td>{_safe(line.result)}</td>"
        f"<td>{_safe(line.found)}</td></tr>"
        for line in lines_of(rows_of(report.coverage))
    )
    return (
        f'<div style="border-left: 6px solid {colour}; padding: 0 1em; max-width: 60em">'
        f'<p style="color: {colour}; font-size: 1.3em; margin: 0">{_safe(report.heading())}</p>'
        f"<p>{_safe(report.odds())}</p><ul>{reasons}</ul>{_bars(report)}"
        "<table><tr><th>Looked for</th><th>leads</th><th>result</th><th>found by this pack</th></tr>"
        f"{rows}</table></div>"
    )


def _bars(report: Report) -> str:
    """By stream, the share of clean reference models that go less far."""
    bars = []
    for name, stream in report.streams.items():
        share = stream.get("clean_share")
        if share is not None:
            width = round(100 * (1 - share))
            bars.append(
                f'<div>{_safe(name)}: beyond {percent(1 - share)} of the clean models<div style="background: #8886">'
                f'<div style="background: #0f5f7a; width: {width}%; height: .5em"></div></div></div>'
            )
    return "".join(bars)


def frame(report: Report) -> pandas.DataFrame:
    """One row a stream: its score, the share of clean models that score as much, its class, its sentence."""
    import pandas

    columns = ("score", "clean_share", "target_class", "sentence")
    rows = {
        name: [stream.get(column) for column in columns]
        for name, stream in report.streams.items()
        if "score" in stream
    }
    return pandas.DataFrame.from_dict(rows, orient="index", columns=list(columns)).rename_axis("stream")


def _safe(text: str) -> str:
    return escape(shown(text, LONGEST))
