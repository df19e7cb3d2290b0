"""A chart of how far each tensor of a network changed between two versions."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape

import plotly.graph_objects as go

from app.charts.theme import Palette, template
from ti_core.loading.versions.record import TensorChange


def change_bars(compared: Sequence[TensorChange], colours: Palette) -> go.Figure:
    """A bar for each tensor in the network's order: the norm of its change over that of its old values."""
    figure = go.Figure(
        go.Bar(
            x=list(range(1, len(compared) + 1)),
            y=[one.relative or 0.0 for one in compared],
            customdata=[[escape(one.name[:80]), one.share] for one in compared],
            marker={"color": colours.suspect},
            hovertemplate="%{customdata[0]}: %{y:.2%} of its norm, %{customdata[1]:.0%} of its values<extra></extra>",
        )
    )
    figure.update_layout(
        template=template(colours),
        height=220,
        bargap=0.15,
        xaxis={"title": "tensor, in the network's order"},
        yaxis={"title": "change", "tickformat": ".0%", "rangemode": "tozero"},
    )
    return figure
