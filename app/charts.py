"""Numbers to Plotly figures. Nothing is computed here beyond what places a mark; no figure has over 5,000 points."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from html import escape

import numpy as np
import plotly.graph_objects as go
from numpy.typing import NDArray
from plotly.subplots import make_subplots

from app.theme import Palette, faded, template
from ti_core.comparison import KIND_WORDS, Panel

Array = NDArray[np.floating]

MOST_POINTS = 5000
CONFIG = {"displayModeBar": False, "displaylogo": False, "scrollZoom": False, "responsive": True}
"""What every chart is shown with: no toolbar, and nothing that sends a chart elsewhere."""


def points(figure: go.Figure) -> int:
    """Points that a figure sends to the browser."""
    return sum(max(len(axis) if axis is not None else 0 for axis in (t.x, t.y)) for t in figure.data)


def gauge(
    probability: float,
    low: float,
    high: float,
    reference: Mapping[str, Array],
    colours: Palette,
) -> go.Figure:
    """The probability on a scale from 0 to 1 with the pack's thresholds, over the reference models' own probabilities.

    Parameters
    ----------
    reference : by name ("clean", "trojaned"), out-of-fold probabilities of the fitted reference models.
    """
    figure = go.Figure()
    zones = (("clean", 0.0, low), ("inconclusive", low, high), ("backdoored", high, 1.0))
    for name, start, end in zones:
        figure.add_shape(
            type="rect",
            x0=start,
            x1=end,
            y0=1.55,
            y1=2.05,
            line_width=0,
            fillcolor=faded(colours.verdicts[name], 0.35),
        )
    for position in (low, high):
        figure.add_shape(
            type="line",
            x0=position,
            x1=position,
            y0=-0.5,
            y1=2.05,
            line={"color": colours.soft, "dash": "dot"},
        )
    for name, start, end in zones:
        if end - start > 0.16:
            figure.add_annotation(
                x=(start + end) / 2,
                y=1.8,
                text=name,
                showarrow=False,
                font={"size": 12, "color": colours.ink},
            )
    for row, (name, values) in enumerate(reference.items()):
        shown = np.asarray(values)[: MOST_POINTS // 4]
        figure.add_trace(
            go.Scatter(
                x=shown,
                y=np.full(len(shown), 0.9 - 0.9 * row),
                mode="markers",
                name=f"{name} reference models",
                marker={
                    "symbol": "line-ns-open" if name == "clean" else "x-thin-open",
                    "size": 12 if name == "clean" else 8,
                    "color": colours.clean if name == "clean" else colours.trojaned,
                    "line": {"width": 1.5},
                },
                hovertemplate=f"{name} reference model: %{{x:.1%}}<extra></extra>",
            )
        )
    figure.add_trace(
        go.Scatter(
            x=[probability],
            y=[2.35],
            mode="markers",
            name="this model",
            marker={"symbol": "triangle-down", "size": 18, "color": colours.suspect},
            hovertemplate="this model: %{x:.1%}<extra></extra>",
        )
    )
    figure.update_layout(
        template=template(colours),
        height=190,
        showlegend=False,
        margin={"l": 8, "r": 16, "t": 8, "b": 8},
        xaxis={
            "range": [-0.02, 1.02],
            "tickformat": ".0%",
            "tickvals": [0, 0.25, 0.5, 0.75, 1],
            "showgrid": False,
        },
        yaxis={
            "range": [-0.6, 2.8],
            "tickvals": [2.35, *(0.9 - 0.9 * i for i in range(len(reference)))],
            "ticktext": ["this model", *(f"{n} references" for n in reference)],
            "showgrid": False,
            "zeroline": False,
        },
    )
    return figure


def class_bars(
    names: Sequence[str],
    values: Array,
    low: Array,
    middle: Array,
    high: Array,
    unit: str,
    suspected: int | None,
    colours: Palette,
) -> go.Figure:
    """One bar per class against the clean reference models' band (5 % to 95 %) and median.

    Parameters
    ----------
    values, low, middle, high : ``K`` each.
    suspected : the class that stands out, drawn full and marked; the others are hatched lighter.
    """
    x = [escape(str(n)[:24]) for n in names]
    at = np.arange(len(x))
    figure = go.Figure()
    if len(x) <= 300:
        figure.add_trace(
            go.Bar(
                x=at,
                y=np.asarray(high) - np.asarray(low),
                base=low,
                name="clean models",
                marker={"color": faded(colours.clean, 0.22), "line": {"color": colours.clean, "width": 1}},
                width=0.8,
                hovertemplate="clean models: %{base:.2f} to %{customdata:.2f}<extra></extra>",
                customdata=high,
            )
        )
    figure.add_trace(
        go.Scatter(
            x=at,
            y=middle,
            mode="markers",
            name="median",
            marker={"symbol": "line-ew-open", "size": 14, "color": colours.clean, "line": {"width": 2}},
            hovertemplate="clean median: %{y:.2f}<extra></extra>",
        )
    )
    figure.add_trace(
        go.Scatter(
            x=at,
            y=values,
            mode="markers",
            name="this model",
            marker={
                "symbol": ["diamond" if i == suspected else "circle" for i in at],
                "size": [15 if i == suspected else 9 for i in at],
                "color": colours.suspect,
                "opacity": 1,
                "line": {"width": 1, "color": colours.page},
            },
            customdata=x,
            hovertemplate="class %{customdata}: %{y:.2f}<extra></extra>",
        )
    )
    step = max(1, len(x) // 20)
    figure.update_layout(
        template=template(colours),
        height=250,
        bargap=0.1,
        barmode="overlay",
        xaxis={"tickvals": at[::step], "ticktext": x[::step], "title": "class", "type": "linear"},
        yaxis={"title": escape(unit), "zeroline": True},
    )
    return figure


def highest(panels: Sequence[Panel], trojaned: bool = False) -> float:
    """The top of an axis that holds all of these panels."""
    return max(float(max(p.own.max(), p.clean.max(), p.trojaned.max() if trojaned else 0.0)) for p in panels)


def histograms(
    panels: Sequence[Panel],
    colours: Palette,
    trojaned: bool = False,
    pushes: bool = False,
    columns: int = 3,
    top: float | None = None,
) -> list[go.Figure]:
    """One panel per histogram, the same axes throughout; as many figures as the limit on points asks for.

    Parameters
    ----------
    trojaned : whether the trojaned reference models' band is laid over.
    pushes : whether the bins that moved the saliency stream's verdict are marked.
    top : of the vertical axes, where other figures share them.
    """
    if not panels:
        return []
    top = highest(panels, trojaned) if top is None else top
    strongest = max(float(np.abs(p.pushes).max()) for p in panels) if pushes else 0.0
    traces = 4 + 3 * trojaned + (strongest > 0)
    # A step line repeats its last value, so that the last bin is as wide as the others.
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
    columns = min(columns, len(panels))
    rows = -(-len(panels) // columns)
    figure = make_subplots(
        rows=rows,
        cols=columns,
        shared_xaxes="all",
        shared_yaxes="all",
        subplot_titles=[_capital(p.title) for p in panels],
        horizontal_spacing=0.03,
        vertical_spacing=min(0.12, 0.34 / rows),
    )
    for i, panel in enumerate(panels):
        place = {"row": i // columns + 1, "col": i % columns + 1}
        first = i == 0
        _band(figure, panel.edges, panel.clean, "clean models", colours.clean, place, first)
        if trojaned:
            _band(figure, panel.edges, panel.trojaned, "trojaned models", colours.trojaned, place, first)
        figure.add_trace(
            go.Scatter(
                x=panel.edges,
                y=_steps(panel.own),
                mode="lines",
                line={"shape": "hv", "width": 2.5, "color": colours.suspect},
                name="this model",
                legendgroup="own",
                showlegend=first,
                hovertemplate="saliency from %{x:.2g}: %{y:.1%}<extra>this model</extra>",
            ),
            **place,
        )
        if strongest > 0:
            _pushes(figure, panel, strongest, top, colours, place)
    low, high = float(panels[0].edges[0]), float(panels[0].edges[-1])
    decades = [10.0**k for k in range(int(np.ceil(np.log10(low))), int(np.floor(np.log10(high))) + 1)]
    figure.update_xaxes(
        type="log",
        range=[np.log10(low), np.log10(high)],
        tickvals=decades,
        ticktext=[f"{d:g}" for d in decades],
    )
    figure.update_yaxes(range=[-0.12 * top if strongest > 0 else 0, 1.05 * top], tickformat=".0%", nticks=5)
    figure.update_annotations(font={"size": 13, "color": colours.ink})
    figure.update_layout(
        template=template(colours),
        height=70 + 190 * rows,
        legend={"y": 1 + 0.28 / rows, "yanchor": "bottom"},
        margin={"l": 8, "r": 8, "t": 60, "b": 8},
    )
    return figure


def _band(
    figure: go.Figure,
    edges: Array,
    band: Array,
    name: str,
    colour: str,
    place: Mapping[str, int],
    first: bool,
) -> None:
    common = {"x": edges, "mode": "lines", "legendgroup": name, "hoverinfo": "skip"}
    figure.add_trace(
        go.Scatter(
            y=_steps(band[0]), line={"shape": "hv", "width": 0, "color": colour}, showlegend=False, **common
        ),
        **place,
    )
    figure.add_trace(
        go.Scatter(
            y=_steps(band[2]),
            line={"shape": "hv", "width": 0, "color": colour},
            fill="tonexty",
            fillcolor=faded(colour, 0.22),
            name=f"{name}, 5 to 95 %",
            showlegend=first,
            **common,
        ),
        **place,
    )
    figure.add_trace(
        go.Scatter(
            y=_steps(band[1]),
            line={"shape": "hv", "width": 1.5, "color": colour, "dash": "dash" if "clean" in name else "dot"},
            name=f"{name}, median",
            showlegend=first,
            **common,
        ),
        **place,
    )


def _pushes(
    figure: go.Figure, panel: Panel, strongest: float, top: float, colours: Palette, place: Mapping[str, int]
) -> None:
    """Marks under the axis: upward triangles where a bin speaks for a backdoor, downward where against it."""
    chosen = np.flatnonzero(np.abs(panel.pushes) > 0.05 * strongest)
    if not len(chosen):
        return
    values = panel.pushes[chosen]
    figure.add_trace(
        go.Scatter(
            x=np.sqrt(panel.edges[chosen] * panel.edges[chosen + 1]),
            y=np.full(len(chosen), -0.06 * top),
            mode="markers",
            marker={
                "symbol": ["triangle-up" if v > 0 else "triangle-down" for v in values],
                "size": 6 + 8 * np.abs(values) / strongest,
                "color": [colours.suspect if v > 0 else colours.clean for v in values],
            },
            customdata=values,
            hovertemplate="%{customdata:+.2f} log-odds<extra>this bin</extra>",
            showlegend=False,
        ),
        **place,
    )


def contribution_bars(pairs: Sequence[tuple[str, float]], colours: Palette) -> go.Figure:
    """Shapley values in log-odds: to the right for a backdoor, to the left against it."""
    names = [_two_lines(_capital(_readable(n))) for n, _ in pairs][::-1]
    values = [v for _, v in pairs][::-1]
    figure = go.Figure(
        go.Bar(
            x=values,
            y=list(range(len(values))),
            orientation="h",
            text=[f"{v:+.2f}" for v in values],
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
        height=70 + 34 * len(values),
        xaxis={"range": [-reach, reach], "title": "log-odds: against ← → for a backdoor"},
        yaxis={
            "tickvals": list(range(len(values))),
            "ticktext": names,
            "showgrid": False,
        },
        margin={"l": 8, "r": 8, "t": 8, "b": 8},
    )
    return figure


def ascent_lines(scores: Array, names: Sequence[str], colours: Palette) -> go.Figure:
    """Log-probability of the class along the iterations, ``L x (T + 1)``, one line each."""
    looks = (
        (colours.suspect, "solid"),
        (colours.suspect, "dot"),
        (colours.clean, "solid"),
        (colours.clean, "dot"),
    )
    step = max(1, int(np.ceil(scores.size / MOST_POINTS)))
    figure = go.Figure()
    for values, name, (colour, dash) in zip(scores, names, looks, strict=False):
        figure.add_trace(
            go.Scatter(
                x=np.arange(len(values))[::step],
                y=values[::step],
                mode="lines",
                name=escape(name),
                line={"color": colour, "dash": dash, "width": 2},
                hovertemplate="iteration %{x}: %{y:.3g}<extra></extra>",
            )
        )
    figure.update_layout(
        template=template(colours),
        height=260,
        xaxis={"title": "iteration"},
        yaxis={"title": "log-probability of the class"},
    )
    return figure


def kind_word(kind: str) -> str:
    return KIND_WORDS.get(kind, kind)


def _steps(values: Array) -> Array:
    return np.append(values, values[-1])


def _readable(feature: str) -> str:
    """A feature's name with the group of triggers in words."""
    kind, colon, rest = feature.partition(": ")
    rest = rest.replace(" percentile of the images", " pct. of the images")
    return f"{KIND_WORDS[kind]}{colon}{rest}" if kind in KIND_WORDS and colon else feature


def _two_lines(text: str, most: int = 44) -> str:
    """A label for an axis on at most two lines, escaped."""
    if len(text) <= most:
        return escape(text)
    at = text.rfind(" ", 0, most)
    at = at if at > 0 else most
    return f"{escape(text[:at])}<br>{escape(_cut(text[at:].strip(), most + 10))}"


def _capital(text: str) -> str:
    return text[:1].upper() + text[1:]


def _cut(text: str, most: int) -> str:
    return text if len(text) <= most else text[: most - 1] + "…"
