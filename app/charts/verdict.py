"""Charts of the verdict, its reasons and the ascent. No figure has more than 5,000 points."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from html import escape
from typing import Any

import numpy as np
import plotly.graph_objects as go
from numpy.typing import NDArray

from app.charts.named_bars import name_above
from app.charts.theme import SYMBOLS, Palette, faded, figure_from, template
from ti_core.rendering.comparison import KIND_WORDS
from ti_core.rendering.drawings import signed

Array = NDArray[np.floating]

MOST_POINTS = 5000
CONFIG = {"displayModeBar": False, "displaylogo": False, "scrollZoom": False, "responsive": True}
"""Plotly options of every chart: no toolbar, and no button that sends a chart to another host."""


def points(figure: go.Figure) -> int:
    """Number of points that a figure sends to the browser."""
    return sum(max(len(axis) if axis is not None else 0 for axis in (t.x, t.y)) for t in figure.data)


def gauge(
    probability: float,
    low: float,
    high: float,
    reference: Mapping[str, Array],
    colours: Palette,
) -> go.Figure:
    """The probability on a scale from 0 to 1, with the thresholds and the probabilities of the reference models.

    Parameters
    ----------
    reference : by name ("clean", "trojaned"), out-of-fold probabilities of the fitted reference models.
    """
    shapes, names = _zones(low, high, -0.5 if reference else 1.55, colours)
    own = {
        "type": "scatter",
        "x": [probability],
        "y": [2.35],
        "mode": "markers",
        "name": "this model",
        "marker": {"symbol": "triangle-down", "size": 18, "color": colours.suspect},
        "cliponaxis": False,
        "hovertemplate": "this model: %{x:.1%}<extra></extra>",
    }
    layout = {
        "shapes": shapes,
        "annotations": names,
        "height": 190 if reference else 110,
        "showlegend": False,
        "margin": {"l": 8, "r": 16, "t": 8, "b": 8},
        "xaxis": {
            "range": [-0.02, 1.02],
            "tickformat": ".0%",
            "tickvals": [0, 0.25, 0.5, 0.75, 1],
            "showgrid": False,
        },
        "yaxis": {
            "range": [-0.6 if reference else 1.4, 2.8],
            "tickvals": [2.35, *(0.9 - 0.9 * i for i in range(len(reference)))],
            "ticktext": ["this model", *reference],
            "showgrid": False,
            "zeroline": False,
        },
    }
    return figure_from([*_references(reference, colours), own], layout, colours)


def _zones(
    low: float, high: float, bottom: float, colours: Palette
) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """The three zones of the scale, and the thresholds as lines down to ``bottom``; and the names of the zones."""
    zones = (("clean", 0.0, low), ("inconclusive", low, high), ("backdoored", high, 1.0))
    fills = [
        {
            "type": "rect",
            "x0": start,
            "x1": end,
            "y0": 1.55,
            "y1": 2.05,
            "line": {"width": 0},
            "fillcolor": faded(colours.verdicts[name], 0.35),
        }
        for name, start, end in zones
    ]
    line = {"color": colours.soft, "dash": "dot"}
    lines = [{"type": "line", "x0": x, "x1": x, "y0": bottom, "y1": 2.05, "line": line} for x in (low, high)]
    font = {"size": 12, "color": colours.ink}
    names = [
        {"x": (start + end) / 2, "y": 1.8, "text": text, "hovertext": name, "showarrow": False, "font": font}
        for name, start, end in zones
        if (text := _fitting(name, end - start))
    ]
    return [*fills, *lines], names


def _fitting(name: str, room: float) -> str:
    """The name of a zone, or its symbol, or nothing: what fits into this share of the scale on a narrow page."""
    return name if room > 0.03 * len(name) else SYMBOLS[name] if room > 0.05 else ""


def _references(reference: Mapping[str, Array], colours: Palette) -> list[dict[str, Any]]:
    """One row of marks for each kind of reference model."""
    found = []
    for row, (name, values) in enumerate(reference.items()):
        shown = np.asarray(values)[: MOST_POINTS // 4]
        marker = {
            "symbol": "line-ns-open" if name == "clean" else "x-thin-open",
            "size": 12 if name == "clean" else 8,
            "color": colours.clean if name == "clean" else colours.trojaned,
            "line": {"width": 1.5},
        }
        found.append(
            {
                "type": "scatter",
                "x": shown,
                "y": np.full(len(shown), 0.9 - 0.9 * row),
                "mode": "markers",
                "name": f"{name} reference models",
                "marker": marker,
                "hovertemplate": f"{name} reference model: %{{x:.1%}}<extra></extra>",
            }
        )
    return found


def contribution_bars(pairs: Sequence[tuple[str, float]], colours: Palette) -> go.Figure:
    """Shapley values in log-odds. Bars to the right speak for a backdoor, bars to the left against it."""
    names = [axis_label(n) for n, _ in pairs][::-1]
    values = [v for _, v in pairs][::-1]
    figure = go.Figure(
        go.Bar(
            x=values,
            y=list(range(len(values))),
            orientation="h",
            text=[signed(v) for v in values],
            textposition="outside",
            cliponaxis=False,
            marker={
                "color": [colours.suspect if v > 0 else colours.clean for v in values],
                "pattern": {"shape": ["" if v > 0 else "/" for v in values]},
            },
            customdata=names,
            hovertemplate="%{customdata}: %{x:+.2f} log-odds<extra></extra>",
        )
    )
    reach = 1.5 * max([abs(v) for v in values] + [0.1])
    figure.update_layout(
        template=template(colours),
        xaxis={"range": [-reach, reach], "title": "log-odds: against ← → for a backdoor"},
        margin={"l": 8, "r": 8, "t": 8, "b": 8},
    )
    name_above(figure, names, colours, downwards=False)
    return figure


def ascent_lines(scores: Array, names: Sequence[str], colours: Palette, at: int | None = None) -> go.Figure:
    """Log-probability of the class over the iterations, ``L x (T + 1)``, one line per row.

    Parameters
    ----------
    at : iteration that a vertical line marks.
    """
    looks = (
        (colours.suspect, "solid"),
        (colours.suspect, "dot"),
        (colours.clean, "solid"),
        (colours.clean, "dot"),
    )
    step = max(1, int(np.ceil(scores.size / MOST_POINTS)))
    lines = [
        {
            "type": "scatter",
            "x": np.arange(len(values))[::step],
            "y": values[::step],
            "mode": "lines",
            "name": escape(name),
            "line": {"color": colour, "dash": dash, "width": 2},
            "hovertemplate": "iteration %{x}: %{y:.3g}<extra></extra>",
        }
        for values, name, (colour, dash) in zip(scores, names, looks, strict=False)
    ]
    mark = {"type": "line", "xref": "x", "x0": at, "x1": at, "yref": "y domain", "y0": 0, "y1": 1}
    layout = {
        "shapes": []
        if at is None
        else [{**mark, "line": {"color": colours.soft, "width": 1.5, "dash": "dash"}}],
        "height": 260,
        "xaxis": {"title": {"text": "iteration"}},
        "yaxis": {"title": {"text": "log-probability of the class"}},
    }
    return figure_from(lines, layout, colours)


def kind_word(kind: str) -> str:
    return KIND_WORDS.get(kind, kind)


def axis_label(feature: str) -> str:
    """The name of a feature, escaped, on at most two lines."""
    return _two_lines(capital(_readable(feature)))


def _readable(feature: str) -> str:
    """The name of a feature, with its kind of trigger in words."""
    kind, colon, rest = feature.partition(": ")
    rest = rest.replace(" percentile of the images", " pct. of the images")
    return f"{KIND_WORDS[kind]}{colon}{rest}" if kind in KIND_WORDS and colon else feature


def _two_lines(text: str, most: int = 44) -> str:
    """An escaped axis label on at most two lines."""
    if len(text) <= most:
        return escape(text)
    at = text.rfind(" ", 0, most)
    at = at if at > 0 else most
    return f"{escape(text[:at])}<br>{escape(_cut(text[at:].strip(), most + 10))}"


def capital(text: str) -> str:
    """The text with its first letter in upper case and the rest unchanged."""
    return text[:1].upper() + text[1:]


def _cut(text: str, most: int) -> str:
    return text if len(text) <= most else text[: most - 1] + "…"
