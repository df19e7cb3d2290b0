"""Charts of a reference pack: the accuracies of its members, and Table 1."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from html import escape
from typing import Any

import numpy as np
import plotly.graph_objects as go
from numpy.typing import NDArray

from app.charts.theme import Palette, template
from app.charts.verdict import MOST_POINTS
from ti_core.evaluation.pack_summary import Group
from ti_core.evaluation.table import Row

Array = NDArray[np.floating]
SYMBOLS = {"clean": "line-ns-open", "blend": "circle-open", "patch": "square-open"}
SHARE: dict[str, Any] = {"tickformat": ".0%", "zeroline": False}


def label_colour(label: str, colours: Palette) -> str:
    """The colour of a label. Each label also has a symbol or dash of its own."""
    return {"clean": colours.clean, "blend": colours.trojaned, "patch": colours.suspect}.get(
        label, colours.soft
    )


def spread(groups: Sequence[Group], values: Mapping[str, Array], title: str, colours: Palette) -> go.Figure:
    """One value per member: a row of marks for each label and family, with the median as a line.

    Parameters
    ----------
    values : by row title, in the order of ``groups``. Empty rows are left out.
    """
    rows = [
        (g, name, np.asarray(v, dtype=np.float64))
        for g, (name, v) in zip(groups, values.items(), strict=True)
    ]
    rows = [row for row in rows if len(row[2])]
    figure = go.Figure()
    most = max(1, MOST_POINTS // (2 * max(1, len(rows))))
    for at, (group, name, v) in enumerate(rows):
        colour = label_colour(group.label, colours)
        shown = v[:most]
        # A fixed vertical offset keeps marks of equal values apart.
        lift = 0.3 * (np.arange(len(shown)) * 0.618034 % 1 - 0.5) * 2
        figure.add_trace(
            go.Scatter(
                x=shown,
                y=at + lift,
                mode="markers",
                marker={
                    "symbol": SYMBOLS.get(group.label, "diamond-open"),
                    "size": 8,
                    "color": colour,
                    "line": {"width": 1.5, "color": colour},
                },
                customdata=[escape(i[:40]) for i in group.ids[: len(shown)]],
                hovertemplate=f"%{{customdata}}: %{{x:.1%}}<extra>{escape(name)}</extra>",
                showlegend=False,
            )
        )
        middle = float(np.median(v))
        figure.add_shape(
            type="line",
            x0=middle,
            x1=middle,
            y0=at - 0.42,
            y1=at + 0.42,
            line={"color": colours.ink, "width": 2},
        )
    figure.update_layout(
        template=template(colours),
        height=70 + 40 * max(1, len(rows)),
        xaxis={"title": title, **SHARE},
        yaxis={
            "range": [len(rows) - 0.5, -0.5],
            "tickvals": list(range(len(rows))),
            "ticktext": [escape(f"{name} ({len(v)})") for _, name, v in rows],
            "showgrid": False,
            "zeroline": False,
        },
        margin={"l": 8, "r": 16, "t": 8, "b": 8},
    )
    return figure


def table_forest(
    rows: Sequence[Row], paper: Mapping[str, float], name: Callable[[Row], str], colours: Palette
) -> go.Figure:
    """AUC with its 95% interval for every row of Table 1. Both kinds of evidence and the paper's AUC share a line.

    Parameters
    ----------
    paper : the paper's AUC by kind of trigger, or empty.
    name : returns the label of a row. Rows with the same label share a line.
    """
    names = list(dict.fromkeys(map(name, rows)))
    figure = go.Figure()
    guess = {"color": colours.soft, "dash": "dot"}
    figure.add_shape(type="line", x0=0.5, x1=0.5, y0=0, y1=1, yref="paper", line=guess)
    for streams, title, symbol, colour, lift in (
        ("joint", "all streams", "diamond", colours.suspect, -0.16),
        ("saliency", "saliency alone, the paper's stream", "circle-open", colours.clean, 0.16),
    ):
        own = [r for r in rows if r.streams == streams]
        if own:
            at = [names.index(name(r)) + lift for r in own]
            figure.add_trace(_intervals(own, at, title, symbol, colour))
    # The paper's networks are those of the Trojan Detection Challenge.
    marked = [
        r for r in rows if r.streams == "saliency" and r.family in ("all", "challenge") and r.what in paper
    ]
    if marked:
        figure.add_trace(
            go.Scatter(
                x=[paper[r.what] for r in marked],
                y=[names.index(name(r)) + 0.16 for r in marked],
                mode="markers",
                name="the paper's figure",
                marker={"symbol": "x-thin", "size": 10, "line": {"width": 2.5, "color": colours.ink}},
                hovertemplate="the paper's AUC: %{x:.2f}<extra></extra>",
            )
        )
    figure.update_layout(
        template=template(colours),
        height=100 + 42 * len(names),
        xaxis={
            "range": [min([0.4, *(r.low - 0.02 for r in rows)]), 1.02],
            "title": "area under the ROC curve; 0.5 is a guess",
            "zeroline": False,
        },
        yaxis={
            "range": [len(names) - 0.5, -0.5],
            "tickvals": list(range(len(names))),
            "ticktext": [escape(n) for n in names],
            "showgrid": False,
            "zeroline": False,
        },
        margin={"l": 8, "r": 14, "t": 36, "b": 8},
    )
    return figure


def _intervals(rows: Sequence[Row], at: Sequence[float], title: str, symbol: str, colour: str) -> go.Scatter:
    """AUC and interval of the rows, each at its height ``at``."""
    return go.Scatter(
        x=[r.auc for r in rows],
        y=at,
        mode="markers",
        name=title,
        error_x={
            "type": "data",
            "symmetric": False,
            "array": [r.high - r.auc for r in rows],
            "arrayminus": [r.auc - r.low for r in rows],
            "color": colour,
            "thickness": 2,
            "width": 4,
        },
        cliponaxis=False,
        marker={"symbol": symbol, "size": 10, "color": colour, "line": {"width": 2, "color": colour}},
        customdata=[[r.low, r.high, r.trojaned, r.clean] for r in rows],
        hovertemplate="AUC %{x:.3f} (%{customdata[0]:.3f} to %{customdata[1]:.3f}),"
        " %{customdata[2]} backdoored and %{customdata[3]} clean models<extra></extra>",
    )
