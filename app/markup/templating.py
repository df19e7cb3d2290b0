"""The templates of the page's own HTML."""

from __future__ import annotations

from functools import cache
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined

from app.words import plain


@cache
def _environment() -> Environment:
    """The templates escape every text. A name that they do not know is an error."""
    found = Environment(
        loader=PackageLoader("app.markup"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    found.filters["plain"] = plain
    return found


def render(template: str, macro: str, *values: Any) -> str:
    """The HTML that a macro of ``templates/<template>.html`` writes of the values."""
    module = _environment().get_template(f"{template}.html").module
    return str(getattr(module, macro)(*values)).strip()
