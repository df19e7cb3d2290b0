"""Charts of a pack's held-out members: ROC curves, calibration curve, and the score of every member."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape

import numpy as np
import plotly.graph_objects as go

from app.charts.packs import SHARE, SYMBOLS, label_colour
from app.charts.theme import Palette, faded, template
from app.charts.verdict import MOST_POINTS
from ti_core.evaluation.curves import CalibrationBins, Curves, Roc

DASHES = {"blend": "solid", "patch": "dash"}


def roc_curves(found: Sequence[Roc], upper: float, colours: Palette) -> go.Figure:
    """ROC curves of the kinds of trigger, with marks at the pack's threshold ``upper`` and the diagonal of guessing."""
    figure = go.Figure()
    figure.add_shape(type="line", x0=0, y0=0, x1=1, y1=1, line={"color": colours.soft, "dash": "dot"})
    for roc in found:
        colour = label_colour(roc.kind, colours)
        step = max(1, -(-len(roc.found) // (MOST_POINTS // 4)))
        keep = np.unique(np.append(np.arange(0, len(roc.found), step), len(roc.found) - 1))
        figure.add_trace(
            go.Scatter(
                x=roc.false_alarms[keep],
                y=roc.found[keep],
                mode="lines",
                name=f"{roc.kind}: AUC {roc.auc:.3f} ({roc.low:.3f} to {roc.high:.3f})",
                line={"color": colour, "width": 2.5, "dash": DASHES.get(roc.kind, "dot")},
                hovertemplate="%{y:.0%} found at %{x:.0%} false alarms<extra>"
                + escape(roc.kind)
                + "</extra>",
            )
        )
        at = int(np.flatnonzero(roc.threshold >= upper)[-1])
        figure.add_trace(
            go.Scatter(
                x=[roc.false_alarms[at]],
                y=[roc.found[at]],
                mode="markers",
                marker={
                    "symbol": SYMBOLS.get(roc.kind, "diamond").removesuffix("-open"),
                    "size": 12,
                    "color": colour,
                    "line": {"width": 2, "color": colours.page},
                },
                hovertemplate="at the pack's threshold: %{y:.0%} found, %{x:.0%} false alarms<extra></extra>",
                showlegend=False,
            )
        )
    figure.update_layout(
        template=template(colours),
        height=400,
        xaxis={"range": [-0.02, 1.02], "title": "clean models called backdoored", **SHARE},
        yaxis={"range": [-0.02, 1.02], "title": "backdoored models found", **SHARE},
        margin={"l": 8, "r": 8, "t": 56, "b": 8},
    )
    return figure


def calibration_curve(bins: CalibrationBins, colours: Palette) -> go.Figure:
    """Share of trojaned models by predicted probability, with 95% intervals. The diagonal is exact calibration."""
    figure = go.Figure()
    figure.add_shape(type="line", x0=0, y0=0, x1=1, y1=1, line={"color": colours.soft, "dash": "dot"})
    figure.add_trace(
        go.Scatter(
            x=bins.predicted,
            y=bins.observed,
            mode="lines+markers",
            name="held-out models, in groups of about one size",
            line={"color": faded(colours.clean, 0.6), "width": 1.5},
            marker={"size": 10, "color": colours.clean},
            error_y={
                "type": "data",
                "symmetric": False,
                "array": bins.high - bins.observed,
                "arrayminus": bins.observed - bins.low,
                "color": colours.clean,
                "thickness": 1.5,
                "width": 5,
            },
            customdata=np.stack([bins.count, bins.low, bins.high], axis=1),
            hovertemplate="of %{customdata[0]} models at about %{x:.0%}, %{y:.0%} are trojaned"
            " (%{customdata[1]:.0%} to %{customdata[2]:.0%})<extra></extra>",
        )
    )
    figure.update_layout(
        template=template(colours),
        height=400,
        xaxis={"range": [-0.02, 1.02], "title": "probability of a backdoor that is given", **SHARE},
        yaxis={"range": [-0.02, 1.02], "title": "share that is backdoored", **SHARE},
        margin={"l": 8, "r": 8, "t": 56, "b": 8},
        showlegend=True,
    )
    return figure


def held_out_scores(found: Curves, colours: Palette) -> go.Figure:
    """The probability of every held-out member, with a row of marks for each label and the pack's two thresholds."""
    labels = [name for name in ("clean", "blend", "patch") if name in found.labels]
    labels += sorted(set(found.labels) - set(labels))
    figure = go.Figure()
    for start, end, name in (
        (0.0, found.lower, "clean"),
        (found.lower, found.upper, "inconclusive"),
        (found.upper, 1.0, "backdoored"),
    ):
        figure.add_shape(
            type="rect", x0=start, x1=end, y0=0, y1=1, yref="paper", line_width=0, layer="below",
            fillcolor=faded(colours.verdicts[name], 0.12),
        )  # fmt: skip
        if end - start > 0.12:
            figure.add_annotation(
                x=(start + end) / 2, y=1.02, yref="paper", yanchor="bottom", text=name, showarrow=False,
                font={"size": 12, "color": colours.ink},
            )  # fmt: skip
    most = MOST_POINTS // max(1, 2 * len(labels))
    for at, label in enumerate(labels):
        own = [i for i, name in enumerate(found.labels) if name == label][:most]
        colour = label_colour(label, colours)
        lift = 0.28 * (np.arange(len(own)) * 0.618034 % 1 - 0.5) * 2
        figure.add_trace(
            go.Scatter(
                x=found.probability[own],
                y=at + lift,
                mode="markers",
                marker={
                    "symbol": SYMBOLS.get(label, "diamond-open"),
                    "size": 9,
                    "color": colour,
                    "line": {"width": 2, "color": colour},
                },
                customdata=[[escape(found.ids[i][:40]), escape(found.families[i])] for i in own],
                hovertemplate="%{customdata[0]} (%{customdata[1]}): %{x:.1%}<extra></extra>",
                showlegend=False,
            )
        )
    figure.update_layout(
        template=template(colours),
        height=90 + 46 * len(labels),
        xaxis={"range": [-0.02, 1.02], "title": "probability of a backdoor", **SHARE},
        yaxis={
            "range": [len(labels) - 0.5, -0.5],
            "tickvals": list(range(len(labels))),
            "ticktext": [escape(f"{name} ({found.labels.count(name)})") for name in labels],
            "showgrid": False,
            "zeroline": False,
        },
        margin={"l": 8, "r": 16, "t": 28, "b": 8},
    )
    return figure
