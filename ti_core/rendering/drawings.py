"""Charts as SVG for the report and for files. They run no script.

Every text is escaped. Characters that are not printable, some of which XML forbids, are spelt out.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from html import escape

import numpy as np
from numpy.typing import NDArray

from ti_core.text import shown

Array = NDArray[np.floating]

INK, SOFT, LINE = "#1c2733", "#5a6775", "#d3dbe2"
SUSPECT, CLEAN, TROJANED = "#c8501a", "#0072b2", "#9a5b86"
"""Colours by M. Okabe and K. Ito, which colour-blind readers can tell apart. Lines also differ in their dashes."""
ZONES = {"clean": "#0b6b78", "inconclusive": "#b08900", "backdoored": "#b03a12"}


def svg(width: int, height: int, parts: Sequence[str], title: str, page: str = "#ffffff") -> str:
    """A drawing on a background of its own, white by default, so that it is legible on any page and on paper."""
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" width="{width}" height="{height}"'
        f' role="img" font-family="system-ui, sans-serif" font-size="11"><title>{escape(shown(title))}</title>'
        f'<rect width="{width}" height="{height}" fill="{page}"/>' + "".join(parts) + "</svg>"
    )


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
    """The probability on a scale with the thresholds, above the probabilities of the reference models."""
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
    """Indices of the classes that have a tick, the ticks' labels, and whether the labels are names.

    Where there is no room for all names side by side, the labels are class numbers, counted from 0.
    """
    if len(names) <= 20 and sum(len(str(name)) for name in names) <= 120:
        return list(range(len(names))), [str(name) for name in names], True
    each = 5 if len(names) <= 60 else 10 * -(-len(names) // 120)
    at = list(range(0, len(names), each))
    return at, [str(i) for i in at], False


@dataclass(frozen=True)
class _ClassPlot:
    """The plane of a drawing with one column a class: pixels from the left and from the top.

    Parameters
    ----------
    left, width, top, height : of the plane, in pixels.
    count : number of classes.
    lowest, highest : figures at the bottom and at the top.
    """

    left: int
    width: int
    top: int
    height: int
    count: int
    lowest: float
    highest: float

    @property
    def bottom(self) -> int:
        return self.top + self.height

    @property
    def step(self) -> float:
        return self.width / self.count

    def x(self, index: int) -> float:
        return self.left + (index + 0.5) * self.step

    def y(self, value: float) -> float:
        return self.bottom - self.height * (value - self.lowest) / (self.highest - self.lowest)

    def axes(self, names: Sequence[str]) -> Iterator[str]:
        """Lines with their figures, and the classes' names or numbers."""
        end = self.left + self.width
        for tick in np.linspace(self.lowest, self.highest, 5):
            y = self.y(tick)
            yield f'<line x1="{self.left}" x2="{end}" y1="{y:.1f}" y2="{y:.1f}" stroke="{LINE}"/>'
            yield text(self.left - 6, y + 4, f"{tick:.2g}", anchor="end")
        ticks, written, named = class_ticks(names)
        if not named:
            yield text(end, self.bottom + 34, "numbers: the classes, from 0", anchor="end")
        for i, word in zip(ticks, written, strict=True):
            yield text(self.x(i), self.bottom + 16, word[:10], anchor="middle")

    def band(self, index: int, low: float, middle: float, high: float) -> Iterator[str]:
        """The band of the clean reference models for one class, and its middle."""
        x, half = self.x(index), min(10.0, 0.36 * self.step)
        top, bottom = self.y(high), self.y(low)
        yield (
            f'<rect x="{x - half:.1f}" y="{top:.1f}" width="{2 * half:.1f}" height="{max(0.5, bottom - top):.1f}"'
            f' fill="{CLEAN}" fill-opacity="0.2" stroke="{CLEAN}"/>'
        )
        yield (
            f'<line x1="{x - half:.1f}" x2="{x + half:.1f}" y1="{self.y(middle):.1f}" y2="{self.y(middle):.1f}"'
            f' stroke="{CLEAN}" stroke-width="2"/>'
        )

    def mark(self, index: int, value: float) -> str:
        """This model's figure of one class."""
        return f'<circle cx="{self.x(index):.1f}" cy="{self.y(value):.1f}" r="3.5" fill="{SUSPECT}" stroke="#fff"/>'

    def diamond(self, index: int, value: float, name: str, filled: bool) -> Iterator[str]:
        """This model's figure of a class that is pointed out, with the name unless ``name`` is empty."""
        x, y = self.x(index), self.y(value)
        look = (
            f'fill="{SUSPECT}" stroke="#fff"'
            if filled
            else f'fill="none" stroke="{SUSPECT}" stroke-width="2"'
        )
        yield f'<path d="M{x:.1f} {y - 8:.1f} l8 8 l-8 8 l-8 -8 Z" {look}/>'
        if name:
            right = 2 * index > self.count
            yield text(x - 12 if right else x + 12, y + 4, name[:40], INK, anchor="end" if right else "start")


def class_bars(
    names: Sequence[str],
    values: Array,
    band: Sequence[Array],
    title: str,
    suspected: int | None,
    outstanding: int | None,
) -> str:
    """Each class's figure against the band of the clean reference models.

    Parameters
    ----------
    band : low, middle and high of each class. Where it is empty, the figures are in units of a usual figure, and a
        line stands at 1.
    suspected : index of the suspected target class, or None. Its mark is a filled diamond.
    outstanding : index of another class, the one that stands out most, or None. Its mark is an open diamond.
    """
    low, middle, high = band or (np.ones_like(values),) * 3
    lowest, highest = (float(f([f(np.asarray(v)) for v in (values, low, high)])) for f in (np.min, np.max))
    margin = 0.05 * max(highest - lowest, 1e-9)
    width = max(520, min(900, 26 * len(names)))
    plot = _ClassPlot(52, width, 34, 150, len(names), lowest - margin, highest + margin)
    parts = [text(plot.left, 16, title, INK, size=12, bold=True), *plot.axes(names)]
    _, _, named = class_ticks(names)
    for i, name in enumerate(names):
        parts += plot.band(i, low[i], middle[i], high[i])
        if i in (suspected, outstanding):
            parts += plot.diamond(i, values[i], "" if named else str(name), filled=i == suspected)
        else:
            parts.append(plot.mark(i, values[i]))
    legend = (
        "bars: 5 to 95 % of the clean reference models, and their median; marks: this model"
        if band
        else "line: the most outstanding class of 19 in 20 clean networks stays below; marks: this model"
    )
    parts.append(text(plot.left, plot.bottom + 34, legend))
    diamonds = {
        "filled diamond: the suspected target": suspected,
        "open diamond: the class that stands out most": outstanding,
    }
    said = "; ".join(words for words, index in diamonds.items() if index is not None)
    parts.append(text(plot.left, plot.bottom + 50, said or "no class is pointed out"))
    return svg(plot.left + width + 12, plot.bottom + 60, parts, title)


def signed(value: float) -> str:
    """A number with its sign and two decimals. A number that rounds to zero has no sign."""
    return f"{value:+.2f}" if abs(value) >= 0.005 else "0.00"


def contribution_bars(pairs: Sequence[tuple[str, float]], title: str) -> str:
    """Shapley values as bars: to the right for a backdoor; to the left, hatched, against a backdoor."""
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
