"""How a verdict came about: exact steps in log-odds, from the mean of the reference models to the probability."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ti_core.rendering.comparison import contributions
from ti_core.results.case import Case

START = "the mean of all reference models"
BESIDE = "what single streams and the recovered trigger add"
SHOWN = 0.01
"""Log-odds from which on a figure has a step of its own."""
LEAST = 1e-4
"""Log-odds below which the last step is left out."""
SURE = 1e-12
"""Probabilities are kept this far from 0 and 1."""


@dataclass(frozen=True)
class Step:
    """One step: its name, the log-odds that it adds, and the log-odds after it."""

    name: str
    by: float
    total: float


def waterfall(case: Case, detector: str, most: int = 8) -> list[Step]:
    """The steps of a meta-model's log-odds, the largest first, which end at the probability.

    The first step begins at 0. A meta-model that the verdict rests on has a last step where other evidence was added.
    Empty if the case does not hold where the steps begin.
    """
    base, moved = case.arrays.get(f"base/{detector}"), case.arrays.get(f"why/{detector}")
    if base is None or moved is None:
        return []
    pairs = contributions(case, detector, min(most, max(1, int((np.abs(base[1] * moved) >= SHOWN).sum()))))
    steps = [Step(START, float(base[0]), float(base[0]))]
    for name, by in pairs:
        steps.append(Step(name, float(base[1]) * by, steps[-1].total + float(base[1]) * by))
    if detector == case.decided_by:
        p = float(np.clip(case.report.probability, SURE, 1 - SURE))
        left = float(np.log(p) - np.log1p(-p)) - steps[-1].total
        if abs(left) >= LEAST:
            steps.append(Step(BESIDE, left, steps[-1].total + left))
    return steps


def probability_at(log_odds: float) -> float:
    """The probability of these log-odds."""
    return float(1 / (1 + np.exp(-log_odds)))
