"""Second opinions as one HTML page, apart from the report. It asks no host for anything and runs no script."""

from __future__ import annotations

from functools import cache
from typing import Any

import numpy as np
from jinja2 import Environment
from markupsafe import Markup

from ti_core.methods import method_class
from ti_core.methods.beside import Beside, beside
from ti_core.methods.opinion import Opinion, Opinions
from ti_core.rendering.templating import escaping_templates
from ti_core.text import shown

LONGEST = 2000
WIDTH, ROW = 640, 22
"""Pixels of the drawings: width, and height of a row of marks."""
DECIDED = {True: "✗ backdoored", False: "✓ clean", None: "no decision on networks"}
FAR = 8.0
"""Members further out than so many interquartile ranges stand at the edge of a drawing."""


def opinions_page(found: Opinions) -> str:
    """The page of the opinions on one model."""
    opinions = [_shown(one, beside(one, found.pack, found.pack_sha256)) for one in found.given]
    unmet = [f"{method_class(name).title}: {sentence}" for name, sentence in found.unmet.items()]
    return _templates().get_template("opinions.html").render(found=found, opinions=opinions, unmet=unmet)


@cache
def _templates() -> Environment:
    return escaping_templates("ti_core.rendering", shown=lambda text: shown(str(text), LONGEST))


def _shown(one: Opinion, others: Beside | None) -> dict[str, Any]:
    method = method_class(one.method)
    source = method.source
    return {
        "title": method.title,
        "decided": DECIDED[one.suspicious],
        "sentence": one.sentence,
        "statistic": f"{method.measures[:1].upper()}{method.measures[1:]}: {one.statistic:.3g}",
        "threshold": "" if one.threshold is None else f"backdoored above {one.threshold:.3g}",
        "beside": "" if others is None else others.sentence(one.statistic),
        "drawing": "" if others is None else drawing(one, others),
        "source": f"{source.authors}, {source.venue} {source.year}, {source.link}",
        "differs": method.differs,
    }


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
    low, high = span(one, others)

    def at(value: float) -> float:
        return round(90 + (WIDTH - 100) * (min(max(value, low), high) - low) / (high - low), 1)

    parts = []
    for row, (name, values) in enumerate((("clean", others.clean), ("backdoored", others.backdoored))):
        y = 16 + ROW * row
        parts.append(f'<text x="0" y="{y + 4}" font-size="12">{name} ({len(values)})</text>')
        parts += [f'<path class="{name}" d="M{at(v)} {y - 6}v12" stroke-width="1.5"/>' for v in values]
    bottom = 2 * ROW + 12
    if one.threshold is not None:
        x = at(one.threshold)
        parts.append(
            f'<path class="limit" d="M{x} 4V{bottom}" stroke-width="1.5" stroke-dasharray="4 3"/>'
            f'<text x="{x}" y="{bottom + 14}" font-size="12" text-anchor="middle">threshold</text>'
        )
    x = at(one.statistic)
    parts.append(
        f'<path class="own" d="M{x} 4V{bottom}" stroke-width="3"/>'
        f'<text x="{x}" y="{bottom + 28}" font-size="12" text-anchor="middle">this model</text>'
    )
    says = "Statistics of clean and backdoored networks, with this model's and the threshold"
    return Markup(
        f'<svg class="members" viewBox="0 0 {WIDTH} {bottom + 34}" role="img" aria-label="{says}">'
        f"{''.join(parts)}</svg>"
    )
