"""The report as one HTML page that asks no other host for anything and runs no script.

All its text follows from the report's own JSON, which it holds as inert text, and from the time of the inspection; only
the pictures come from elsewhere. So :mod:`ti_core.rendering.verify` can write the page anew and compare.
"""

from __future__ import annotations

import base64
from collections.abc import Mapping, Sequence
from html import escape
from typing import Any

from ti_core.rendering.comparison import Panel
from ti_core.rendering.figures import (
    Figure,
    actmax_figures,
    histogram_figures,
    saliency_figures,
    stream_figures,
    trigger_figures,
    verdict_figures,
    why_figures,
)
from ti_core.rendering.repeat_command import command
from ti_core.rendering.seal import UNSEALED, json_digest, seal
from ti_core.rendering.style import POLICY, STYLE, SYMBOLS
from ti_core.results.case import Case
from ti_core.results.report import LONGEST_NAME, Report
from ti_core.text import shown

LONGEST = 4000
"""Characters of any one text that are shown; the JSON in the page has the whole."""
GAUGE = "Probability"
RATES = {
    "clean": "clean",
    "trojaned": "trojaned",
    "auc": "AUC",
    "low": "from",
    "high": "to",
    "found": "found",
    "false_alarms": "false alarms",
    "target": "target right",
}
"""What the page shows of a pack's performance, and under which heading."""
LIMITS = (
    "A verdict of “clean” says that no trigger of the kinds this pack was measured on was found, at the rates above.",
    "Triggers of other kinds may pass: those that warp the image, that depend on the image, that are part of the scene,"
    " or that act on images of one class only.",
    "An attacker who knows this program can train a model against its evidence.",
    "A verdict of “backdoored” can be a false alarm, at the rate above; the recovered trigger and the share of images"
    " that it flips are what to check first.",
)
LIMITS_ALONE = (
    "A verdict of “clean” says that none of the model's classes stands apart from its others, and no more.",
    "Triggers may pass that lead to every class, that warp the image, that depend on the image, that are part of the"
    " scene, or that act on images of one class only.",
    *LIMITS[2:3],
    "A verdict of “backdoored” can be a false alarm, since some clean models have one easy class; the recovered trigger"
    " and the share of images that it flips are what to check first.",
)
"""Of a verdict that no reference models took part in."""


def html_report(case: Case, panels: Sequence[Panel] = ()) -> str:
    """The report of a case. Every text that comes from the model or the pack is escaped.

    Parameters
    ----------
    panels : of :func:`ti_core.rendering.comparison.panels`, at the case's own settings. Without them the page has no
        histograms.
    """
    sections = {
        GAUGE: verdict_figures(case),
        "Recovered trigger": trigger_figures(case),
        "Class by class": stream_figures(case),
        "Saliency": saliency_figures(case),
        "Activation maximisation": actmax_figures(case),
        "Histograms of saliency": histogram_figures(case, panels),
        "Why": why_figures(case),
    }
    pictures = {title: _section(title, figures) for title, figures in sections.items() if figures}
    return seal(document(case.report, case.created, pictures))


def document(report: Report, created: str, pictures: Mapping[str, str]) -> str:
    """The page, not yet sealed.

    Parameters
    ----------
    created : time of the inspection, ISO 8601, or "".
    pictures : by title of its section, the section as mark-up.
    """
    title = f"Inspection of {shown(report.model['file'], LONGEST_NAME)}"
    images = report.pack.get("images")
    detects = report.pack.get("detects") or {}
    rest = {k: v for k, v in (images or report.pack).items() if k != "detects"}
    drawn = [pictures[k] for k in pictures if k != GAUGE]
    parts = [
        verdict_line(report),
        pictures.get(GAUGE, ""),
        "<h2>Reasons</h2>",
        _list(report.reasons),
        *drawn,
        "<h2>Streams of evidence</h2>",
        _table({name: str(stream.get("sentence", "")) for name, stream in report.streams.items()}),
        "<h2>Model</h2>",
        _table(_flat(report.model)),
        f"<h2>{'Clean images, in the place of a reference pack' if images else 'Reference pack'}</h2>",
        _table(_flat(rest)),
        _rates(detects),
        f'<h2>Settings</h2><div class="columns">{_table(_flat(report.settings))}</div>',
        '<div class="whole"><h2>Limits of the method</h2>',
        _list(LIMITS_ALONE if images else LIMITS) + "</div>",
        '<div class="whole"><h2>How to repeat it</h2>',
        f"<p><code>{_text(command(report))}</code></p></div>",
        '<div class="whole"><h2>Digests (SHA-256)</h2>',
        _digest_table(report),
        '<p class="note"><code>python -m ti_core report verify FILE</code> compares them with this page, and with the'
        " model and the pack where it is given them. Digests show what was changed by accident or unknowingly; who"
        " vouches for the report, only a signature shows.</p>",
        '<div class="signature"><div>Reviewed by</div><div>Date and signature</div></div>',
        f"<footer><p>{_colophon(report, created)}</p></footer></div>",
        '<details class="json"><summary>This report as JSON</summary>'
        f'<pre id="report-json">{escape(report_json(report))}</pre></details>',
    ]
    return (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
        f'<meta http-equiv="Content-Security-Policy" content="{POLICY}">'
        '<meta name="viewport" content="width=device-width"><meta name="referrer" content="no-referrer">'
        f"<title>{escape(title)}</title><style>{STYLE}</style></head><body><h1>{escape(title)}</h1>\n"
        + "\n".join(part for part in parts if part)
        + "</body></html>\n"
    )


def report_json(report: Report) -> str:
    """The report's own JSON, byte for byte what ``--json`` writes; it is plain ASCII."""
    return report.as_json() + "\n"


def verdict_line(report: Report) -> str:
    """The first thing on the page."""
    return (
        f'<p class="verdict {report.verdict}"><strong>{SYMBOLS[report.verdict]} {report.verdict.capitalize()}.</strong>'
        f" {_text(report.sentence())}</p>"
    )


def digests(report: Report) -> dict[str, str]:
    """What the report stands on, by digest: the model, the pack, the program, and the report's own JSON."""
    images = report.pack.get("images")
    beside = (
        f"clean images {images['file']}" if images else f"reference pack {report.pack['name']} (pack.json)"
    )
    return {
        "model file": report.model["sha256"],
        beside: (images or report.pack)["sha256"],
        "program (source files)": report.versions.get("source", "not recorded"),
        "this report as JSON": json_digest(report_json(report)),
    }


def _digest_table(report: Report) -> str:
    rows = "".join(f"<tr><th>{_text(k)}</th><td>{_text(v)}</td></tr>" for k, v in digests(report).items())
    return f'<table class="digests">{rows}<tr><th>this page, itself left out</th>{UNSEALED}</tr></table>'


def _section(title: str, figures: Sequence[Figure]) -> str:
    heading = "" if title == GAUGE else f"<h2>{escape(title)}</h2>"
    # A heading stays on the page of its first figure.
    first, *others = [_figure(figure) for figure in figures]
    return (
        f'<section class="pictures" title="{escape(title)}"><div class="whole">{heading}{first}</div>'
        + "".join(others)
        + "</section>"
    )


def _figure(figure: Figure) -> str:
    words = _text(figure.caption)
    kind = "svg+xml" if figure.drawing else "png"
    style = ' class="drawing"' if figure.drawing else ""
    data = base64.b64encode(figure.data()).decode()
    return (
        f'<figure><img{style} src="data:image/{kind};base64,{data}" alt="{words}">'
        f"<figcaption>{words}</figcaption></figure>"
    )


def _text(value: str) -> str:
    """Untrusted text as mark-up: what would hide or turn round other letters is spelt out."""
    return escape(shown(value, LONGEST))


def _flat(values: Mapping[str, Any], before: str = "") -> dict[str, str]:
    rows: dict[str, str] = {}
    for key, value in values.items():
        name = f"{before}{key}".replace("_", " ")
        if isinstance(value, dict):
            rows |= _flat(value, f"{name}: ")
        else:
            rows[name] = ", ".join(map(str, value)) if isinstance(value, (list, tuple)) else _short(value)
    return rows


def _short(value: Any) -> str:
    if value is None or value == "":
        return "–"
    if isinstance(value, bool):
        return "yes" if value else "no"
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def _list(lines: Sequence[str]) -> str:
    return "<ul>" + "".join(f"<li>{_text(line)}</li>" for line in lines) + "</ul>"


def _table(rows: Mapping[str, str]) -> str:
    cells = "".join(f"<tr><th>{_text(k)}</th><td>{_text(v)}</td></tr>" for k, v in rows.items())
    return f"<table>{cells}</table>"


def _rates(detects: Mapping[str, Any]) -> str:
    """How well the pack detects each kind of trigger, on models that took no part in fitting."""
    rows = [(kind, figures) for kind, figures in detects.items() if isinstance(figures, dict)]
    if not rows:
        return ""
    head = "".join(f"<th>{words}</th>" for words in RATES.values())
    body = "".join(
        f"<tr><th>{_text(kind)}</th>"
        + "".join(f"<td>{_text(_short(v.get(k)))}</td>" for k in RATES)
        + "</tr>"
        for kind, v in rows
    )
    return (
        '<div class="whole"><p class="note">On models that took no part in fitting: how many, area under the ROC curve'
        " with its 95 % interval, and shares found and falsely alarmed at the pack's threshold.</p>"
        f'<table class="rates"><tr><th>trigger</th>{head}</tr>{body}</table></div>'
    )


def _colophon(report: Report, created: str) -> str:
    seconds = sum(report.timings.values())
    versions = ", ".join(f"{k} {v}" for k, v in report.versions.items() if k != "source")
    when = f"inspected <time>{escape(created)}</time>" if created else "inspected at a time not recorded"
    return f"{_text(versions)}; {when} in {seconds:.1f} s."
