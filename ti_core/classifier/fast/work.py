"""The work of a network for one image, counted and not timed: it is the same on every machine."""

from __future__ import annotations

from typing import Any

import torch
from torch import nn
from torch.utils._python_dispatch import TorchDispatchMode

WRITTEN = 30.0
"""Products that writing one value takes as long as. Depthwise convolutions wait for the memory, not for products."""


class Products(TorchDispatchMode):
    """Counts the products of convolutions and matrix products, and what their values take to write, as ``count``."""

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.count = 0.0

    def __torch_dispatch__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        out = func(*args, **(kwargs or {}))
        name = func.overloadpacket.__name__
        if "convolution" in name and isinstance(out, torch.Tensor):
            # A transposed convolution takes each of its own values to many.
            turned = args[0] if args[6] else out
            self.count += turned.numel() * args[1][0].numel() + out.numel() * WRITTEN
        elif name in ("mm", "bmm", "addmm", "baddbmm") and isinstance(out, torch.Tensor):
            inner = args[1] if "add" in name else args[0]
            self.count += out.numel() * (inner.shape[-1] + WRITTEN)
        return out


def work(network: nn.Module, images: torch.Tensor) -> float:
    """Products of one forward pass of one image, with those that writing takes as long as; 0 if it does not run.

    Parameters
    ----------
    images : ``N x C x H x W`` in [0, 1], of which the first is used.
    """
    counted = Products()
    try:
        with torch.no_grad(), torch.random.fork_rng(devices=[]), counted:
            network(images[:1])
    except (RuntimeError, TypeError, ValueError):
        return 0.0
    return counted.count
