"""The last feature map of a network, however its convolutions are called: as modules, or by a graph."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from torch.overrides import TorchFunctionMode

from ti_core.classifier.scores import Scores
from ti_core.errors import NoRuleError

CONVOLUTIONS = (F.conv2d, torch.convolution)


class _LastMap(TorchFunctionMode):
    """Keeps the last result of a convolution that has more than one place."""

    def __init__(self) -> None:
        super().__init__()
        self.found: torch.Tensor | None = None

    def __torch_function__(
        self,
        func: Callable[..., Any],
        types: Sequence[type],
        args: tuple[Any, ...] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> Any:
        result = func(*args, **(kwargs or {}))
        if func in CONVOLUTIONS and result.ndim == 4 and result.shape[2] * result.shape[3] > 1:
            self.found = result
            # What follows may change it in place.
            return result.clone()
        return result


@dataclass(frozen=True)
class FeatureMap:
    """The last feature map ``N x D x h x w``, and the gradient of each image's class score with respect to it."""

    values: torch.Tensor
    gradient: torch.Tensor


def feature_map(scores: Scores, images: torch.Tensor, classes: torch.Tensor) -> FeatureMap:
    """The last feature map of images ``N x C x H x W``, for the scores of ``classes``.

    Raises
    ------
    NoRuleError : the network has no convolution whose result can be read.
    """
    with torch.enable_grad():
        with _LastMap() as last:
            z = scores(images.detach().requires_grad_(True))
        if last.found is None:
            raise NoRuleError("it has no convolution with more than one place")
        own = z.gather(1, classes[:, None]).sum()
        (gradient,) = torch.autograd.grad(own, last.found, allow_unused=True)
    if gradient is None or len(last.found) != len(images):
        raise NoRuleError("its last convolution looks at one image at a time")
    return FeatureMap(last.found.detach(), gradient)


def enlarged(maps: torch.Tensor, images: torch.Tensor) -> torch.Tensor:
    """Maps ``N x h x w`` at the size of the images, negative values as 0."""
    size = (int(images.shape[2]), int(images.shape[3]))
    return F.interpolate(maps.clamp_min(0)[:, None], size, mode="bilinear")[:, 0]
