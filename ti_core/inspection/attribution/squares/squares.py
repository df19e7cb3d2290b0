"""Squares: the parts of an image that are covered together."""

from __future__ import annotations

from collections.abc import Callable

import torch

from ti_core.inspection.attribution.base import GREY, strongest

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


def by_squares(
    attribute: Callable[..., torch.Tensor], images: torch.Tensor, classes: torch.Tensor
) -> torch.Tensor:
    """Maps ``N x H x W`` of a method that covers random squares; the same squares for every call.

    Parameters
    ----------
    attribute : the ``attribute`` of one of captum's methods.
    images, classes : ``N x C x H x W`` in [0, 1], and the class that each is explained for, ``N``.
    """
    numbers = squares(int(images.shape[2]), int(images.shape[3])).to(images.device)
    count = samples_for(numbers)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        values = [
            attribute(
                image[None],
                target=int(c),
                baselines=GREY,
                feature_mask=numbers[None, None],
                n_samples=count,
                perturbations_per_eval=count,
            )
            for image, c in zip(images, classes, strict=True)
        ]
    return strongest(torch.cat(values))
