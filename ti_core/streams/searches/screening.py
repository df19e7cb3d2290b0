"""Screening of many classes: a short search of all, a full search of the few that stand out, an estimate for the rest.

The work of a search grows with the number of classes, but a backdoor leads to one class or a few. Above some number of
classes all of them get a short search (:mod:`ti_core.streams.searches.shortlist`). Those that stand out within the
network get a full search. For the other classes the result of a full search is estimated from the short one. So the
network's median and spread, and the clean reference models' mean of every class, stay nearly the same. A class that was
only estimated is never suspected.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ti_core.streams.base import Array, Evidence
from ti_core.streams.searches.sparing import Halving

SEARCHED = "searched"
"""Key of the evidence, ``K``: 1 for a class with a full search, 0 for an estimated one.

Without this key all classes had a full search.
"""


@dataclass(frozen=True)
class Screening:
    """Which classes get a full search.

    Parameters
    ----------
    above : up to this number of classes all get a full search.
    windows_above : up to this number all classes are searched in every window, since a shorter search finds few
        patches.
    kept : number of classes that stand out most in the short search.
    others : number of further classes, spread evenly over the ranking of the rest. The kept ones stand out partly by
        chance; an estimate fitted to them alone would be too low for the rest.
    """

    above: int = 16
    windows_above: int = 50
    kept: int = 6
    others: int = 2

    @classmethod
    def of_classes(cls, halving: Halving, classes: int) -> Screening:
        """Which of so many classes go on after a first round: five at least, of which two are there to compare."""
        return cls(0, 0, max(3, round(halving.kept * classes)), max(2, round(halving.others * classes)))

    @classmethod
    def of_cells(cls, halving: Halving, cells: int) -> Screening:
        """Which of so many pairs of class and window go on."""
        return cls(0, 0, max(4, round(halving.kept * cells)), max(2, round(halving.others * cells)))

    def going_on(self, candidates: int) -> int:
        """The number of candidates, of this many, that go on."""
        return min(candidates, self.kept + self.others)

    def applies(self, classes: int) -> bool:
        """Whether this many classes are screened."""
        return classes > max(self.above, self.kept + self.others)

    def shortens_windows(self, classes: int) -> bool:
        """Whether this many classes are screened in windows too."""
        return self.applies(classes) and classes > self.windows_above

    def full(self, classes: int) -> int:
        """The number of classes, of this many, that get a full search."""
        return self.kept + self.others if self.applies(classes) else classes

    def choose(self, *standings: Array, turns: tuple[int, ...] | None = None) -> NDArray[np.intp]:
        """The classes that get a full search, ascending.

        Parameters
        ----------
        standings : several views of how far each class stands out, each ``K``; larger is more suspicious. The views
            choose in turn, since none of them sees every kind of trigger.
        turns : number of classes that each view chooses in its turn; one by default.
        """
        # Values that are not finite come last.
        views = [np.nan_to_num(s, nan=-np.inf, posinf=-np.inf, neginf=-np.inf) for s in standings]
        ranks = np.stack([(-view).argsort(kind="stable").argsort(kind="stable") for view in views])
        rounds = ranks // np.array(turns or [1] * len(ranks))[:, None]
        order = np.lexsort((ranks.mean(0), rounds.min(0)))
        if len(order) <= self.kept + self.others:
            return np.arange(len(order))
        kept, rest = order[: self.kept], order[self.kept :]
        spread = np.linspace(0, len(rest) - 1, self.others + 2)[1:-1].round().astype(int)
        return np.sort(np.concatenate([kept, rest[spread]]))

    def foremost(self, standing: Array) -> NDArray[np.intp]:
        """The same number of classes, ascending: those that stand out most in one view, ``K``."""
        order = np.nan_to_num(-standing, nan=np.inf).argsort(kind="stable")
        return np.sort(order[: self.kept + self.others])

    def searched(self, classes: int, chosen: NDArray[np.intp]) -> Array:
        """The array :data:`SEARCHED` for these classes."""
        found = np.zeros(classes, dtype=np.float32)
        found[chosen] = 1.0
        return found


def completed(short: Array, full: Array, chosen: NDArray[np.intp], steepest: float = 1.5) -> Array:
    """A table of all classes, ``K x E``: the full search's values for the chosen classes, estimates for the others.

    The estimate of a column is a line fitted to the chosen classes, which had both searches. All columns share one
    slope between 0 and ``steepest``. Slope and height are medians (H. Theil, 1950; P. K. Sen, 1968), so that a target
    class, far off the line, does not move it. No estimate is larger than the largest value that was found.

    Parameters
    ----------
    short : of all classes after the short search, ``K x E``, or ``K`` for all columns; finite.
    full : of the chosen ones after the full search, ``J x E`` or ``J``; finite.
    chosen : their indices, ``J``.
    steepest : maximum slope; with both in the same units, a steeper line is chance.
    """
    x, y = short.reshape(len(short), -1), full.reshape(len(chosen), -1)
    own = x[chosen]
    slope = float(np.clip(_median_slope(own, y), 0.0, steepest))
    table = np.minimum(np.median(y - slope * own, axis=0) + slope * x, y.max(0))
    table[chosen] = y
    return np.asarray(table.reshape(len(short), *full.shape[1:]), dtype=np.float32)


def _median_slope(x: Array, y: Array) -> float:
    """The median of the slopes between all pairs of rows, ``J x E``, in every column; ``x`` may have one for all."""
    first, second = np.triu_indices(len(x), 1)
    up = y[second] - y[first]
    across, up = np.broadcast_to(x[second] - x[first], up.shape).ravel(), up.ravel()
    apart = across != 0
    return float(np.median(up[apart] / across[apart])) if apart.any() else 0.0


def unsuspected(scores: Array, evidence: Evidence) -> Array:
    """Scores ``R x K`` or ``R x K x ...`` in which an estimated class is at most 0, the usual value.

    Parameters
    ----------
    evidence : stacked, of those R models.
    """
    if SEARCHED not in evidence:
        return scores
    mask = evidence[SEARCHED].reshape(evidence[SEARCHED].shape + (1,) * (scores.ndim - 2)) > 0
    return np.asarray(np.where(mask, scores, np.minimum(scores, 0.0)), dtype=np.float32)


def among_searched(values: Array, evidence: Evidence) -> Array:
    """Values ``K`` of one model, minus infinity for an estimated class, so that no such class is the largest."""
    if SEARCHED not in evidence:
        return values
    return np.asarray(np.where(evidence[SEARCHED] > 0, values, -np.inf), dtype=np.float32)
