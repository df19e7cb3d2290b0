"""An opinion's statistic beside those of a pack's members, drawn for pages and as a figure of a report."""

from __future__ import annotations

import numpy as np
from markupsafe import Markup

from ti_core.methods import method_class
from ti_core.methods.beside import Beside, beside
from ti_core.methods.opinion import Opinion
from ti_core.rendering.drawings import CLEAN, INK, SOFT, SUSPECT, TROJANED, svg
from ti_core.rendering.opinions.reported import opinion_of
from ti_core.rendering.pictures import Figure
from ti_core.results.case import Case

WIDTH, ROW = 640, 22
"""Pixels of the drawings: width, and height of a row of marks."""
FAR = 8.0
"""Members further out than so many interquartile ranges stand at the edge of a drawing."""
SAYS = "Statistics of clean and backdoored networks, with this model's and the threshold"


def opinion_figures(case: Case) -> list[Figure]:
    """A drawing of each opinion in a report whose statistics of members are known."""
    pack = case.report.pack
    found = []
    for record in case.report.opinions:
        one = opinion_of(record)
        others = beside(one, str(pack["name"]), str(pack["sha256"])) if one else None
        if one and others:
            words = f"{method_class(one.method).title}: the statistics of clean and backdoored reference networks."
            found.append(Figure(f"opinion-{one.method}", words, drawing=_alone(one, others)))
    return found


def span(one: Opinion, others: Beside) -> tuple[float, float]:
    """The ends of an axis: all members but far outliers, the threshold, and the statistic where it is not far out."""
    values = np.array([*others.clean, *others.backdoored])
    first, third = (float(q) for q in np.quantile(values, (0.25, 0.75)))
    reach = FAR * max(third - first, 1e-6)
    kept = [v for v in values.tolist() if first - reach <= v <= third + reach]
    kept += [] if one.threshold is None else [one.threshold]
    kept += [one.statistic] if first - reach <= one.statistic <= third + reach else []
    edge = 0.05 * max(max(kept) - min(kept), 1e-6)
    return min(kept) - edge, max(kept) + edge


def drawing(one: Opinion, others: Beside) -> Markup:
    """An SVG drawing of the members' statistics, with lines at the model's statistic and at the threshold.

    All that it holds are numbers and words of this program.
    """
    parts, height = _parts(one, others)
    return Markup(
        f'<svg class="members" viewBox="0 0 {WIDTH} {height}" role="img" aria-label="{SAYS}">{"".join(parts)}</svg>'
    )


def _alone(one: Opinion, others: Beside) -> str:
    """The same drawing as a file of its own."""
    parts, height = _parts(one, others)
    return svg(WIDTH, height, [f'<g fill="{INK}">', *parts, "</g>"], SAYS)


def _parts(one: Opinion, others: Beside) -> tuple[list[str], int]:
    """The marks, lines and words of a drawing, and its height. A page's style may give other colours."""
    low, high = span(one, others)

    def at(value: float) -> float:
        return round(90 + (WIDTH - 100) * (min(max(value, low), high) - low) / (high - low), 1)

    parts = []
    rows = (("clean", others.clean, CLEAN), ("backdoored", others.backdoored, TROJANED))
    for row, (name, values, colour) in enumerate(rows):
        y = 16 + ROW * row
        parts.append(f'<text x="0" y="{y + 4}" font-size="12">{name} ({len(values)})</text>')
        parts += [
            f'<path class="{name}" d="M{at(v)} {y - 6}v12" stroke="{colour}" stroke-width="1.5"/>'
            for v in values
        ]
    bottom = 2 * ROW + 12
    if one.threshold is not None:
        x = at(one.threshold)
        parts.append(
            f'<path class="limit" d="M{x} 4V{bottom}" stroke="{SOFT}" stroke-width="1.5" stroke-dasharray="4 3"/>'
            f'<text x="{x}" y="{bottom + 14}" font-size="12" text-anchor="middle">threshold</text>'
        )
    x = at(one.statistic)
    parts.append(
        f'<path class="own" d="M{x} 4V{bottom}" stroke="{SUSPECT}" stroke-width="3"/>'
        f'<text x="{x}" y="{bottom + 28}" font-size="12" text-anchor="middle">this model</text>'
    )
    return parts, bottom + 34
