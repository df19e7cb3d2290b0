"""A field of displacements as arrows, true to scale."""

from __future__ import annotations

from math import ceil

import numpy as np

from ti_core.rendering.drawings import Array, svg
from ti_core.rendering.trigger.inks import PAPER, Inks

SIDE, ARROWS = 280, 14
"""Pixels of the longer side, and arrows along it at most."""
HEAD = 4.0
"""Longest side of an arrow's head, in pixels of the drawing."""


def field_drawing(field: Array, inks: Inks = PAPER) -> str:
    """Arrows from the place that a pixel's value is taken from to the pixel. The frame is the image's edge.

    Parameters
    ----------
    field : ``H x W x 2``, for each pixel how many columns and rows away its value is taken from.
    """
    height, width = field.shape[:2]
    scale, every = SIDE / max(height, width), max(1, -(-max(height, width) // ARROWS))
    largest = float(np.linalg.norm(field, axis=-1).max())
    # An arrow may begin beyond the edge.
    aside = ceil(scale * largest)
    rows, columns = (np.arange(every // 2, n, every) for n in (height, width))
    lines, heads = [], []
    for row in rows:
        for column in columns:
            end = aside + scale * (np.array([column, row]) + 0.5)
            start = end + scale * np.asarray(field[row, column], dtype=np.float64)
            lines.append(f"M{start[0]:.1f} {start[1]:.1f}L{end[0]:.1f} {end[1]:.1f}")
            heads += _head(start, end)
    wide, high = round(width * scale), round(height * scale)
    parts = [
        f'<rect x="{aside}" y="{aside}" width="{wide}" height="{high}" fill="none" stroke="{inks.line}"/>',
        f'<path d="{"".join(lines)}" stroke="{inks.mark}" stroke-width="1.4" fill="none"/>',
        f'<path d="{"".join(heads)}" fill="{inks.mark}"/>',
    ]
    title = f"Displacements of at most {largest:.1f} pixels"
    return svg(wide + 2 * aside, high + 2 * aside, parts, title, inks.page)


def _head(start: Array, end: Array) -> list[str]:
    """The triangle at an arrow's end; none on an arrow too short to see."""
    along = end - start
    length = float(np.hypot(*along))
    if length < 1:
        return []
    size = min(HEAD, 0.6 * length)
    back = end - size * along / length
    aside = 0.5 * size * np.array([-along[1], along[0]]) / length
    (x0, y0), (x1, y1) = back + aside, back - aside
    return [f"M{end[0]:.1f} {end[1]:.1f}L{x0:.1f} {y0:.1f}L{x1:.1f} {y1:.1f}Z"]
