"""Charts as SVG: for the report and for files, where no script may run.

Every text is escaped, and what is not printable (and no XML may hold) is spelt out.
"""

from __future__ import annotations

import base64
from collections.abc import Sequence
from html import escape

import numpy as np
from numpy.typing import NDArray

from ti_core.rendering.comparison import Panel
from ti_core.text import shown

Array = NDArray[np.floating]

INK, SOFT, LINE = "#1c2733", "#5a6775", "#d3dbe2"
SUSPECT, CLEAN, TROJANED = "#c8501a", "#0072b2", "#9a5b86"
"""Colours by M. Okabe and K. Ito, which stay apart for colour-blind eyes; lines differ by their dashes besides."""
ZONES = {"clean": "#0b6b78", "inconclusive": "#b08900", "backdoored": "#b03a12"}


def svg(width: int, height: int, parts: Sequence[str], title: str) -> str:
    """A drawing on white, so that it is legible on any page and on paper."""
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" width="{width}" height="{height}"'
        f' role="img" font-family="system-ui, sans-serif" font-size="11"><title>{escape(shown(title))}</title>'
        f'<rect width="{width}" height="{height}" fill="#ffffff"/>' + "".join(parts) + "</svg>"
    )


def uri(drawing: str) -> str:
    """A drawing inside a page."""
    return "data:image/svg+xml;base64," + base64.b64encode(drawing.encode()).decode()


def text(
    x: float,
    y: float,
    words: str,
    colour: str = SOFT,
    anchor: str = "start",
    size: int = 11,
    bold: bool = False,
) -> str:
    weight = ' font-weight="600"' if bold else ""
    return (
        f'<text x="{x:.1f}" y="{y:.1f}" fill="{colour}" text-anchor="{anchor}" font-size="{size}"{weight}>'
        f"{escape(shown(words))}</text>"
    )


def gauge(
    probability: float, low: float, high: float, clean: Array | None = None, trojaned: Array | None = None
) -> str:
    """The probability on a scale with the thresholds, over the reference models' own."""
    left, width = 130, 480
    rows = [
        (n, v) for n, v in (("clean references", clean), ("trojaned references", trojaned)) if v is not None
    ]
    parts = []

    def at(p: float) -> float:
        return left + width * float(np.clip(p, 0, 1))

    for name, start, end in (
        ("clean", 0.0, low),
        ("inconclusive", low, high),
        ("backdoored", high, 1.0),
    ):
        span = at(end) - at(start)
        parts.append(
            f'<rect x="{at(start):.1f}" y="30" width="{span:.1f}" height="18" fill="{ZONES[name]}" opacity="0.3"/>'
        )
        if span > 80:
            parts.append(text((at(start) + at(end)) / 2, 43, name, INK, "middle"))
    bottom = 60 + 26 * len(rows)
    for p in (low, high):
        parts.append(
            f'<line x1="{at(p):.1f}" x2="{at(p):.1f}" y1="26" y2="{bottom}" stroke="{SOFT}" stroke-dasharray="2 3"/>'
        )
        parts.append(text(at(p), bottom + 26, f"{p:.0%}", INK, "middle"))
    x = at(probability)
    parts.append(f'<path d="M{x - 8:.1f} 14 L{x + 8:.1f} 14 L{x:.1f} 28 Z" fill="{SUSPECT}"/>')
    parts.append(text(left - 8, 26, "this model", anchor="end"))
    for i, (name, values) in enumerate(rows):
        y = 66 + 26 * i
        parts.append(text(left - 8, y + 4, name, anchor="end"))
        colour = CLEAN if i == 0 else TROJANED
        for p in values:
            mark = (
                f"M{at(float(p)):.1f} {y - 6} v12"
                if i == 0
                else f"M{at(float(p)) - 3:.1f} {y - 3} l6 6 m0 -6 l-6 6"
            )
            parts.append(f'<path d="{mark}" stroke="{colour}" fill="none"/>')
    for p in (0.0, 1.0):
        parts.append(text(at(p), bottom + 12, f"{p:.0%}", anchor="middle"))
    return svg(left + width + 30, bottom + 34, parts, f"Probability of a backdoor {probability:.1%}")


def class_ticks(names: Sequence[str]) -> tuple[list[int], list[str], bool]:
    """Which classes have a tick, what stands at each, and whether those are names.

    Where the names have no room side by side, the ticks are class numbers, counted from 0.
    """
    if len(names) <= 20 and sum(len(str(name)) for name in names) <= 120:
        return list(range(len(names))), [str(name) for name in names], True
    each = 5 if len(names) <= 60 else 10 * -(-len(names) // 120)
    at = list(range(0, len(names), each))
    return at, [str(i) for i in at], False


def class_bars(
    names: Sequence[str],
    values: Array,
    band: Sequence[Array],
    title: str,
    suspected: int | None,
) -> str:
    """Every class's figure against the band of the clean reference models: low, middle and high of each class.

    Where ``band`` is empty, the figures are in units of what is usual, and a line stands at 1.
    """
    low, middle, high = band or (np.ones_like(values),) * 3
    left, top, height = 52, 34, 150
    width = max(520, min(900, 26 * len(names)))
    bottom = top + height
    lowest, highest = (float(f([f(np.asarray(v)) for v in (values, low, high)])) for f in (np.min, np.max))
    span = max(highest - lowest, 1e-9)
    lowest, highest = lowest - 0.05 * span, highest + 0.05 * span

    def y(value: float) -> float:
        return bottom - height * (value - lowest) / (highest - lowest)

    step = width / len(names)
    parts = [text(left, 16, title, INK, size=12, bold=True)]
    for tick in np.linspace(lowest, highest, 5):
        parts.append(
            f'<line x1="{left}" x2="{left + width}" y1="{y(tick):.1f}" y2="{y(tick):.1f}" stroke="{LINE}"/>'
        )
        parts.append(text(left - 6, y(tick) + 4, f"{tick:.2g}", anchor="end"))
    ticks, written, named = class_ticks(names)
    if not named:
        parts.append(text(left + width, bottom + 34, "numbers: the classes, from 0", anchor="end"))
    for i, word in zip(ticks, written, strict=True):
        parts.append(text(left + (i + 0.5) * step, bottom + 16, word[:10], anchor="middle"))
    for i, name in enumerate(names):
        x, half = left + (i + 0.5) * step, min(10.0, 0.36 * step)
        parts += _band(x, half, y(low[i]), y(middle[i]), y(high[i]))
        beside = None if named else (str(name), 2 * i > len(names))
        parts += _mark(x, y(values[i]), i == suspected, beside)
    parts.append(
        text(
            left,
            bottom + 34,
            "bars: 5 to 95 % of the clean reference models, and their median; marks: this model"
            if band
            else "line: the most outstanding class of 19 in 20 clean networks stays below; marks: this model",
        )
    )
    return svg(left + width + 12, bottom + 44, parts, title)


def _band(x: float, half: float, low: float, middle: float, high: float) -> list[str]:
    """The clean reference models' band about ``x``, from ``low`` to ``high`` on the page, and its middle."""
    return [
        f'<rect x="{x - half:.1f}" y="{high:.1f}" width="{2 * half:.1f}"'
        f' height="{max(0.5, low - high):.1f}" fill="{CLEAN}" fill-opacity="0.2" stroke="{CLEAN}"/>',
        f'<line x1="{x - half:.1f}" x2="{x + half:.1f}" y1="{middle:.1f}" y2="{middle:.1f}"'
        f' stroke="{CLEAN}" stroke-width="2"/>',
    ]


def _mark(x: float, y: float, suspected: bool, beside: tuple[str, bool] | None) -> list[str]:
    """This model's mark of a class; the suspected class is a diamond.

    Parameters
    ----------
    beside : the class's name, which stands beside a diamond, and whether it stands to its left.
    """
    if not suspected:
        return [f'<circle cx="{x:.1f}" cy="{y:.1f}" r="3.5" fill="{SUSPECT}" stroke="#fff"/>']
    parts = [f'<path d="M{x:.1f} {y - 8:.1f} l8 8 l-8 8 l-8 -8 Z" fill="{SUSPECT}" stroke="#fff"/>']
    if beside is not None:
        name, left = beside
        place = x - 12 if left else x + 12
        parts.append(text(place, y + 4, name[:40], INK, anchor="end" if left else "start"))
    return parts


def histograms(panels: Sequence[Panel], title: str, trojaned: bool = True, columns: int = 3) -> str:
    """Histograms in rows, all on the same axes."""
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


def signed(value: float) -> str:
    """Two digits with their sign; nothing has none."""
    return f"{value:+.2f}" if abs(value) >= 0.005 else "0.00"


def contribution_bars(pairs: Sequence[tuple[str, float]], title: str) -> str:
    """Shapley values: to the right for a backdoor, to the left, hatched, against it."""
    left, width, row = 400, 240, 20
    reach = max([abs(v) for _, v in pairs] + [0.1])
    middle = left + width / 2
    parts = [
        '<defs><pattern id="h" width="5" height="5" patternUnits="userSpaceOnUse" patternTransform="rotate(45)">'
        f'<rect width="5" height="5" fill="#ffffff"/><rect width="2.5" height="5" fill="{CLEAN}"/></pattern></defs>',
        text(8, 16, title, INK, size=12, bold=True),
    ]
    for i, (name, value) in enumerate(pairs):
        y = 30 + row * i
        length = 0.32 * width * abs(value) / reach
        start = middle if value > 0 else middle - length
        parts.append(text(left - 4, y + 11, name if len(name) < 66 else name[:65] + "…", INK, "end"))
        fill = SUSPECT if value > 0 else "url(#h)"
        parts.append(f'<rect x="{start:.1f}" y="{y}" width="{length:.1f}" height="14" fill="{fill}"/>')
        parts.append(
            text(
                middle + length + 4 if value > 0 else middle - length - 4,
                y + 11,
                signed(value),
                SOFT,
                "start" if value > 0 else "end",
            )
        )
    bottom = 36 + row * len(pairs)
    parts.append(text(middle, bottom + 8, "against ← log-odds → for a backdoor", anchor="middle"))
    return svg(left + width + 10, bottom + 16, parts, title)
