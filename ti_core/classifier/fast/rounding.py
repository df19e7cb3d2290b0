"""Networks in bfloat16, where that is quicker.

A search follows the sign of a gradient, for which three significant digits are enough. What it finds is then measured
in single precision. Instructions for bfloat16 alone do not make a processor quicker at it: some take half the time of
single precision, others one and a half times as long, and depthwise convolutions take longer on most. So both are
timed.
"""

from __future__ import annotations

import time
from copy import deepcopy

import torch
from torch import nn

ALIKE = 0.9
"""Least cosine between the gradients in both precisions, of the two images that are tried."""
TIMED, TURNS = 8, 2
"""Images of each gradient that is timed, and how many there are in each precision, of which the quickest counts."""
QUICKER = 0.9
"""Largest share of the time of single precision at which bfloat16 is used. A gain that is smaller may be chance."""


class Bfloat16(nn.Module):
    """A model ``N x C x H x W -> N x K`` in mixed precision and channels-last memory format.

    Convolutions and matrix products are in bfloat16. Sums, normalisations, weights and scores are in float32.

    Parameters
    ----------
    rounded : whether bfloat16 is used. A processor without it would emulate it, ten times as slowly.
    """

    def __init__(self, model: nn.Module, rounded: bool = True) -> None:
        super().__init__()
        self.model: nn.Module = model.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        self.rounded = rounded

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        with torch.autocast(x.device.type, dtype=torch.bfloat16, enabled=self.rounded):
            scores: torch.Tensor = self.model(x.contiguous(memory_format=torch.channels_last))
        return scores.float()


def has_bfloat16() -> bool:
    """Whether this processor has instructions for bfloat16. Others emulate it, ten times as slowly."""
    known = torch.cpu.get_capabilities()
    return any(known.get(name, False) for name in ("avx512_bf16", "amx_bf16", "bf16"))


def quicker_in_bfloat16(network: nn.Module, images: torch.Tensor) -> bool:
    """Whether the processor has bfloat16, and the network's gradients take less time in it. The network stays as it is.

    Parameters
    ----------
    images : ``N x C x H x W``, one at least; :data:`TIMED` are used at most.
    """
    if not has_bfloat16():
        return False
    copy = deepcopy(network).eval().to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    return _quicker(Bfloat16(copy), copy, images[:TIMED])


def for_gradients(network: nn.Module, images: torch.Tensor) -> nn.Module:
    """The network in bfloat16 if the gradients stay alike and take less time; else the network itself.

    Parameters
    ----------
    images : ``N x C x H x W`` in [0, 1], of the network's data. The gradients of the first two are compared, and those
        of the first :data:`TIMED` are timed.
    """
    if images.device.type != "cpu" or not has_bfloat16():
        return network
    rounded, two = Bfloat16(network), images[:2]
    try:
        cosine = torch.cosine_similarity(_gradient(rounded, two), _gradient(network, two), dim=0)
        used = bool(cosine >= ALIKE) and _quicker(rounded, network, images[:TIMED])
    except (RuntimeError, TypeError, ValueError):
        return network
    return rounded if used else network


def _quicker(one: nn.Module, other: nn.Module, images: torch.Tensor) -> bool:
    """Whether a gradient through ``one`` takes clearly less time of the processor than through ``other``."""
    seconds = []
    for network in (one, other):
        own = []
        for _ in range(TURNS):
            start = time.process_time()
            _gradient(network, images)
            own.append(time.process_time() - start)
        seconds.append(min(own))
    return seconds[0] <= QUICKER * seconds[1]


def _gradient(network: nn.Module, images: torch.Tensor) -> torch.Tensor:
    """The gradient of the lead of the largest score, in one row."""
    x = images.detach().clone().requires_grad_(True)
    with torch.enable_grad():
        best, second = network(x).topk(2, dim=1).values.unbind(1)
        (gradient,) = torch.autograd.grad((best - second).sum(), x)
    return gradient.flatten()
