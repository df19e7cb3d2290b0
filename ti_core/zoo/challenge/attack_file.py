"""Reads ``attack_specification.pt`` of the Trojan Detection Challenge: a trigger and its target. No code of it runs.

The file is a dictionary ``{"target_label", "trigger": {"pattern", "mask", "alpha", "trigger_type", ...}}``. Its
tensors are built from the pickle's outline, and numpy's numbers are read from there.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from ti_core.errors import ModelFileError
from ti_core.loading.model_file import read_file
from ti_core.loading.pickles.nodes import Pairs
from ti_core.loading.pickles.torch_file import examine, read_checkpoint
from ti_core.loading.pickles.values.arrays import scalar_of
from ti_core.paper.triggers import Trigger, TriggerKind

KIND_NAMES: dict[str, TriggerKind] = {"patch": "patch", "blended": "blend", "blend": "blend"}


@dataclass(frozen=True)
class Attack:
    """A trigger on images ``C x H x W`` and its target class."""

    trigger: Trigger
    target: int


def read_attack(path: Path, image_shape: tuple[int, int, int], classes: int) -> Attack:
    """The attack that a specification describes (eq. (1) and (2) of the paper).

    Raises
    ------
    RefusedFileError : the file could run code, or is beyond the limits.
    ModelFileError : it is damaged, or describes no attack on such images.
    """
    data = read_file(path)
    content = read_checkpoint(data)
    outline = examine(data).outline.root
    trigger = content.get("trigger") if isinstance(content, dict) else None
    if not isinstance(trigger, dict):
        raise ModelFileError(f"{path.name} describes no attack: it has no trigger.")
    parts = outline.get("trigger") if isinstance(outline, Pairs) else None
    target = _number(content.get("target_label"), outline, "target_label")
    alpha = _number(trigger.get("alpha"), parts, "alpha")
    channels, height, width = image_shape
    mask = _array(trigger.get("mask"), (1, height, width))
    pattern = _array(trigger.get("pattern"), (channels, height, width))
    if mask is None or not mask.any() or pattern is None or alpha is None or target is None:
        raise ModelFileError(
            f"{path.name} describes no attack on images of {channels} x {height} x {width}:"
            " its mask, pattern, alpha or target is missing or of another shape."
        )
    if not (0 < alpha <= 1 and target == int(target) and 0 <= target < classes):
        raise ModelFileError(f"{path.name} has an impossible alpha ({alpha:g}) or target ({target:g}).")
    kind = KIND_NAMES.get(str(trigger.get("trigger_type")), "blend" if mask.min() > 0 else "patch")
    return Attack(Trigger(kind, mask[0], pattern, float(alpha)), int(target))


def _array(value: Any, shape: tuple[int, int, int]) -> NDArray[np.float32] | None:
    """The tensor if it has this shape (with or without a leading 1) and values in [0, 1], else None."""
    if not isinstance(value, torch.Tensor) or value.numel() != int(np.prod(shape)):
        return None
    if tuple(value.shape) not in (shape, (1, *shape), shape[1:]):
        return None
    array: NDArray[np.float32] = value.detach().to(torch.float32, copy=True).reshape(shape).numpy()
    return array if np.isfinite(array).all() and array.min() >= 0 and array.max() <= 1 else None


def _number(value: Any, outline: Any, key: str) -> float | None:
    """A number: a Python number, a tensor with one element, or a numpy scalar in the outline of its dictionary."""
    if isinstance(value, (int, float)) and not isinstance(value, bool):
        return float(value)
    if isinstance(value, torch.Tensor) and value.numel() == 1:
        return float(value)
    return scalar_of(outline.get(key)) if isinstance(outline, Pairs) else None
