"""Charts of a stream's value for each class, compared with the clean reference models."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape

import numpy as np
import plotly.graph_objects as go
from numpy.typing import NDArray

from app.charts.theme import Palette, faded, template
from ti_core.rendering.drawings import class_ticks

Array = NDArray[np.floating]


def class_bars(
    names: Sequence[str],
    values: Array,
    band: Sequence[Array],
    unit: str,
    suspected: int | None,
    outstanding: int | None,
    colours: Palette,
) -> go.Figure:
    """One mark per class, with the band (5 % to 95 %) and the median of the clean reference models.

    Parameters
    ----------
    values : ``K``.
    band : lower end, median and upper end of each class, ``K`` each. If it is empty, the values are multiples of the
        usual value, and a line marks 1.
    suspected : the suspected target class, if the verdict names one. Its mark is a larger filled diamond.
    outstanding : another class, the one that stands out most. Its mark is a larger open diamond.
    """
    x = [escape(str(n)[:24]) for n in names]
    at = np.arange(len(x))
    figure = go.Figure()
    if not band:
        figure.add_hline(1.0, line={"color": colours.clean, "dash": "dash", "width": 1.5})
    if band:
        _add_band(figure, at, band, colours)
    figure.add_trace(_marks(at, values, x, suspected, outstanding, colours))
    ticks, words, named = class_ticks(x)
    for index in (suspected, outstanding):
        if index is not None and not named:
            _add_name(figure, index, float(values[index]), str(names[index]), len(x))
    figure.update_layout(
        template=template(colours),
        height=250,
        bargap=0.1,
        barmode="overlay",
        xaxis={
            "tickvals": ticks,
            "ticktext": words,
            "title": "class" if named else "class number; its name where the pointer is",
            "type": "linear",
        },
        yaxis={"title": escape(unit), "zeroline": True},
    )
    return figure


def _add_band(figure: go.Figure, at: Array, band: Sequence[Array], colours: Palette) -> None:
    """The median of the clean reference models for each class, and the band if there are at most 300 classes."""
    low, middle, high = band
    if len(at) <= 300:
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


def _marks(
    at: Array,
    values: Array,
    names: Sequence[str],
    suspected: int | None,
    outstanding: int | None,
    colours: Palette,
) -> go.Scatter:
    """This model's value for each class: a filled diamond, an open diamond or a circle."""
    special = {outstanding: ("diamond-open", 14, 2.5), suspected: ("diamond", 15, 1.0)}
    looks = [special.get(i, ("circle", 9, 1.0)) for i in range(len(names))]
    lines = [colours.suspect if symbol.endswith("open") else colours.page for symbol, _, _ in looks]
    return go.Scatter(
        x=at,
        y=values,
        mode="markers",
        name="this model",
        marker={
            "symbol": [symbol for symbol, _, _ in looks],
            "size": [size for _, size, _ in looks],
            "color": colours.suspect,
            "opacity": 1,
            "line": {"width": [width for _, _, width in looks], "color": lines},
        },
        customdata=names,
        hovertemplate="class %{customdata}: %{y:.2f}<extra></extra>",
    )


def _add_name(figure: go.Figure, index: int, value: float, name: str, classes: int) -> None:
    """The name of a class beside its mark, on the side with more room."""
    right = 2 * index > classes
    place = {"xanchor": "right", "xshift": -12} if right else {"xanchor": "left", "xshift": 12}
    figure.add_annotation(x=index, y=value, text=escape(name[:40]), showarrow=False, **place)
