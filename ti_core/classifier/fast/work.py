"""The work of a network for one image, counted and not timed: it is the same on every machine."""

from __future__ import annotations

from typing import Any

import torch
from torch import nn
from torch.overrides import TorchFunctionMode

WRITTEN = 30.0
"""Products that writing one value takes as long as. Depthwise convolutions wait for the memory, not for products."""


class Products(TorchFunctionMode):
    """Counts the products of convolutions and matrix products, and what their values take to write, as ``count``.

    Those inside a function of PyTorch that does several at once, as attention, are not counted.
    """

    def __init__(self) -> None:
        super().__init__()
        self.count = 0.0

    def __torch_function__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        out = func(*args, **(kwargs or {}))
        name = getattr(func, "__name__", "")
        if not isinstance(out, torch.Tensor) or len(args) < 2:
            return out
        if name.startswith("conv") and isinstance(args[1], torch.Tensor):
            # A transposed convolution takes each of its own values to many.
            turned = args[0] if "transpose" in name else out
            self.count += turned.numel() * args[1][0].numel() + out.numel() * WRITTEN
        elif name in ("linear", "matmul", "__matmul__", "mm", "bmm", "addmm", "baddbmm"):
            inner = args[1] if name in ("addmm", "baddbmm") else args[0]
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
