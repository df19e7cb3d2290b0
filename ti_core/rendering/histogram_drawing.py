"""Histograms of saliency as SVG."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from ti_core.rendering.comparison import Panel
from ti_core.rendering.drawings import CLEAN, INK, LINE, SUSPECT, TROJANED, Array, svg, text


def histograms(panels: Sequence[Panel], title: str, trojaned: bool = True, columns: int = 3) -> str:
    """Histograms in rows of ``columns``, all with the same axes."""
    width, height, gap = 250, 110, 46
    top = (
        max(float(max(p.own.max(), p.clean.max(), p.trojaned.max() if trojaned else 0)) for p in panels)
        * 1.05
    )
    parts = [text(44, 16, title, INK, size=12, bold=True)]
    for i, panel in enumerate(panels):
        x0, y0 = 44 + (i % columns) * (width + 16), 44 + (i // columns) * (height + gap)
        parts.append(_panel(panel, x0, y0, width, height, top, trojaned))
    rows = -(-len(panels) // columns)
    bottom = 44 + rows * (height + gap)
    legend = [(SUSPECT, "", "this model"), (CLEAN, "5 3", "clean models: median, and 5 to 95 % shaded")]
    if trojaned:
        legend.append((TROJANED, "2 3", "trojaned models: median"))
    x = 44.0
    for colour, dash, words in legend:
        parts.append(
            f'<line x1="{x}" x2="{x + 24}" y1="{bottom}" y2="{bottom}" stroke="{colour}" stroke-width="2"'
            f' stroke-dasharray="{dash}"/>'
        )
        parts.append(text(x + 30, bottom + 4, words, INK))
        x += 60 + 6.2 * len(words)
    return svg(44 + min(columns, max(2, len(panels))) * (width + 16), bottom + 14, parts, title)


def _panel(
    panel: Panel, x0: float, y0: float, width: float, height: float, top: float, trojaned: bool
) -> str:
    edges = np.log10(panel.edges)

    def x(value: float) -> float:
        return float(x0 + width * (value - edges[0]) / (edges[-1] - edges[0]))

    def y(share: float) -> float:
        return y0 + height * (1 - float(share) / top)

    def steps(values: Array, backwards: bool = False) -> list[str]:
        line = [f"{x(e):.1f},{y(v):.1f}" for i, v in enumerate(values) for e in (edges[i], edges[i + 1])]
        return line[::-1] if backwards else line

    title = panel.title[:1].upper() + panel.title[1:]
    parts = [
        text(x0, y0 - 6, title, INK),
        f'<rect x="{x0}" y="{y0}" width="{width}" height="{height}" fill="none" stroke="{LINE}"/>',
        f'<polygon points="{" ".join(steps(panel.clean[2]) + steps(panel.clean[0], True))}" fill="{CLEAN}"'
        ' fill-opacity="0.2"/>',
        _line(steps(panel.clean[1]), CLEAN, 1.3, "5 3"),
    ]
    if trojaned:
        parts.append(_line(steps(panel.trojaned[1]), TROJANED, 1.3, "2 3"))
    parts.append(_line(steps(panel.own), SUSPECT, 2, ""))
    for k in range(int(np.ceil(edges[0])), int(np.floor(edges[-1])) + 1):
        parts.append(text(x(k), y0 + height + 13, f"{10.0**k:g}", anchor="middle", size=10))
    parts.append(text(x0 - 4, y0 + 9, f"{top:.0%}", anchor="end", size=10))
    parts.append(text(x0 - 4, y0 + height, "0%", anchor="end", size=10))
    return "".join(parts)


def _line(points: Sequence[str], colour: str, width: float, dash: str) -> str:
    return (
        f'<polyline points="{" ".join(points)}" fill="none" stroke="{colour}" stroke-width="{width}"'
        f' stroke-dasharray="{dash}"/>'
    )
