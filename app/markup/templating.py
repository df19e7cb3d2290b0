"""The templates of the page's own HTML."""

from __future__ import annotations

from functools import cache
from typing import Any

from jinja2 import Environment

from app.words import plain
from ti_core.rendering.templating import escaping_templates


@cache
def _environment() -> Environment:
    return escaping_templates("app.markup", plain=plain)


def render(template: str, macro: str, *values: Any) -> str:
    """The HTML that a macro of ``templates/<template>.html`` makes from the values."""
    module = _environment().get_template(f"{template}.html").module
    return str(getattr(module, macro)(*values)).strip()
