"""The one way in which templates of HTML are read: every text in them is escaped."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined


def escaping_templates(package: str, **filters: Callable[[Any], str]) -> Environment:
    """The templates of a package's folder ``templates``, with these filters besides jinja2's own.

    They escape every text. A name that they do not know is an error.
    """
    found = Environment(
        loader=PackageLoader(package),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    found.filters.update(filters)
    return found
