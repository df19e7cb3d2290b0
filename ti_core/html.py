"""The report as one HTML page that asks no other host for anything and runs no script."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Sequence
from html import escape
from typing import Any

from ti_core.case import Case
from ti_core.comparison import Panel
from ti_core.figures import (
    Figure,
    actmax_figures,
    histogram_figures,
    saliency_figures,
    stream_figures,
    trigger_figures,
    verdict_figures,
    why_figures,
)
from ti_core.report import Report

POLICY = "default-src 'none'; img-src data:; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'"
SYMBOLS = {"clean": "✓", "backdoored": "✗", "inconclusive": "?"}
STYLE = """
:root { color-scheme: light dark; --ink: #1c2733; --soft: #5a6775; --line: #d6dde4; --card: #f6f8fa; --page: #fff;
  --clean: #0b6b78; --backdoored: #b03a12; --inconclusive: #7a5b00; }
@media (prefers-color-scheme: dark) { :root { --ink: #e8edf2; --soft: #a3b0bd; --line: #33404d; --card: #1a232c;
  --page: #11181f; --clean: #5fc9d6; --backdoored: #ff9d7a; --inconclusive: #e8c547; } }
body { font: 16px/1.5 system-ui, sans-serif; color: var(--ink); background: var(--page); max-width: 56rem;
  margin: 2rem auto; padding: 0 1rem; }
h1 { font-size: 1.5rem; overflow-wrap: anywhere; } h2 { font-size: 1.1rem; margin-top: 2rem;
  border-bottom: 1px solid var(--line); }
.verdict { border-left: .4rem solid; padding: .75rem 1rem; background: var(--card); font-size: 1.15rem;
  overflow-wrap: anywhere; }
.clean { border-color: var(--clean); } .backdoored { border-color: var(--backdoored); }
.inconclusive { border-color: var(--inconclusive); }
table { border-collapse: collapse; width: 100%; font-size: .9rem; } td, th { text-align: left; vertical-align: top;
  padding: .25rem .75rem .25rem 0; border-bottom: 1px solid var(--line); overflow-wrap: anywhere; }
th { color: var(--soft); font-weight: 500; width: 14rem; } td:only-child { width: auto; }
img { max-width: 100%; height: auto; image-rendering: pixelated; } img.drawing { image-rendering: auto; }
figcaption, footer { color: var(--soft); font-size: .85rem; } figure { margin: 1rem 0; }
code { overflow-wrap: anywhere; } .signature { display: flex; gap: 2rem; margin: 2.5rem 0 1rem; }
.signature div { flex: 1; border-top: 1px solid var(--ink); padding-top: .25rem; color: var(--soft);
  font-size: .85rem; }
@media print { :root { --ink: #000; --soft: #444; --line: #bbb; --card: #f4f4f4; --page: #fff; --clean: #0b6b78;
  --backdoored: #b03a12; --inconclusive: #7a5b00; } body { margin: 0; max-width: none; font-size: 11pt; }
  h2 { break-after: avoid; } figure, tr, .verdict, .signature { break-inside: avoid; } }
"""
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
    panels : of :func:`ti_core.comparison.panels`, at the case's own settings; without them no histograms are shown.
    """
    report = case.report
    title = f"Inspection of {report.model['file']}"
    images = report.pack.get("images")
    parts = [
        f'<p class="verdict {report.verdict}"><strong>{SYMBOLS[report.verdict]} {report.verdict.capitalize()}.</strong>'
        f" {escape(report.sentence())}</p>",
        *_figures(verdict_figures(case)),
        "<h2>Reasons</h2>",
        "<ul>" + "".join(f"<li>{escape(r)}</li>" for r in report.reasons) + "</ul>",
        *_section("Recovered trigger", trigger_figures(case)),
        *_section("Class by class", stream_figures(case)),
        *_section("Saliency", saliency_figures(case)),
        *_section("Activation maximisation", actmax_figures(case)),
        *_section("Histograms of saliency", histogram_figures(case, panels)),
        *_section("Why", why_figures(case)),
        "<h2>Streams of evidence</h2>",
        _table({name: str(stream.get("sentence", "")) for name, stream in report.streams.items()}),
        "<h2>Model</h2>",
        _table(_flat(report.model)),
        f"<h2>{'Clean images, in the place of a reference pack' if images else 'Reference pack'}</h2>",
        _table(_flat(images or report.pack)),
        "<h2>Settings</h2>",
        _table(_flat(report.settings)),
        "<h2>Limits of the method</h2>",
        "<ul>"
        + "".join(f"<li>{escape(line)}</li>" for line in (LIMITS_ALONE if images else LIMITS))
        + "</ul>",
        f"<h2>How to repeat it</h2><p><code>{escape(command(report))}</code></p>",
        "<h2>Digests (SHA-256)</h2>",
        _table(digests(case)),
        '<div class="signature"><div>Reviewed by</div><div>Date and signature</div></div>',
    ]
    return (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
        f'<meta http-equiv="Content-Security-Policy" content="{POLICY}">'
        '<meta name="viewport" content="width=device-width"><meta name="referrer" content="no-referrer">'
        f"<title>{escape(title)}</title><style>{STYLE}</style></head><body><h1>{escape(title)}</h1>"
        + "\n".join(parts)
        + f"<footer><p>{escape(_colophon(case))}</p></footer></body></html>\n"
    )


def digests(case: Case) -> dict[str, str]:
    """What the report stands on, by digest: the model, the pack, the program, and the report's own JSON."""
    report = case.report
    images = report.pack.get("images")
    beside = (
        f"clean images {images['file']}" if images else f"reference pack {report.pack['name']} (pack.json)"
    )
    return {
        "model file": report.model["sha256"],
        beside: (images or report.pack)["sha256"],
        "program (source files)": case.code or "not recorded",
        "this report as JSON": hashlib.sha256(report.as_json().encode()).hexdigest(),
    }


def command(report: Report) -> str:
    """The command that inspects the same model with the same settings."""
    from shlex import quote

    from ti_core.settings import Settings

    standard = Settings().as_dict()
    changed = [
        f" --set {key}={','.join(map(str, value)) if isinstance(value, (list, tuple)) else value}"
        for key, value in report.settings.items()
        if (tuple(value) if isinstance(value, list) else value) != standard[key]
    ]
    file = quote(report.model["file"])
    file = f"./{file}" if file.startswith("-") else file
    images = report.pack.get("images")
    beside = f"--images {quote(images['file'])}" if images else f"--pack {report.pack['name']}"
    return f"python -m ti_core inspect {file} {beside}" + "".join(changed)


def _section(title: str, figures: Sequence[Figure]) -> list[str]:
    return [f"<h2>{escape(title)}</h2>", *_figures(figures)] if figures else []


def _figures(figures: Sequence[Figure]) -> list[str]:
    return [_figure(figure) for figure in figures]


def _figure(figure: Figure) -> str:
    words = escape(figure.caption)
    kind = "svg+xml" if figure.drawing else "png"
    style = ' class="drawing"' if figure.drawing else ""
    data = base64.b64encode(figure.data()).decode()
    return (
        f'<figure><img{style} src="data:image/{kind};base64,{data}" alt="{words}">'
        f"<figcaption>{words}</figcaption></figure>"
    )


def _flat(values: dict[str, Any], before: str = "") -> dict[str, str]:
    rows: dict[str, str] = {}
    for key, value in values.items():
        name = f"{before}{key}".replace("_", " ")
        if isinstance(value, dict):
            rows |= _flat(value, f"{name}: ")
        else:
            rows[name] = ", ".join(map(str, value)) if isinstance(value, (list, tuple)) else _short(value)
    return rows


def _short(value: Any) -> str:
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def _table(rows: dict[str, str]) -> str:
    return (
        "<table>"
        + "".join(f"<tr><th>{escape(k)}</th><td>{escape(v)}</td></tr>" for k, v in rows.items())
        + "</table>"
    )


def _colophon(case: Case) -> str:
    seconds = sum(case.report.timings.values())
    versions = ", ".join(f"{name} {version}" for name, version in case.report.versions.items())
    return f"{versions}; inspected {case.created or 'at a time not recorded'} in {seconds:.1f} s."
