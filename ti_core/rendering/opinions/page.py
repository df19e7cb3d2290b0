"""Second opinions as one HTML page of their own. It asks no host for anything and runs no script."""

from __future__ import annotations

from functools import cache
from typing import Any

from jinja2 import Environment

from ti_core.methods import method_class
from ti_core.methods.beside import Beside, beside
from ti_core.methods.opinion import Opinion, Opinions
from ti_core.rendering.opinions.drawing import drawing
from ti_core.rendering.templating import escaping_templates
from ti_core.text import shown

LONGEST = 2000
DECIDED = {True: "✗ backdoored", False: "✓ clean", None: "no decision on networks"}


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
