"""Charts of the attack lab: answers with and without a trigger, attack success rate, and the entropies of STRIP."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from html import escape

import numpy as np
import plotly.graph_objects as go
from numpy.typing import NDArray

from app.charts.theme import Palette, faded, template

Array = NDArray[np.floating]
BINS = 24
LYING = {"orientation": "h", "textposition": "outside", "cliponaxis": False, "constraintext": "none"}
SHARES = {"range": [0, 1.12], "tickformat": ".0%", "tickvals": [0, 0.25, 0.5, 0.75, 1]}
"""An axis of shares, with room for the text beside the longest bar."""


def answer_bars(
    names: Sequence[str],
    before: Array,
    after: Array,
    marks: Sequence[str],
    colour: str,
    colours: Palette,
    hatch: bool = True,
) -> go.Figure:
    """A model's probability of each class without the trigger (hatched) and with it (full). The first class is on top.

    Parameters
    ----------
    names : of the classes shown.
    marks : a word beside each class ("true", "attacker's"), or an empty string.
    before, after : probabilities of the classes shown, in [0, 1].
    """
    at = np.arange(len(names))
    figure = go.Figure()
    looks = (
        ("without the trigger", before, faded(colour, 0.35), "/"),
        ("with the trigger", after, colour, ""),
    )
    for label, values, fill, shape in looks:
        figure.add_trace(
            go.Bar(
                x=values,
                y=at,
                name=label,
                text=[f"{v:.0%}" if v >= 0.005 else "" for v in values],
                textfont={"size": 11, "color": colours.ink},
                marker=_look(fill, colour, shape if hatch else ""),
                **LYING,
                customdata=[escape(str(n)[:40]) for n in names],
                hovertemplate=f"%{{customdata}} {label}: %{{x:.1%}}<extra></extra>",
            )
        )
    figure.update_layout(
        template=template(colours),
        height=70 + 34 * len(names),
        barmode="group",
        bargap=0.24,
        bargroupgap=0.06,
        xaxis=SHARES,
        yaxis={
            "range": [len(names) - 0.5, -0.5],
            "tickvals": at,
            "ticktext": [_marked(n, m) for n, m in zip(names, marks, strict=True)],
            "showgrid": False,
        },
        legend={"traceorder": "normal"},
        margin={"l": 8, "r": 8, "t": 36, "b": 8},
    )
    return figure


def success_bars(
    models: Sequence[str], before: Array, after: Array, fills: Sequence[str], colours: Palette
) -> go.Figure:
    """For each model the share of images classified as the target class, without and with the trigger, in [0, 1]."""
    at = np.arange(len(models))
    figure = go.Figure()
    for label, values, shape in (("without the trigger", before, "/"), ("with the trigger", after, "")):
        figure.add_trace(
            go.Bar(
                x=values,
                y=at,
                name=label,
                text=[f"{v:.1%}" for v in values],
                textfont={"color": colours.ink},
                marker=_look([faded(f, 0.35) if shape else f for f in fills], list(fills), shape),
                **LYING,
                customdata=[escape(m) for m in models],
                hovertemplate=f"%{{customdata}}, {label}: %{{x:.1%}}<extra></extra>",
                showlegend=False,
            )
        )
        # The legend needs marks of its own because each model's bars have another colour.
        figure.add_trace(
            go.Bar(
                x=[None],
                y=[None],
                orientation="h",
                name=label,
                marker=_look(faded(colours.soft, 0.35) if shape else colours.soft, colours.soft, shape),
            )
        )
    figure.update_layout(
        template=template(colours),
        height=80 + 62 * len(models),
        barmode="group",
        bargap=0.3,
        bargroupgap=0.06,
        xaxis=SHARES | {"title": "images taken for the attacker's class"},
        yaxis={"range": [len(models) - 0.5, -0.5], "tickvals": at, "ticktext": [escape(m) for m in models]},
        margin={"l": 8, "r": 8, "t": 36, "b": 8},
    )
    figure.update_yaxes(showgrid=False)
    return figure


@dataclass(frozen=True)
class Entropies:
    """Entropies that :func:`entropy_chart` draws, in bits.

    ``clean`` holds the entropies of clean images. ``plain`` and ``triggered`` are the entropies of one image without
    and with the trigger. An image with an entropy below ``boundary`` is rejected. ``stamped`` holds the entropies of
    many images with the trigger, if they were computed.
    """

    clean: Array
    plain: float
    triggered: float
    boundary: float
    stamped: Array | None = None


def entropy_chart(found: Entropies, most: float, top: float, colour: str, colours: Palette) -> go.Figure:
    """Histogram of the entropies of clean images, with the boundary and the entropies of the one image.

    Parameters
    ----------
    most : end of the horizontal axis in bits. The charts of two models share it.
    top : end of the vertical axis as a share of the images. The charts of two models share it.
    """
    edges = np.linspace(0, most, BINS + 1)
    figure = go.Figure()
    figure.add_shape(
        type="rect",
        x0=0,
        x1=max(0.0, min(found.boundary, most)),
        y0=0,
        y1=1,
        yref="paper",
        line_width=0,
        fillcolor=faded(colours.verdicts["backdoored"], 0.12),
        layer="below",
    )
    _add_histograms(figure, found, edges, colour, colours)
    _add_image_marks(figure, found, most, top, colour, colours)
    if 0 < found.boundary <= most:
        figure.add_vline(
            x=found.boundary,
            line={"color": colours.verdicts["backdoored"], "width": 2, "dash": "dash"},
        )
    figure.update_layout(
        template=template(colours),
        height=300,
        barmode="overlay",
        bargap=0,
        xaxis={
            "range": [0, most],
            "title": "entropy in bits; left of the line: rejected",
        },
        yaxis={"range": [0, top], "tickformat": ".0%", "title": "share of the images", "zeroline": False},
        margin={"l": 8, "r": 8, "t": 56, "b": 8},
    )
    return figure


def _add_histograms(figure: go.Figure, found: Entropies, edges: Array, colour: str, colours: Palette) -> None:
    """Histograms of the entropies of the clean images and, if computed, of the stamped images."""
    sets = (
        ("clean images", found.clean, colours.soft, "", 0.45),
        ("stamped images", found.stamped, colour, "/", 0.15),
    )
    for name, values, fill, shape, alpha in sets:
        if values is None:
            continue
        figure.add_trace(
            go.Bar(
                x=(edges[:-1] + edges[1:]) / 2,
                y=shares(values, float(edges[-1])),
                width=edges[1] - edges[0],
                name=name,
                marker=_look(faded(fill, alpha), fill, shape),
                hovertemplate=f"%{{y:.0%}} of {len(values)} {name} near %{{x:.2f}} bits<extra></extra>",
            )
        )


def _add_image_marks(
    figure: go.Figure, found: Entropies, most: float, top: float, colour: str, colours: Palette
) -> None:
    """The entropy of the one image, without and with the trigger."""
    for name, value, symbol, height in (
        ("this image", found.plain, "circle", 0.84),
        ("this image, stamped", found.triggered, "triangle-down", 0.94),
    ):
        stamped = symbol != "circle"
        figure.add_trace(
            go.Scatter(
                x=[min(value, most)],
                y=[height * top],
                mode="markers",
                name=name,
                marker={
                    "symbol": symbol,
                    "size": 15 if stamped else 12,
                    "color": colour if stamped else colours.page,
                    "line": {"width": 2, "color": colour},
                },
                hovertemplate=f"{name}: {value:.2f} bits<extra></extra>",
            )
        )
        line = {"color": colour, "width": 1, "dash": "dot"}
        figure.add_shape(type="line", x0=value, x1=value, y0=0, y1=height * top, line=line)


def shares(values: Array, most: float) -> Array:
    """The share of the values in each bin. Values above ``most`` count in the last bin."""
    counts, _ = np.histogram(np.clip(values, 0, most), bins=BINS, range=(0, most))
    return counts / max(1, len(values))


def _look(fill: str | list[str], edge: str | list[str], hatch: str) -> dict[str, object]:
    """The style of bars: fill, edge and hatching. A list holds one colour per bar."""
    return {
        "color": fill,
        "line": {"color": edge, "width": 1},
        "pattern": {"shape": hatch, "fgcolor": edge, "size": 5},
    }


def _marked(name: str, mark: str) -> str:
    shown = escape(name if len(name) <= 22 else name[:21] + "…")
    return f"<b>{shown}</b> · {escape(mark)}" if mark else shown
