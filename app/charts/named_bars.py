"""Horizontal bars whose names stand above them, so that a narrow page has room for both."""

from __future__ import annotations

from collections.abc import Sequence

import plotly.graph_objects as go

from app.charts.theme import Palette

BAR = 20
"""Height of a bar in pixels."""
ROWS = {1: 46, 2: 62}
"""Height of a row in pixels, by the lines of the longest name."""


def name_above(figure: go.Figure, names: Sequence[str], colours: Palette, downwards: bool) -> None:
    """Give the bars at 0, 1, ... of a figure their names, which are escaped and have at most two lines.

    Parameters
    ----------
    downwards : whether the first bar is the uppermost one.
    """
    lines = max((name.count("<br>") + 1 for name in names), default=1)
    row = ROWS[min(lines, 2)]
    half = BAR / row / 2
    up = -1 if downwards else 1
    figure.update_traces(width=2 * half)
    # The first row has its name above the bar, the last one nothing below it.
    last, spare = len(names) - 1, 1.5 * half
    ends = (last + spare, spare - 1) if downwards else (-spare, last + 1 - spare)
    figure.update_layout(
        height=64 + row * len(names),
        yaxis={
            "tickvals": [],
            "showgrid": False,
            "range": ends,
        },
        annotations=[
            {
                "x": 0,
                "xref": "paper",
                "xanchor": "left",
                "align": "left",
                "y": i + up * half,
                "yanchor": "bottom",
                "text": name,
                "showarrow": False,
                "font": {"size": 12, "color": colours.soft},
                "bgcolor": colours.page,
                "borderpad": 1,
            }
            for i, name in enumerate(names)
        ],
    )
