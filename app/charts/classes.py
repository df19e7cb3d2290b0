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
    colours: Palette,
) -> go.Figure:
    """One mark per class, with the band (5 % to 95 %) and the median of the clean reference models.

    Parameters
    ----------
    values : ``K``.
    band : lower end, median and upper end of each class, ``K`` each. If it is empty, the values are multiples of the
        usual value, and a line marks 1.
    suspected : the class that stands out. Its mark is a larger diamond.
    """
    x = [escape(str(n)[:24]) for n in names]
    at = np.arange(len(x))
    figure = go.Figure()
    if not band:
        figure.add_hline(1.0, line={"color": colours.clean, "dash": "dash", "width": 1.5})
    if band:
        _add_band(figure, at, band, colours)
    figure.add_trace(_marks(at, values, x, suspected, colours))
    ticks, words, named = class_ticks(x)
    if suspected is not None and not named:
        _add_name(figure, suspected, float(values[suspected]), str(names[suspected]), len(x))
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
    at: Array, values: Array, names: Sequence[str], suspected: int | None, colours: Palette
) -> go.Scatter:
    """This model's value for each class. The suspected class is a diamond."""
    return go.Scatter(
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
        customdata=names,
        hovertemplate="class %{customdata}: %{y:.2f}<extra></extra>",
    )


def _add_name(figure: go.Figure, suspected: int, value: float, name: str, classes: int) -> None:
    """The name of the suspected class beside its mark, on the side with more room."""
    right = 2 * suspected > classes
    place = {"xanchor": "right", "xshift": -12} if right else {"xanchor": "left", "xshift": 12}
    figure.add_annotation(x=suspected, y=value, text=escape(name[:40]), showarrow=False, **place)
