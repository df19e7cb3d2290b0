"""How near a verdict is to one of its bounds."""

from __future__ import annotations

import math

from ti_core.detector.thresholds import log_odds

CLOSE = math.log(2)
"""Distance in log-odds within which a verdict is close to a bound: the odds differ by a factor of two."""


def close_to_a_bound(probability: float, low: float, high: float) -> str:
    """A sentence if the probability is close to a bound, with the distance in percentage points; else ""."""
    bound, name = min(
        ((low, "calls a model clean below it"), (high, "calls a model backdoored from it on")),
        key=lambda pair: abs(float(log_odds(pair[0]) - log_odds(probability))),
    )
    if abs(float(log_odds(bound) - log_odds(probability))) > CLOSE:
        return ""
    points = 100 * abs(probability - bound)
    return (
        f"Close to the boundary: {points:.1f} percentage points {'above' if probability >= bound else 'below'}"
        f" {bound:.1%}, which {name}. A little more or less evidence would change the verdict."
    )
