"""The report as one HTML page that asks no other host for anything and runs no script."""

from __future__ import annotations

from html import escape
from typing import TYPE_CHECKING, Any

import numpy as np

from ti_core.pictures import data_uri, grid, heat
from ti_core.report import Report

if TYPE_CHECKING:
    from ti_core.inspection import Inspection

POLICY = "default-src 'none'; img-src data:; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'"
SYMBOLS = {"clean": "✓", "backdoored": "✗", "inconclusive": "?"}
SHOWN = 8
STYLE = """
:root { color-scheme: light dark; --ink: #1c2733; --soft: #5a6775; --line: #d6dde4; --card: #f6f8fa; --page: #fff;
  --clean: #0b6e4f; --backdoored: #a3341f; --inconclusive: #7a5b00; }
@media (prefers-color-scheme: dark) { :root { --ink: #e8edf2; --soft: #a3b0bd; --line: #33404d; --card: #1a232c;
  --page: #11181f; --clean: #5fd0a5; --backdoored: #ff9d85; --inconclusive: #e8c547; } }
body { font: 16px/1.5 system-ui, sans-serif; color: var(--ink); background: var(--page); max-width: 52rem;
  margin: 2rem auto; padding: 0 1rem; }
h1 { font-size: 1.5rem; } h2 { font-size: 1.1rem; margin-top: 2rem; border-bottom: 1px solid var(--line); }
.verdict { border-left: .4rem solid; padding: .75rem 1rem; background: var(--card); font-size: 1.15rem; }
.clean { border-color: var(--clean); } .backdoored { border-color: var(--backdoored); }
.inconclusive { border-color: var(--inconclusive); }
table { border-collapse: collapse; width: 100%; font-size: .9rem; } td, th { text-align: left; vertical-align: top;
  padding: .25rem .75rem .25rem 0; border-bottom: 1px solid var(--line); overflow-wrap: anywhere; }
th { color: var(--soft); font-weight: 500; width: 14rem; } img { max-width: 100%; image-rendering: pixelated; }
figcaption, footer { color: var(--soft); font-size: .85rem; } figure { margin: 1rem 0; }
@media print { body { margin: 0; max-width: none; } h2 { break-after: avoid; } figure, tr { break-inside: avoid; } }
"""


def html_report(inspection: Inspection) -> str:
    """The report of a finished inspection. Every text that comes from the model or the pack is escaped."""
    report = inspection.report
    parts = [
        f'<p class="verdict {report.verdict}">{SYMBOLS[report.verdict]} {escape(report.sentence())}</p>',
        "<h2>Reasons</h2>",
        "<ul>" + "".join(f"<li>{escape(r)}</li>" for r in report.reasons) + "</ul>",
        *_trigger(inspection),
        *_saliency(inspection),
        "<h2>Streams of evidence</h2>",
        _table({name: stream["sentence"] for name, stream in report.streams.items()}),
        "<h2>Model</h2>",
        _table(_flat(report.model)),
        "<h2>Reference pack</h2>",
        _table(_flat(report.pack)),
        "<h2>Settings</h2>",
        _table(_flat(report.settings)),
        "<h2>Limits</h2>",
        "<p>A verdict of “clean” says that no trigger of the kinds this pack was measured on was found, at the"
        " rates above. Triggers of other kinds, and attackers who know this program, may pass it.</p>",
        f"<h2>How to repeat it</h2><p><code>{escape(_command(report))}</code></p>",
    ]
    title = escape(f"Inspection of {report.model['file']}")
    return (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
        f'<meta http-equiv="Content-Security-Policy" content="{POLICY}">'
        '<meta name="viewport" content="width=device-width"><meta name="referrer" content="no-referrer">'
        f"<title>{title}</title><style>{STYLE}</style></head><body><h1>{title}</h1>"
        + "\n".join(parts)
        + f"<footer><p>{escape(_colophon(report))}</p></footer></body></html>\n"
    )


def _trigger(inspection: Inspection) -> list[str]:
    found, classifier = inspection.trigger, inspection.classifier
    if found is None or classifier is None or inspection.probes is None:
        return []
    import torch

    clean = inspection.probes.stack[: len(inspection.probes.stack) // 3][:SHOWN]
    stamped = found.trigger().stamp(clean)
    with torch.no_grad():
        flipped = int((classifier.scores(stamped).argmax(1) == found.target).sum())
    shown = np.where(found.mask[None] > 0, found.pattern, 0.5)[None]
    return [
        "<h2>Recovered trigger</h2>",
        _figure(grid(shown, 1, scale=8), "The recovered trigger; grey is untouched."),
        _figure(
            grid(torch.cat([clean, stamped]).numpy(), len(clean)),
            f"Clean images, and the same stamped: {flipped} of these {len(clean)} become the target.",
        ),
    ]


def _saliency(inspection: Inspection) -> list[str]:
    if inspection.probes is None or inspection.classifier is None or "saliency" not in inspection.readings:
        return []
    from ti_core.saliency import saliency_maps

    probes, third = inspection.probes, len(inspection.probes.stack) // 3
    count = min(SHOWN, third)
    chosen = [row * third + i for row in range(3) for i in range(count)]
    figures = ["<h2>Saliency</h2>"]
    for kind, images in zip(probes.kinds, probes.images, strict=True):
        maps = saliency_maps(inspection.classifier.scores, images[chosen]).numpy()
        figures.append(
            _figure(
                grid(heat(maps, float(np.quantile(maps, 0.999))), count),
                f"Saliency of the predicted class; rows: clean, maximised, minimised images; random triggers: {kind}."
                f" Brightest: {np.quantile(maps, 0.999):.2g}.",
            )
        )
    return figures


def _figure(pixels: Any, caption: str) -> str:
    text = escape(caption)
    return f'<figure><img src="{data_uri(pixels)}" alt="{text}"><figcaption>{text}</figcaption></figure>'


def _flat(values: dict[str, Any], before: str = "") -> dict[str, str]:
    rows: dict[str, str] = {}
    for key, value in values.items():
        name = f"{before}{key}".replace("_", " ")
        if isinstance(value, dict):
            rows |= _flat(value, f"{name}: ")
        else:
            rows[name] = ", ".join(map(str, value)) if isinstance(value, (list, tuple)) else str(value)
    return rows


def _table(rows: dict[str, str]) -> str:
    return (
        "<table>"
        + "".join(f"<tr><th>{escape(k)}</th><td>{escape(v)}</td></tr>" for k, v in rows.items())
        + "</table>"
    )


def _command(report: Report) -> str:
    from ti_core.settings import Settings

    standard = Settings().as_dict()
    changed = [
        f" --set {key}={','.join(map(str, value)) if isinstance(value, (list, tuple)) else value}"
        for key, value in report.settings.items()
        if value != standard[key]
    ]
    images = report.pack.get("images")
    beside = f"--images {images['file']}" if images else f"--pack {report.pack['name']}"
    return f"python -m ti_core inspect {report.model['file']} {beside}" + "".join(changed)


def _colophon(report: Report) -> str:
    seconds = sum(report.timings.values())
    return ", ".join(f"{name} {version}" for name, version in report.versions.items()) + f"; {seconds:.1f} s."
