"""Tables of class by class as heat maps."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from html import escape
from typing import Any

import numpy as np

from ti_core.rendering.drawings import Array, svg, text
from ti_core.rendering.trigger.inks import PAPER, Inks
from ti_core.results.case import Case
from ti_core.text import shown

MOST_NAMED, MOST_PRINTED = 20, 12
"""Numbers of classes up to which rows and columns carry names, and cells their values."""
LONGEST_NAME = 12


def share_matrix(
    table: Array, names: Sequence[str], assignment: Sequence[int], title: str, inks: Inks = PAPER
) -> str:
    """Shares ``K x K`` of each class's images by the class that the model sees.

    Parameters
    ----------
    assignment : the class that each class is led to; its cells are framed.
    """
    printed = [[f"{v:.0%}".rstrip("%") if v >= 0.005 else "" for v in row] for row in table]
    words = (title, "class that the model sees", "class of the images")
    return _matrix(table, printed, names, list(enumerate(assignment)), words, inks)


def pair_matrix(case: Case, stream: Mapping[str, Any], inks: Inks = PAPER) -> str:
    """Deviations of each pair of classes, if the record of a stream holds them; otherwise nothing.

    The pair that stands out most is framed.
    """
    figures = stream.get("figures")
    table = figures.get("pairs") if isinstance(figures, dict) else None
    count = len(case.class_names)
    if not isinstance(table, list) or len(table) != count or not all(_row(own, count) for own in table):
        return ""
    values = np.clip(np.asarray(table, dtype=np.float64), 0, None)
    largest = float(values.max())
    if largest <= 0:
        return ""
    best = divmod(int(values.argmax()), count)
    printed = [[f"{v:.1f}" if v >= 0.05 else "" for v in row] for row in values]
    words = ("Deviations of each pair", "to class", "from class")
    return _matrix(values / largest, printed, case.class_names, [best], words, inks)


def _row(values: object, count: int) -> bool:
    return (
        isinstance(values, list)
        and len(values) == count
        and all(isinstance(v, (int, float)) and not isinstance(v, bool) and abs(v) < 1e9 for v in values)
    )


def _matrix(
    shades: Array,
    printed: Sequence[Sequence[str]],
    names: Sequence[str],
    framed: Sequence[tuple[int, int]],
    words: tuple[str, str, str],
    inks: Inks,
) -> str:
    """Cells with shades from 0 to 1.

    Parameters
    ----------
    framed : row and column of the cells with a frame.
    words : the title, what a column is and what a row is.
    """
    count = len(names)
    cell = min(32.0, max(9.0, 330 / count))
    labels = _labels(names)
    room = 14 + round(6.2 * max(len(word) for word in labels.values()))
    left, top = room + 18, room + 26
    title, column, row = words
    side = cell * count
    parts = [
        text(4, 14, title, inks.ink, size=12, bold=True),
        text(left + side / 2, top + side + 16, f"columns: {column}", inks.soft, "middle"),
        _turned(12, top + side / 2, f"rows: {row}", inks.soft, "middle"),
        f'<rect x="{left}" y="{top}" width="{side:.1f}" height="{side:.1f}" fill="none" stroke="{inks.line}"/>',
    ]
    for i, word in labels.items():
        middle = (i + 0.5) * cell
        parts += [text(left - 5, top + middle + 4, word, inks.soft, "end")]
        if len(word) <= 2:
            parts.append(text(left + middle, top - 6, word, inks.soft, "middle"))
        else:
            parts.append(_turned(left + middle + 4, top - 6, word, inks.soft, "start"))
    for i, j in zip(*np.nonzero(shades >= 0.005), strict=True):
        parts.append(_cell(left + j * cell, top + i * cell, cell, float(shades[i, j]), inks))
        if count <= MOST_PRINTED:
            colour = inks.page if shades[i, j] > 0.6 else inks.ink
            x, y = left + (j + 0.5) * cell, top + (i + 0.5) * cell
            parts.append(text(x, y + 3.5, printed[i][j], colour, "middle", size=10))
    for i, j in framed:
        parts.append(
            f'<rect x="{left + j * cell + 1:.1f}" y="{top + i * cell + 1:.1f}" width="{cell - 2:.1f}"'
            f' height="{cell - 2:.1f}" fill="none" stroke="{inks.ink}" stroke-width="{1.6 if cell > 14 else 1}"/>'
        )
    return svg(round(left + side + 8), round(top + side + 24), parts, title, inks.page)


def _labels(names: Sequence[str]) -> dict[int, str]:
    """What rows and columns carry: names, or where there are many every fifth number."""
    if len(names) <= MOST_NAMED:
        return {i: shown(str(name), LONGEST_NAME) for i, name in enumerate(names)}
    return {i: str(i) for i in range(0, len(names), 5)}


def _cell(x: float, y: float, side: float, shade: float, inks: Inks) -> str:
    return (
        f'<rect x="{x:.1f}" y="{y:.1f}" width="{side:.1f}" height="{side:.1f}" fill="{inks.mark}"'
        f' fill-opacity="{min(1.0, shade):.2f}"/>'
    )


def _turned(x: float, y: float, words: str, colour: str, anchor: str) -> str:
    """Words that run upwards."""
    return (
        f'<text x="{x:.1f}" y="{y:.1f}" fill="{colour}" text-anchor="{anchor}" font-size="11"'
        f' transform="rotate(-90 {x:.1f} {y:.1f})">{escape(shown(words))}</text>'
    )
