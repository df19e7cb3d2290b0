"""The steps from the mean of the reference models to the probability of a model, as a waterfall."""

from __future__ import annotations

from collections.abc import Sequence

import plotly.graph_objects as go

from app.charts.named_bars import name_above
from app.charts.theme import Palette, template
from app.charts.verdict import axis_label
from ti_core.rendering.drawings import signed
from ti_core.rendering.waterfall import Step


def waterfall_chart(steps: Sequence[Step], bounds: tuple[float, float] | None, colours: Palette) -> go.Figure:
    """Each step from the log-odds before it to those after it. Steps to the right speak for a backdoor.

    Parameters
    ----------
    bounds : log-odds below which a model is called clean, and from which on backdoored.
    """
    names = [axis_label(step.name) for step in steps] + ["This model"]
    before = [0.0, *(step.total for step in steps[:-1]), 0.0]
    by = [*(step.by for step in steps), steps[-1].total]
    fills = [colours.soft, *(colours.suspect if b > 0 else colours.clean for b in by[1:-1]), colours.ink]
    figure = go.Figure(
        go.Bar(
            x=by,
            base=before,
            y=list(range(len(by))),
            orientation="h",
            text=[signed(b) for b in by],
            textposition="outside",
            cliponaxis=False,
            marker={
                "color": fills,
                "pattern": {"shape": ["", *("" if b > 0 else "/" for b in by[1:-1]), ""]},
            },
            customdata=names,
            hovertemplate="%{customdata}: %{text} log-odds<extra></extra>",
        )
    )
    for place in bounds or ():
        figure.add_shape(
            type="line",
            x0=place,
            x1=place,
            y0=-0.5,
            y1=len(by) - 0.5,
            line={"color": colours.soft, "dash": "dot"},
        )
    ends = [0.0, *(step.total for step in steps), *(bounds or ())]
    room = 0.45 * max(1.0, max(ends) - min(ends))
    figure.update_layout(
        template=template(colours),
        xaxis={"range": [min(ends) - room, max(ends) + room], "title": "log-odds"},
        margin={"l": 8, "r": 8, "t": 8, "b": 8},
    )
    name_above(figure, names, colours, downwards=True)
    return figure
