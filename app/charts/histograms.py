"""Histograms of saliency as Plotly figures: panels on the same axes, bands of reference models, and marked bins."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import plotly.graph_objects as go
from numpy.typing import NDArray

from app.charts.panel_grid import GAP, Grid
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
    bands = 1 + trojaned
    # A band's outline has four points for a bin. A step line repeats its last value, and ends with a gap.
    each = (5 * bands + 1 + (strongest > 0)) * (len(panels[0].own) + 2)
    fitting = max(1, MOST_POINTS // each)
    fitting = max(columns, fitting - fitting % columns) if fitting >= columns else fitting
    return [
        _figure(panels[i : i + fitting], colours, top, trojaned, strongest, columns)
        for i in range(0, len(panels), fitting)
    ]


def _figure(
    panels: Sequence[Panel], colours: Palette, top: float, trojaned: bool, strongest: float, columns: int
) -> go.Figure:
    """One figure. Each trace holds its part of all panels: so there are few, whatever the number of panels."""
    grid = Grid(
        count=len(panels),
        columns=min(columns, len(panels)),
        low=float(panels[0].edges[0]),
        high=float(panels[0].edges[-1]),
        bottom=-0.12 * top if strongest > 0 else 0.0,
        top=1.05 * top,
    )
    traces = [_axis(grid, colours)]
    traces += _band(grid, panels, lambda p: p.clean, "clean models", colours.clean)
    if trojaned:
        traces += _band(grid, panels, lambda p: p.trojaned, "trojaned models", colours.trojaned)
    traces.append(_own(grid, panels, colours))
    if strongest > 0:
        traces.append(_pushes(grid, panels, strongest, top, colours))
    shares = grid.shares()
    first_column = range(0, grid.count, grid.columns)
    plain = {"showgrid": False, "zeroline": False, "automargin": False}
    layout = {
        "xaxis": {**plain, "range": grid.across, "showticklabels": False},
        "yaxis": {
            **plain,
            "range": grid.up,
            "tickvals": np.concatenate([grid.y(i, np.array(shares)) for i in first_column]),
            "ticktext": [f"{100 * share:.3g}%" for share in shares] * grid.rows,
        },
        "shapes": [
            {
                "type": "path",
                "path": grid.lines(),
                "layer": "below",
                "line": {"width": 1, "color": colours.line},
            }
        ],
        "annotations": [_title(grid, i, panel.title, colours) for i, panel in enumerate(panels)],
        "height": 70 + 190 * grid.rows,
        "legend": {"y": 1 + 0.28 / grid.rows, "yanchor": "bottom"},
        "margin": {"l": 44, "r": 8, "t": 60, "b": 28},
    }
    return figure_from(traces, layout, colours)


def _title(grid: Grid, i: int, text: str, colours: Palette) -> dict[str, Any]:
    """A panel's title on two lines: on a narrow page one line would run into the next panel's."""
    middle = len(text) / 2
    at = min((i for i, sign in enumerate(text) if sign == " "), key=lambda i: abs(i - middle), default=0)
    left, low = grid.corner(i)
    return {
        "text": capital(f"{text[:at]}<br>{text[at + 1 :]}" if at else text),
        "x": left + 0.5,
        "y": low + 1,
        "yanchor": "bottom",
        "showarrow": False,
        "font": {"size": 12, "color": colours.ink},
    }


def _axis(grid: Grid, colours: Palette) -> Trace:
    """The figures of the horizontal axis, below the lowest panel of each column.

    Of more than three, every second one is written: on a narrow page they would run into each other, and those at
    the ends into the next panel's.
    """
    decades = grid.decades()
    decades = decades[1::2] if len(decades) > 3 else decades
    lowest = grid.last_in_columns()
    return {
        "type": "scatter",
        "x": np.concatenate([grid.x(i, np.array(decades)) for i in lowest]),
        "y": np.repeat([grid.corner(i)[1] - 0.04 for i in lowest], len(decades)),
        "mode": "text",
        "text": [f"{decade:g}" for decade in decades] * len(lowest),
        "textposition": "bottom center",
        "textfont": {"size": 12, "color": colours.soft},
        "cliponaxis": False,
        "hoverinfo": "skip",
        "showlegend": False,
    }


def _band(
    grid: Grid, panels: Sequence[Panel], band: Callable[[Panel], Array], name: str, colour: str
) -> list[Trace]:
    """A group of reference models: from the lower to the upper end of their band, and their median."""
    outlines = [_outline(grid, i, panel.edges, band(panel)) for i, panel in enumerate(panels)]
    common = {"type": "scatter", "mode": "lines", "legendgroup": name, "hoverinfo": "skip"}
    dash = "dash" if "clean" in name else "dot"
    return [
        {
            **common,
            "x": _joined([x for x, _ in outlines]),
            "y": _joined([y for _, y in outlines]),
            "line": {"width": 0, "color": colour},
            "fill": "toself",
            "fillcolor": faded(colour, 0.22),
            "name": f"{name}, 5 to 95%",
        },
        {
            **common,
            **_steps(grid, panels, lambda panel: band(panel)[1]),
            "line": {"shape": "hv", "width": 1.5, "color": colour, "dash": dash},
            "name": f"{name}, median",
        },
    ]


def _own(grid: Grid, panels: Sequence[Panel], colours: Palette) -> Trace:
    """This model's histograms. Saliency and share are beside each point, for the pointer."""
    said = [np.stack([p.edges, np.append(p.own, p.own[-1])], axis=1) for p in panels]
    return {
        "type": "scatter",
        **_steps(grid, panels, lambda panel: panel.own),
        "customdata": np.concatenate([np.concatenate([one, np.full((1, 2), np.nan)]) for one in said]),
        "mode": "lines",
        "line": {"shape": "hv", "width": 2.5, "color": colours.suspect},
        "name": "this model",
        "legendgroup": "own",
        "hovertemplate": "saliency from %{customdata[0]:.2g}: %{customdata[1]:.1%}<extra>this model</extra>",
    }


def _pushes(grid: Grid, panels: Sequence[Panel], strongest: float, top: float, colours: Palette) -> Trace:
    """Marks below the axis: an upward triangle if a bin speaks for a backdoor, a downward one if against it."""
    xs, ys, found = [], [], []
    for i, panel in enumerate(panels):
        chosen = np.flatnonzero(np.abs(panel.pushes) > 0.05 * strongest)
        xs.append(grid.x(i, np.sqrt(panel.edges[chosen] * panel.edges[chosen + 1])))
        ys.append(grid.y(i, np.full(len(chosen), -0.06 * top)))
        found.append(panel.pushes[chosen])
    values = np.concatenate(found)
    return {
        "type": "scatter",
        "x": np.concatenate(xs),
        "y": np.concatenate(ys),
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


def _steps(grid: Grid, panels: Sequence[Panel], values: Callable[[Panel], Array]) -> dict[str, Array]:
    """A step line of each panel, with gaps between them. The last value is repeated: its bin has a width."""
    return {
        "x": _joined([grid.x(i, panel.edges) for i, panel in enumerate(panels)]),
        "y": _joined([grid.y(i, np.append(values(p), values(p)[-1])) for i, p in enumerate(panels)]),
    }


def _outline(grid: Grid, i: int, edges: Array, band: Array) -> tuple[Array, Array]:
    """The outline of a band in one panel: its lower end from left to right, and its upper end back."""
    x = np.repeat(grid.x(i, edges), 2)[1:-1]
    low, high = (np.repeat(grid.y(i, ends), 2) for ends in (band[0], band[2]))
    return np.concatenate([x, x[::-1]]), np.concatenate([low, high[::-1]])


def _joined(parts: Sequence[Array]) -> Array:
    return np.concatenate([one for part in parts for one in (part, GAP)])
