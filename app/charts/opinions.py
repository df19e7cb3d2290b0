"""An opinion's statistic beside those of a pack's clean and backdoored members."""

from __future__ import annotations

import numpy as np
import plotly.graph_objects as go

from app.charts.theme import Palette, template
from ti_core.methods.beside import Beside
from ti_core.methods.opinion import Opinion
from ti_core.rendering.opinions.drawing import span


def beside_members(one: Opinion, others: Beside, title: str, colours: Palette) -> go.Figure:
    """A row of marks for clean and one for backdoored members, a line at the statistic and one at the threshold."""
    low, high = span(one, others)
    figure = go.Figure()
    for at, (name, values, symbol, colour) in enumerate(
        (
            ("clean", others.clean, "line-ns-open", colours.clean),
            ("backdoored", others.backdoored, "circle-open", colours.trojaned),
        )
    ):
        shown = np.clip(np.array(values), low, high)
        lift = 0.3 * (np.arange(len(shown)) * 0.618034 % 1 - 0.5) * 2
        figure.add_trace(
            go.Scatter(
                x=shown,
                y=at + lift,
                mode="markers",
                marker={
                    "symbol": symbol,
                    "size": 7,
                    "color": colour,
                    "line": {"width": 1.5, "color": colour},
                },
                customdata=list(values),
                hovertemplate=f"{name}: %{{customdata:.3g}}<extra></extra>",
                showlegend=False,
            )
        )
    lines = [(min(max(one.statistic, low), high), colours.suspect, "solid", "this model")]
    if one.threshold is not None:
        lines.append((one.threshold, colours.soft, "dash", "threshold"))
    for x, colour, dash, says in lines:
        figure.add_vline(x=x, line={"color": colour, "width": 2, "dash": dash})
        figure.add_annotation(
            x=x,
            y=1.0 if says == "this model" else 1.14,
            yref="paper",
            yanchor="bottom",
            text=says,
            showarrow=False,
            font={"color": colour, "size": 12},
        )
    figure.update_layout(
        template=template(colours),
        height=190,
        xaxis={"title": title, "zeroline": False, "range": [low, high]},
        yaxis={
            "range": [1.6, -0.6],
            "tickvals": [0, 1],
            "ticktext": [f"clean ({len(others.clean)})", f"backdoored ({len(others.backdoored)})"],
            "showgrid": False,
            "zeroline": False,
        },
        margin={"l": 8, "r": 16, "t": 44, "b": 8},
    )
    return figure
