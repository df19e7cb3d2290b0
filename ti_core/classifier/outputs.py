"""The output of a network: where its class scores are, in which form, and how well they fit labels."""

from __future__ import annotations

from math import inf, isfinite
from typing import Any

import torch
import torch.nn.functional as F

from ti_core.classifier.scores import Place
from ti_core.errors import ModelBehaviourError
from ti_core.text import shown

TEMPERATURES = tuple(0.05 * 1.25**i for i in range(24))
"""Factors of the scores that are tried, from 0.05 to 8.5, so that an overconfident network has no disadvantage."""


def place_of(returned: Any, count: int, classes: int, file: str) -> Place:
    """Where in what a network returned for ``count`` images the one row of scores per image is.

    Raises
    ------
    ModelBehaviourError : there is none; ``file`` names the model in it.
    """
    if isinstance(returned, torch.Tensor):
        shape = tuple(returned.shape)
        if shape[2:] not in ((), (1, 1)) or len(shape) < 2 or shape[0] != count:
            raise ModelBehaviourError(
                f"{file} returns scores of shape {shape}; {count} x {classes} is expected."
            )
        if shape[1] != classes:
            raise ModelBehaviourError(
                f"{file} tells {shape[1]} classes apart, the reference pack has {classes}."
            )
        return None
    items: list[tuple[Any, Any]] = []
    if isinstance(returned, dict):
        items = list(returned.items())
    elif isinstance(returned, (tuple, list)):
        items = list(enumerate(returned))
    for place, value in items:
        if isinstance(value, torch.Tensor) and isinstance(place, (int, str)):
            flat = value.shape[2:] in (torch.Size([]), torch.Size([1, 1]))
            if value.ndim >= 2 and flat and value.shape[:2] == (count, classes):
                return place
    kind = shown(type(returned).__name__)
    within = " with no such tensor in it" if items else ""
    raise ModelBehaviourError(
        f"{file} returns a {kind}{within} where one tensor of {count} x {classes} class scores is expected."
    )


def form_of(z: torch.Tensor) -> str:
    """Whether scores ``N x K`` are "probabilities" (none negative, each row's sum 1) or "logits"."""
    sums_to_one = bool(((z.sum(1) - 1).abs() < 1e-3).all())
    return "probabilities" if sums_to_one and bool((z >= 0).all()) else "logits"


def loss(z: torch.Tensor, labels: torch.Tensor) -> float:
    """Cross-entropy of labels ``N`` under scores ``N x K`` at the temperature that suits them best."""
    losses = [float(F.cross_entropy(z * factor, labels)) for factor in TEMPERATURES]
    return min(filter(isfinite, losses), default=inf)
