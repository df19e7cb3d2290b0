"""Squares: the parts of an image that are covered together."""

from __future__ import annotations

import torch

ACROSS = 7
"""Number of squares across the shorter side of an image."""


def side_of(height: int, width: int) -> int:
    """Side of a square in pixels."""
    return max(2, -(-min(height, width) // ACROSS))


def squares(height: int, width: int) -> torch.Tensor:
    """The number of each pixel's square, ``H x W``, from 0."""
    side = side_of(height, width)
    rows, columns = torch.arange(height) // side, torch.arange(width) // side
    return rows[:, None] * int(columns[-1] + 1) + columns[None, :]


def samples_for(numbers: torch.Tensor) -> int:
    """How many covered copies are drawn, enough to fit one number a square."""
    return 2 * int(numbers.max() + 1) + 2
