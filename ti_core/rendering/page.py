"""The report as one HTML page that asks no other host for anything and runs no script.

All its text follows from the report's own JSON, which it holds as inert text, and from the time of the inspection. Only
the pictures come from elsewhere. So :mod:`ti_core.rendering.verify` can write the page again and compare. The templates
escape every text; texts of strangers also pass :func:`ti_core.text.shown`.
"""

from __future__ import annotations

import base64
from collections.abc import Mapping, Sequence
from functools import cache
from typing import Any

from jinja2 import Environment
from markupsafe import Markup

from ti_core.rendering.comparison import Panel
from ti_core.rendering.figures import (
    actmax_figures,
    histogram_figures,
    saliency_figures,
    stream_figures,
    verdict_figures,
    why_figures,
)
from ti_core.rendering.opinions.drawing import opinion_figures
from ti_core.rendering.pictures import Figure
from ti_core.rendering.repeat_command import command
from ti_core.rendering.seal import UNSEALED, json_digest, seal
from ti_core.rendering.templating import escaping_templates
from ti_core.rendering.trigger.figures import trigger_figures
from ti_core.results.case import Case
from ti_core.results.cautions import cautions
from ti_core.results.coverage import lines_of, rows_of
from ti_core.results.formats.taxonomy import terms_of
from ti_core.results.report import Report
from ti_core.results.wording import LONGEST_NAME
from ti_core.text import shown

LONGEST = 4000
"""Number of characters of one text that are shown; the JSON in the page has the whole text."""
GAUGE = "Probability"
OPINIONS = "Second opinions beside reference networks"
SYMBOLS = {"clean": "✓", "backdoored": "✗", "inconclusive": "?"}
DECIDED = {"backdoored": "✗ backdoored", "clean": "✓ clean", None: "no decision on networks"}
"""The decision of another method, as the page shows it."""
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
"""The figures of a pack's performance that the page shows, and their headings."""
LIMITS = (
    "A verdict of “clean” is about what the table “What was looked for” says was looked for, at the rates there.",
    "Other backdoors may pass: what the table says was not looked for, and triggers that are part of the scene.",
    "An attacker who knows this program can train a model against its evidence.",
    "A verdict of “backdoored” can be a false alarm, at the rate above; the recovered trigger and the share of images"
    " that it flips are what to check first.",
)
LIMITS_ALONE = (
    "A verdict of “clean” says that none of the model's classes stands apart from its others, and no more.",
    *LIMITS[1:3],
    "A verdict of “backdoored” can be a false alarm, since some clean models have one easy class; the recovered trigger"
    " and the share of images that it flips are what to check first.",
)
"""Limits of a verdict without reference models."""


def html_report(case: Case, panels: Sequence[Panel] = ()) -> str:
    """The report of a case, with its seal.

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
        OPINIONS: opinion_figures(case),
    }
    section = _templates().get_template("section.html")
    pictures = {
        title: section.render(title=title, headed=title not in (GAUGE, OPINIONS), figures=figures)
        for title, figures in sections.items()
        if figures
    }
    return seal(document(case.report, case.created, pictures))


def document(report: Report, created: str, pictures: Mapping[str, str]) -> str:
    """The page, not yet sealed.

    Parameters
    ----------
    created : time of the inspection, ISO 8601, or "".
    pictures : by title of its section, the section as mark-up. It is not escaped.
    """
    page = (
        _templates()
        .get_template("report.html")
        .render(
            _values(report),
            created=created,
            gauge=Markup(pictures.get(GAUGE, "")),
            sections=[
                Markup(section) for title, section in pictures.items() if title not in (GAUGE, OPINIONS)
            ],
            drawn_opinions=Markup(pictures.get(OPINIONS, "")),
            own_digest=Markup(UNSEALED),
        )
    )
    return page + "\n"


def _values(report: Report) -> dict[str, Any]:
    """What the template shows of a report, by the template's names."""
    images = report.pack.get("images")
    detects = report.pack.get("detects") or {}
    aside = ("detects", "all_streams", "changed_settings")
    compared_with = {k: v for k, v in (images or report.pack).items() if k not in aside}
    return {
        "title": f"Inspection of {shown(report.model['file'], LONGEST_NAME)}",
        "report": report,
        "symbol": SYMBOLS[report.verdict],
        "covered": lines_of(rows_of(report.coverage)),
        "streams": {name: str(stream.get("sentence", "")) for name, stream in report.streams.items()},
        "opinions": [(one, DECIDED[one["decision"]], _statistic(one)) for one in report.opinions],
        "model": _flat(report.model),
        "images": images,
        "compared_with": _flat(compared_with),
        "rate_headings": list(RATES.values()),
        "rates": {kind: [_short(figures.get(k)) for k in RATES] for kind, figures in detects.items()},
        "cautions": cautions(report.pack, report.settings),
        "settings": _settings(report),
        "limits": LIMITS_ALONE if images else LIMITS,
        "command": command(report),
        "taxonomy": [
            (term.scheme.name, term.id, term.name) for term in terms_of(report.verdict, report.trigger_kind)
        ],
        "digests": digests(report),
        "versions": ", ".join(f"{k} {v}" for k, v in report.versions.items() if k != "source"),
        "seconds": sum(report.timings.values()),
        "json": report_json(report),
    }


def _statistic(one: Mapping[str, Any]) -> str:
    """The statistic of a method and its threshold, in words; empty if it was not asked."""
    if one["statistic"] is None:
        return ""
    above = "" if one["threshold"] is None else f"; backdoored above {one['threshold']:.3g}"
    return f"{one['measures'][:1].upper()}{one['measures'][1:]}: {one['statistic']:.3g}{above}."


@cache
def _templates() -> Environment:
    return escaping_templates(
        "ti_core.rendering", shown=lambda text: shown(text, LONGEST), data_uri=_data_uri
    )


def _data_uri(figure: Figure) -> str:
    kind = "svg+xml" if figure.drawing else "png"
    return f"data:image/{kind};base64,{base64.b64encode(figure.data()).decode()}"


def report_json(report: Report) -> str:
    """The report's own JSON, byte for byte what ``--json`` writes; it is plain ASCII."""
    return report.as_json() + "\n"


def digests(report: Report) -> dict[str, str]:
    """Digests of what the report depends on: the model, the pack, the program; and of the report's own JSON."""
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


def _flat(values: Mapping[str, Any], before: str = "") -> dict[str, str]:
    """Nested values as rows of a table, by their joined names."""
    rows: dict[str, str] = {}
    for key, value in values.items():
        name = f"{before}{key}".replace("_", " ")
        if isinstance(value, dict):
            rows |= _flat(value, f"{name}: ")
        else:
            rows[name] = ", ".join(map(str, value)) if isinstance(value, (list, tuple)) else _short(value)
    return rows


def _settings(report: Report) -> dict[str, str]:
    """The settings, with the pack's own value of those that differ."""
    own = _flat(report.pack.get("changed_settings") or {})
    return {
        name: f"{value} (own: {own[name]})" if name in own else value
        for name, value in _flat(report.settings).items()
    }


def _short(value: Any) -> str:
    """One value as the page shows it."""
    if value is None or value == "":
        return "–"
    if isinstance(value, bool):
        return "yes" if value else "no"
    return f"{value:.4g}" if isinstance(value, float) else str(value)
