"""Limits of every JSON record that a stranger may have written."""

from __future__ import annotations

import math
from typing import Any

MOST_TEXT, MOST_ITEMS, MOST_DEPTH = 4000, 50_000, 12


def check_plain(value: Any, depth: int = 0) -> None:
    """Check that a value consists of JSON's types, within the limits on texts, lists, numbers and nesting.

    Raises
    ------
    ValueError : it does not; a sentence says why.
    """
    if depth > MOST_DEPTH:
        raise ValueError("It is nested too deeply.")
    if isinstance(value, dict):
        if len(value) > MOST_ITEMS or not all(isinstance(k, str) and len(k) <= 300 for k in value):
            raise ValueError("A group has too many keys, or one that is too long.")
        for item in value.values():
            check_plain(item, depth + 1)
    elif isinstance(value, list):
        if len(value) > MOST_ITEMS:
            raise ValueError("A list is too long.")
        for item in value:
            check_plain(item, depth + 1)
    elif isinstance(value, str):
        if len(value) > MOST_TEXT:
            raise ValueError("A text is too long.")
    elif isinstance(value, float):
        if not math.isfinite(value):
            raise ValueError("A number is not finite.")
    elif isinstance(value, int):
        if abs(value) >= 2**63:
            raise ValueError("A number is too large.")
    elif value is not None:
        raise ValueError("It holds a value that JSON has no type for.")
