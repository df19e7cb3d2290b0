"""Charts of a stream's value for each class, compared with the clean reference models."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape
from typing import Any

import numpy as np
import plotly.graph_objects as go
from numpy.typing import NDArray

from app.charts.theme import Palette, faded, figure_from
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
    usual = {"type": "line", "xref": "x domain", "x0": 0, "x1": 1, "yref": "y", "y0": 1.0, "y1": 1.0}
    line = {"color": colours.clean, "dash": "dash", "width": 1.5}
    ticks, words, named = class_ticks(x)
    marked = [i for i in (suspected, outstanding) if i is not None and not named]
    layout = {
        "shapes": [] if band else [{**usual, "line": line}],
        "annotations": [_name(i, float(values[i]), str(names[i]), len(x)) for i in marked],
        "height": 250,
        "bargap": 0.1,
        "barmode": "overlay",
        "xaxis": {
            "tickvals": ticks,
            "ticktext": words,
            "title": {"text": "class" if named else "class number; its name where the pointer is"},
            "type": "linear",
        },
        "yaxis": {"title": {"text": escape(unit)}, "zeroline": True},
    }
    own = _marks(at, values, x, suspected, outstanding, colours)
    return figure_from([*(_band(at, band, colours) if band else ()), own], layout, colours)


def _band(at: Array, band: Sequence[Array], colours: Palette) -> list[dict[str, Any]]:
    """The median of the clean reference models for each class, and the band if there are at most 300 classes."""
    low, middle, high = band
    whole = {
        "type": "bar",
        "x": at,
        "y": np.asarray(high) - np.asarray(low),
        "base": low,
        "name": "clean models",
        "marker": {"color": faded(colours.clean, 0.22), "line": {"color": colours.clean, "width": 1}},
        "width": 0.8,
        "hovertemplate": "clean models: %{base:.2f} to %{customdata:.2f}<extra></extra>",
        "customdata": high,
    }
    median = {
        "type": "scatter",
        "x": at,
        "y": middle,
        "mode": "markers",
        "name": "median",
        "marker": {"symbol": "line-ew-open", "size": 14, "color": colours.clean, "line": {"width": 2}},
        "hovertemplate": "clean median: %{y:.2f}<extra></extra>",
    }
    return [whole, median] if len(at) <= 300 else [median]


def _marks(
    at: Array,
    values: Array,
    names: Sequence[str],
    suspected: int | None,
    outstanding: int | None,
    colours: Palette,
) -> dict[str, Any]:
    """This model's value for each class: a filled diamond, an open diamond or a circle."""
    special = {outstanding: ("diamond-open", 14, 2.5), suspected: ("diamond", 15, 1.0)}
    looks = [special.get(i, ("circle", 9, 1.0)) for i in range(len(names))]
    lines = [colours.suspect if symbol.endswith("open") else colours.page for symbol, _, _ in looks]
    return {
        "type": "scatter",
        "x": at,
        "y": values,
        "mode": "markers",
        "name": "this model",
        "marker": {
            "symbol": [symbol for symbol, _, _ in looks],
            "size": [size for _, size, _ in looks],
            "color": colours.suspect,
            "opacity": 1,
            "line": {"width": [width for _, _, width in looks], "color": lines},
        },
        "customdata": names,
        "hovertemplate": "class %{customdata}: %{y:.2f}<extra></extra>",
    }


def _name(index: int, value: float, name: str, classes: int) -> dict[str, Any]:
    """The name of a class beside its mark, on the side with more room."""
    right = 2 * index > classes
    place = {"xanchor": "right", "xshift": -12} if right else {"xanchor": "left", "xshift": 12}
    return {"x": index, "y": value, "text": escape(name[:40]), "showarrow": False, **place}
