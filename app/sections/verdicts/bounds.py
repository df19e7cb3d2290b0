"""How near a verdict is to one of its bounds."""

from __future__ import annotations

import math

CLOSE = math.log(2)
"""Distance in log-odds within which a verdict is close to a bound: the odds differ by a factor of two."""


def close_to_a_bound(probability: float, low: float, high: float) -> str:
    """A sentence if the probability is close to a bound, with the distance in percentage points; else ""."""
    bound, name = min(
        ((low, "calls a model clean below it"), (high, "calls a model backdoored from it on")),
        key=lambda pair: abs(_log_odds(pair[0]) - _log_odds(probability)),
    )
    if abs(_log_odds(bound) - _log_odds(probability)) > CLOSE:
        return ""
    points = 100 * abs(probability - bound)
    return (
        f"Close to the boundary: {points:.1f} percentage points {'above' if probability >= bound else 'below'}"
        f" {bound:.1%}, which {name}. A little more or less evidence would change the verdict."
    )


def _log_odds(p: float) -> float:
    p = min(max(p, 1e-12), 1 - 1e-12)
    return math.log(p) - math.log1p(-p)
