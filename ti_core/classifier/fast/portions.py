"""Large batches in portions that fit the memory.

A search sends hundreds of images through the network at once. At 224 pixels, the values that the gradient needs may
take more memory than there is. Then a batch goes through in portions. :func:`scored` asks for the gradient of one
portion after the other. Elsewhere each portion is computed again for its gradient (T. Chen et al., Training deep nets
with sublinear memory cost, 2016), which takes 1.4 times as long. The result is the same.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import nn
from torch.utils.checkpoint import checkpoint

from ti_core.system.memory import free_memory, is_out_of_memory

LARGE = 8 << 20
"""Bytes of a batch's images from which on it is asked whether it fits. Batches of images of 32 pixels are smaller."""
SHARE = 0.4
"""Share of the free memory that the values of one portion for the gradient may take. Gradients take as much again."""
MOST = 3 << 29
"""Bytes that they may take at most. Larger portions are hardly quicker, and other programs need memory too."""


class InPortions(nn.Module):
    """A network ``N x C x H x W -> N x K`` whose large batches go through in portions that fit the memory.

    Parameters
    ----------
    network : in evaluation mode; no parameter requires a gradient.
    for_gradients : the same network, where gradients are asked for; by default ``network`` itself.
    """

    def __init__(self, network: nn.Module, for_gradients: nn.Module | None = None) -> None:
        super().__init__()
        self.network = network
        self.for_gradients = for_gradients or network
        self._most: int | None = None

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        network = self.for_gradients if torch.is_grad_enabled() and x.requires_grad else self.network
        most = self._at_once(x)
        while True:
            try:
                return self._in_portions(network, x, most)
            except (MemoryError, RuntimeError) as error:
                if most == 1 or not is_out_of_memory(error):
                    raise
            self._most = most = max(1, most // 2)

    def parts(self, x: torch.Tensor, together: int = 1) -> tuple[torch.Tensor, ...]:
        """Images ``N x C x H x W`` in portions that fit the memory with their gradients.

        ``together`` images stay in one portion, which may be too large then.
        """
        found: tuple[torch.Tensor, ...] = x.split(max(1, self._at_once(x) // together) * together)
        return found

    def _at_once(self, x: torch.Tensor) -> int:
        """The number of these images that go through at once. Of small images that is all of them."""
        if x.numel() * x.element_size() < LARGE or len(x) < 2:
            return len(x)
        if self._most is None:
            self._most = fitting(self.network, x)
        return self._most

    def _in_portions(self, network: nn.Module, x: torch.Tensor, most: int) -> torch.Tensor:
        if len(x) <= most:
            found: torch.Tensor = network(x)
            return found
        parts = x.split(most)
        if torch.is_grad_enabled() and x.requires_grad:
            return torch.cat([checkpoint(network, part, use_reentrant=False) for part in parts])
        return torch.cat([network(part) for part in parts])


def scored(
    network: nn.Module,
    x: torch.Tensor,
    classes: torch.Tensor,
    value: Callable[[torch.Tensor, torch.Tensor], torch.Tensor],
    together: int = 1,
) -> tuple[torch.Tensor, torch.Tensor]:
    """Scores ``N x K`` of images ``N x C x H x W``, and the gradient of a sum over the images, in the images' shape.

    Each portion's gradient is asked for before the next one goes through.

    Parameters
    ----------
    classes : a class for each image, ``N``.
    value : the sum over some of the images, from their scores and classes.
    together : that many images, one after the other, always stand in one portion. N is a multiple of it.
    """
    parts = network.parts(x.detach(), together) if isinstance(network, InPortions) else (x.detach(),)
    scores: list[torch.Tensor] = []
    gradients: list[torch.Tensor] = []
    for part, own in zip(parts, classes.split([len(part) for part in parts]), strict=True):
        free = part.detach().requires_grad_(True)
        with torch.enable_grad():
            z = network(free)
            gradients += torch.autograd.grad(value(z, own), free)
        scores.append(z.detach())
    return torch.cat(scores), torch.cat(gradients)


def fitting(network: nn.Module, x: torch.Tensor) -> int:
    """The number of images ``N x C x H x W`` whose values for the gradient fit the memory, at least 1."""
    each = max(1, kept_bytes(network, x[:2]) - kept_bytes(network, x[:1]))
    return max(1, min(MOST, int(SHARE * free_memory(x.device))) // each)


def kept_bytes(network: nn.Module, x: torch.Tensor) -> int:
    """Bytes of the values that a forward pass keeps for the gradient with respect to the images."""
    kept: dict[int, int] = {}

    def keep(value: torch.Tensor) -> torch.Tensor:
        storage = value.untyped_storage()
        kept[storage.data_ptr()] = storage.nbytes()
        return value

    def give(value: Any) -> Any:
        return value

    with torch.enable_grad(), torch.autograd.graph.saved_tensors_hooks(keep, give):
        # What was computed stays alive, so that no two values share an address.
        out = network(x.detach().clone().requires_grad_(True))
    del out
    return sum(kept.values())
