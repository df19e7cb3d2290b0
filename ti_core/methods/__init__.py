"""Second opinions: methods of other publications, one in each file of ``published``.

:mod:`ti_core.methods.registry` lists them. An opinion stands apart from the verdict. It takes no part in it.
"""

from __future__ import annotations

from pkgutil import resolve_name

from ti_core.methods.base import Method, Need, Source, Subject
from ti_core.methods.opinion import Opinion
from ti_core.methods.registry import METHODS, chosen_methods


def method_class(name: str) -> type[Method]:
    """The class of the method of that name.

    Raises
    ------
    KeyError : no method has that name.
    """
    found: type[Method] = resolve_name(METHODS[name].place)
    return found


__all__ = ["METHODS", "Method", "Need", "Opinion", "Source", "Subject", "chosen_methods", "method_class"]
