"""Histograms of saliency as Plotly figures: panels on the same axes, bands of reference models, and marked bins."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from functools import lru_cache
from typing import Any

import numpy as np
import plotly.graph_objects as go
from numpy.typing import NDArray
from plotly.subplots import make_subplots

from app.charts.theme import Palette, faded, figure_from
from app.charts.verdict import MOST_POINTS, capital
from ti_core.rendering.comparison import Panel

Array = NDArray[np.floating]
Trace = dict[str, Any]


def highest(panels: Sequence[Panel], trojaned: bool = False) -> float:
    """The upper end of an axis that fits all of these panels."""
    return max(float(max(p.own.max(), p.clean.max(), p.trojaned.max() if trojaned else 0.0)) for p in panels)


def histograms(
    panels: Sequence[Panel],
    colours: Palette,
    trojaned: bool = False,
    pushes: bool = False,
    columns: int = 3,
    top: float | None = None,
) -> list[go.Figure]:
    """One panel per histogram, all with the same axes. The limit on points determines the number of figures.

    Parameters
    ----------
    trojaned : whether the trojaned reference models' band is drawn, too.
    pushes : whether the bins that moved the saliency stream's verdict are marked.
    top : end of the vertical axes if other figures share them; None to fit these panels.
    """
    if not panels:
        return []
    top = highest(panels, trojaned) if top is None else top
    strongest = max(float(np.abs(p.pushes).max()) for p in panels) if pushes else 0.0
    traces = 4 + 3 * trojaned + (strongest > 0)
    # A step line repeats its last value. Otherwise the last bin would have no width.
    each = traces * (len(panels[0].own) + 1)
    fitting = max(1, MOST_POINTS // each)
    fitting = max(columns, fitting - fitting % columns) if fitting >= columns else fitting
    return [
        _panel_grid(panels[i : i + fitting], colours, top, trojaned, strongest, columns)
        for i in range(0, len(panels), fitting)
    ]


def _panel_grid(
    panels: Sequence[Panel], colours: Palette, top: float, trojaned: bool, strongest: float, columns: int
) -> go.Figure:
    """One figure. It is put together as plain data and checked once: a call for every trace takes twice as long."""
    columns = min(columns, len(panels))
    rows = -(-len(panels) // columns)
    layout = copy.deepcopy(_grid(rows, columns, tuple(_title(p.title) for p in panels)))
    traces: list[Trace] = []
    for i, panel in enumerate(panels):
        first, drawn = i == 0, _band(panel.edges, panel.clean, "clean models", colours.clean, i == 0)
        if trojaned:
            drawn += _band(panel.edges, panel.trojaned, "trojaned models", colours.trojaned, first)
        drawn.append(
            {
                "x": panel.edges,
                "y": _steps(panel.own),
                "mode": "lines",
                "line": {"shape": "hv", "width": 2.5, "color": colours.suspect},
                "name": "this model",
                "legendgroup": "own",
                "showlegend": first,
                "hovertemplate": "saliency from %{x:.2g}: %{y:.1%}<extra>this model</extra>",
            }
        )
        if strongest > 0:
            drawn += _pushes(panel, strongest, top, colours)
        number = "" if first else str(i + 1)
        traces += [{"type": "scatter", "xaxis": f"x{number}", "yaxis": f"y{number}", **one} for one in drawn]
    low, high = float(panels[0].edges[0]), float(panels[0].edges[-1])
    decades = [10.0**k for k in range(int(np.ceil(np.log10(low))), int(np.floor(np.log10(high))) + 1)]
    across = {"type": "log", "range": [np.log10(low), np.log10(high)], "tickvals": decades}
    across["ticktext"] = [f"{d:g}" for d in decades]
    up = {"range": [-0.12 * top if strongest > 0 else 0, 1.05 * top], "tickformat": ".0%", "nticks": 5}
    for name, axis in layout.items():
        if name.startswith(("xaxis", "yaxis")):
            axis |= across if name.startswith("x") else up
    for title in layout["annotations"]:
        title["font"] = {"size": 12, "color": colours.ink}
    layout |= {
        "height": 70 + 190 * rows,
        "legend": {"y": 1 + 0.28 / rows, "yanchor": "bottom"},
        "margin": {"l": 8, "r": 8, "t": 60, "b": 8},
    }
    return figure_from(traces, layout, colours)


@lru_cache(maxsize=32)
def _grid(rows: int, columns: int, titles: tuple[str, ...]) -> dict[str, Any]:
    """The layout of a grid of panels: axes that move together, and titles."""
    figure = make_subplots(
        rows=rows,
        cols=columns,
        shared_xaxes="all",
        shared_yaxes="all",
        subplot_titles=titles,
        horizontal_spacing=0.03,
        vertical_spacing=min(0.12, 0.34 / rows),
    )
    layout: dict[str, Any] = figure.to_plotly_json()["layout"]
    layout.pop("template", None)
    return layout


def _title(text: str) -> str:
    """A panel's title on two lines: on a narrow page one line would run into the next panel's."""
    middle = len(text) / 2
    at = min((i for i, sign in enumerate(text) if sign == " "), key=lambda i: abs(i - middle), default=0)
    return capital(f"{text[:at]}<br>{text[at + 1 :]}" if at else text)


def _band(edges: Array, band: Array, name: str, colour: str, first: bool) -> list[Trace]:
    common = {"x": edges, "mode": "lines", "legendgroup": name, "hoverinfo": "skip"}
    edge = {"shape": "hv", "width": 0, "color": colour}
    median = {"shape": "hv", "width": 1.5, "color": colour, "dash": "dash" if "clean" in name else "dot"}
    return [
        {**common, "y": _steps(band[0]), "line": edge, "showlegend": False},
        {
            **common,
            "y": _steps(band[2]),
            "line": edge,
            "fill": "tonexty",
            "fillcolor": faded(colour, 0.22),
            "name": f"{name}, 5 to 95%",
            "showlegend": first,
        },
        {**common, "y": _steps(band[1]), "line": median, "name": f"{name}, median", "showlegend": first},
    ]


def _pushes(panel: Panel, strongest: float, top: float, colours: Palette) -> list[Trace]:
    """Marks below the axis: an upward triangle if a bin speaks for a backdoor, a downward one if against it."""
    chosen = np.flatnonzero(np.abs(panel.pushes) > 0.05 * strongest)
    if not len(chosen):
        return []
    values = panel.pushes[chosen]
    return [
        {
            "x": np.sqrt(panel.edges[chosen] * panel.edges[chosen + 1]),
            "y": np.full(len(chosen), -0.06 * top),
            "mode": "markers",
            "marker": {
                "symbol": ["triangle-up" if v > 0 else "triangle-down" for v in values],
                "size": 6 + 8 * np.abs(values) / strongest,
                "color": [colours.suspect if v > 0 else colours.clean for v in values],
            },
            "customdata": values,
            "hovertemplate": "%{customdata:+.2f} log-odds<extra>this bin</extra>",
            "showlegend": False,
        }
    ]


def _steps(values: Array) -> Array:
    return np.append(values, values[-1])
