"""A copy of a network that is made for speed."""

from __future__ import annotations

from copy import deepcopy

import torch
from torch import nn

from ti_core.classifier.fast.folding import folded
from ti_core.classifier.fast.portions import InPortions
from ti_core.classifier.fast.rounding import for_gradients


def fast_copy(scores: nn.Module, images: torch.Tensor, rounded: bool = False) -> nn.Module:
    """A copy of the network made for speed. The caller's network keeps its memory format, state and gradients.

    Batch normalisations are folded into convolutions. Batches that do not fit the memory go through in portions.

    Parameters
    ----------
    images : ``N x C x H x W`` in [0, 1], of the network's data; one at least.
    rounded : whether gradients may be in bfloat16, where the processor has it.
    """
    copy = folded(deepcopy(scores).eval().requires_grad_(False), images)
    copy = copy.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    return InPortions(copy, for_gradients(copy, images) if rounded else None).eval()
