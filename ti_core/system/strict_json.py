"""JSON that a stranger may have written: every fault is a ValueError, and no text has two readings."""

from __future__ import annotations

import json
import math
from collections import Counter
from typing import Any, NoReturn

from ti_core.text import shown


class TwiceError(ValueError):
    """A group has one name twice. Of its two values, programs choose differently."""


def parse(text: str | bytes) -> Any:
    """The value of a JSON text. Bytes are UTF-8.

    Raises
    ------
    ValueError : it is no JSON, it is nested too deeply, a group has a name twice, or a number is not finite. The
        message is a clause for a person.
    """
    try:
        if isinstance(text, bytes):
            text = text.decode("utf-8")
        return json.loads(text, object_pairs_hook=unique, parse_constant=_refuse, parse_float=_finite)
    except RecursionError as error:
        raise ValueError("it is nested too deeply") from error


def unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """The group of these pairs.

    Raises
    ------
    TwiceError : two of them have the same name.
    """
    group = dict(pairs)
    if len(group) != len(pairs):
        twice, _ = Counter(name for name, _ in pairs).most_common(1)[0]
        raise TwiceError(f"the name '{shown(twice, 60)}' stands twice in one group")
    return group


def _refuse(constant: str) -> NoReturn:
    raise ValueError(f"{constant} is no number in JSON")


def _finite(text: str) -> float:
    value = float(text)
    if not math.isfinite(value):
        raise ValueError(f"the number {shown(text, 40)} is too large")
    return value
