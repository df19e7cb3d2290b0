"""Colours and the Plotly template, light and dark.

The palette of M. Okabe and K. Ito is suitable for colour-blind readers. A verdict always has a symbol and a word, too.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import plotly.graph_objects as go

from ti_core.rendering.trigger.inks import Inks


@dataclass(frozen=True, eq=False)
class Palette:
    """The colours of one theme, as hexadecimal texts. There is one object for each theme."""

    ink: str
    soft: str
    line: str
    page: str
    card: str
    suspect: str
    clean: str
    trojaned: str
    verdicts: dict[str, str]


LIGHT = Palette(
    ink="#1c2733",
    soft="#5a6775",
    line="#d3dbe2",
    page="#ffffff",
    card="#f3f6f8",
    suspect="#c8501a",
    clean="#0072b2",
    trojaned="#9a5b86",
    verdicts={"clean": "#0b6b78", "backdoored": "#b03a12", "inconclusive": "#7a5b00"},
)
DARK = Palette(
    ink="#e8edf2",
    soft="#a3b0bd",
    line="#33404d",
    page="#11181f",
    card="#1a232c",
    suspect="#ff9a5c",
    clean="#6cb8ea",
    trojaned="#dfa3cb",
    verdicts={"clean": "#5fc9d6", "backdoored": "#ff9d7a", "inconclusive": "#e8c547"},
)

SYMBOLS = {"clean": "✓", "backdoored": "✗", "inconclusive": "?"}
WORDS = {"clean": "Clean", "backdoored": "Backdoored", "inconclusive": "Inconclusive"}


def palette(dark: bool) -> Palette:
    return DARK if dark else LIGHT


def inks(colours: Palette) -> Inks:
    """The theme's colours for a drawing of the report."""
    return Inks(colours.ink, colours.soft, colours.line, colours.page, colours.suspect)


def faded(colour: str, alpha: float) -> str:
    """A hexadecimal colour as ``rgba`` with this opacity."""
    r, g, b = (int(colour[i : i + 2], 16) for i in (1, 3, 5))
    return f"rgba({r},{g},{b},{alpha:g})"


def figure_from(
    traces: Sequence[Mapping[str, Any]], layout: Mapping[str, Any], colours: Palette
) -> go.Figure:
    """A figure from plain data, in the theme. Checked once: a call for every part would take three times as long."""
    return go.Figure(data=traces, layout={**layout, "template": template(colours)})


@lru_cache(maxsize=2)
def template(colours: Palette) -> go.layout.Template:
    """The Plotly template of every chart. It loads no fonts or pictures from a host. No figure changes it."""
    axis = {
        "gridcolor": colours.line,
        "linecolor": colours.line,
        "zerolinecolor": colours.line,
        "tickcolor": colours.line,
        "tickfont": {"color": colours.soft, "size": 12},
        "title": {"font": {"color": colours.soft, "size": 12}},
        "automargin": True,
        "fixedrange": True,
    }
    return go.layout.Template(
        layout=go.Layout(
            font={"family": "system-ui, sans-serif", "size": 13, "color": colours.ink},
            paper_bgcolor="rgba(0,0,0,0)",
            plot_bgcolor="rgba(0,0,0,0)",
            margin={"l": 8, "r": 8, "t": 28, "b": 8},
            xaxis=axis,
            yaxis=axis,
            legend={
                "orientation": "h",
                "yanchor": "bottom",
                "y": 1.02,
                "x": 0,
                "font": {"color": colours.ink, "size": 12},
            },
            hoverlabel={
                "bgcolor": colours.card,
                "bordercolor": colours.line,
                "font": {"color": colours.ink, "size": 12},
            },
            colorway=[colours.suspect, colours.clean, colours.trojaned, colours.soft],
        )
    )
