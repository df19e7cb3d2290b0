"""The plane of a grid of panels: where each panel lies on the two axes that a figure has for all of them.

A figure with two axes for every panel takes a browser several times as long to draw.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.floating]

GAP_ACROSS = 0.1
"""Between two columns, in panels' widths."""
GAP = np.array([np.nan])
"""Ends a line, so that the next panel's begins anew."""


@dataclass(frozen=True)
class Grid:
    """Panels in rows from the top, each one unit wide and one unit high. All show the same ranges.

    Parameters
    ----------
    count : number of panels.
    columns : number of panels in a full row.
    low, high : ends of every panel's horizontal axis, which is logarithmic.
    bottom, top : ends of every panel's vertical axis.
    """

    count: int
    columns: int
    low: float
    high: float
    bottom: float
    top: float

    @property
    def rows(self) -> int:
        return -(-self.count // self.columns)

    @property
    def gap_down(self) -> float:
        """Between two rows, in panels' heights: room for a title of two lines."""
        return 0.45 if self.rows > 2 else 0.28

    @property
    def across(self) -> tuple[float, float]:
        """The range of the plane's horizontal axis."""
        return 0.0, self.columns + GAP_ACROSS * (self.columns - 1)

    @property
    def up(self) -> tuple[float, float]:
        """The range of the plane's vertical axis. Its figures begin below the last row."""
        return -(self.rows - 1) * (1 + self.gap_down) - 0.05, 1.0

    def corner(self, i: int) -> tuple[float, float]:
        """The lower left corner of a panel."""
        row, column = divmod(i, self.columns)
        return column * (1 + GAP_ACROSS), -row * (1 + self.gap_down)

    def x(self, i: int, values: Array) -> Array:
        low, high = np.log10([self.low, self.high])
        return np.asarray(self.corner(i)[0] + (np.log10(values) - low) / (high - low))

    def y(self, i: int, values: Array) -> Array:
        return np.asarray(self.corner(i)[1] + (values - self.bottom) / (self.top - self.bottom))

    def decades(self) -> list[float]:
        """Powers of ten on the horizontal axis."""
        first, last = np.ceil(np.log10(self.low)), np.floor(np.log10(self.high))
        return [10.0**k for k in range(int(first), int(last) + 1)]

    def shares(self) -> list[float]:
        """Up to five round figures on the vertical axis, from 0 on."""
        rough = self.top / 5
        power = 10 ** np.floor(np.log10(rough))
        step = next(n * power for n in (1, 2, 5, 10) if n * power >= rough * (1 - 1e-9))
        return [float(step * k) for k in range(int(self.top / step + 1e-9) + 1)]

    def lines(self) -> str:
        """The lines of all panels' axes as one path on the plane."""
        parts = []
        for i in range(self.count):
            left, low = self.corner(i)
            for x in self.x(i, np.array(self.decades())):
                parts.append(f"M{x:.5g},{low:.5g}L{x:.5g},{low + 1:.5g}")
            for y in self.y(i, np.array(self.shares())):
                parts.append(f"M{left:.5g},{y:.5g}L{left + 1:.5g},{y:.5g}")
        return "".join(parts)

    def last_in_columns(self) -> list[int]:
        """The lowest panel of each column, below which the horizontal axis is written."""
        return [max(range(c, self.count, self.columns)) for c in range(min(self.columns, self.count))]
