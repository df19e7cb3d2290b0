"""DeepLIFT: differences from a reference, layer by layer. A. Shrikumar, P. Greenside, A. Kundaje, 2017."""

from __future__ import annotations

from typing import Any, ClassVar

import torch
import torch.nn.functional as F

from ti_core.classifier.scores import Scores
from ti_core.errors import NoRuleError
from ti_core.inspection.attribution.base import Attribution, strongest
from ti_core.inspection.attribution.rules.rules import Function, Rules, multiplied, same, statistics

TINY = 1e-6


class _Differences(Rules):
    """Multipliers of differences. The batch is the images, and behind them their references."""

    def elementwise(self, f: Function, x: torch.Tensor) -> torch.Tensor:
        """The rescale rule: the difference of the results by that of the arguments."""
        with torch.enable_grad():
            given = x.detach().requires_grad_(True)
            y = f(given)
            (slope,) = torch.autograd.grad(y.sum(), given)
        y = y.detach()
        apart = _difference(x.detach())
        steep = _difference(y) / torch.where(apart.abs() < TINY, torch.ones_like(apart), apart)
        found = torch.where(apart.abs() < TINY, slope.chunk(2)[0], steep)
        return multiplied(x, y, torch.cat([found, found]))

    def product(self, f: Function, x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
        """Each factor's difference counts by the mean of the other factor."""
        shared: torch.Tensor = f(x, _mean(y)) + f(_mean(x), y)
        value: torch.Tensor = f(x.detach(), y.detach())
        return shared + (value - shared).detach()

    def softmax(self, x: torch.Tensor, dim: int) -> torch.Tensor:
        top = x.detach().amax(dim, keepdim=True)
        top = torch.maximum(*top.chunk(2)).repeat(2, *([1] * (x.ndim - 1)))
        with self:
            powers = torch.exp(x - top)
            shares: torch.Tensor = powers * torch.reciprocal(powers.sum(dim, keepdim=True))
        return shares

    def normalised(self, name: str, args: tuple[Any, ...], kwargs: dict[str, Any]) -> torch.Tensor:
        x, dims, eps, weight, bias = statistics(name, args, kwargs)
        with self:
            centred = x - x.mean(dims, keepdim=True)
            spread = (centred * centred).mean(dims, keepdim=True)
            y: torch.Tensor = centred * torch.rsqrt(spread + eps)
            y = y if weight is None else y * weight
            y = y if bias is None else y + bias
        return y.reshape(args[0].shape)

    def other(self, name: str, func: Function, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        if name != "max_pool2d" or kwargs.pop("return_indices", False):
            return None
        return _pooled(args[0], *args[1:6], **kwargs)


def _difference(x: torch.Tensor) -> torch.Tensor:
    """The images' values less their references'."""
    if len(x) % 2 or x.ndim == 0:
        raise NoRuleError("a layer mixes the images of a batch")
    own, reference = x.chunk(2)
    return own - reference


def _mean(x: torch.Tensor) -> torch.Tensor:
    """The mean of the images' values and their references', for both."""
    own, reference = x.detach().chunk(2)
    return ((own + reference) / 2).repeat(2, *([1] * (x.ndim - 1)))


def _pooled(x: torch.Tensor, *args: Any, **kwargs: Any) -> torch.Tensor:
    """Maximum pooling. A difference goes to the places whose values made it.

    What raises the maximum above the reference's goes to the image's largest place, and what lowers it to the
    reference's largest place.
    """
    y, places = F.max_pool2d(x.detach(), *args, **kwargs, return_indices=True)
    own, reference = y.chunk(2)
    higher = torch.maximum(own, reference)
    parts = torch.cat([higher - reference, own - higher])
    found: torch.Tensor = _Pooled.apply(x, y, parts, places)  # type: ignore[no-untyped-call]
    return found


class _Pooled(torch.autograd.Function):
    """A pooling whose gradient is what :func:`_pooled` says."""

    @staticmethod
    def forward(
        ctx: Any, x: torch.Tensor, y: torch.Tensor, parts: torch.Tensor, places: torch.Tensor
    ) -> torch.Tensor:
        ctx.save_for_backward(x, parts, places)
        return y.clone()

    @staticmethod
    def backward(ctx: Any, *arriving: torch.Tensor) -> tuple[torch.Tensor, None, None, None]:
        x, parts, places = ctx.saved_tensors
        own = arriving[0].chunk(2)[0].repeat(2, 1, 1, 1)
        shared = torch.zeros_like(x).flatten(2).scatter_add(2, places.flatten(2), (own * parts).flatten(2))
        given = sum(shared.chunk(2))
        apart = _difference(x).flatten(2)
        found = torch.where(apart.abs() < TINY, torch.zeros_like(apart), given / apart).reshape(
            x.chunk(2)[0].shape
        )
        return torch.cat([found, found]), None, None, None


class DeepLift(Attribution):
    """What each pixel's difference from a black image adds to the class score's difference."""

    name: ClassVar[str] = "deep_lift"
    title: ClassVar[str] = "DeepLIFT"
    source: ClassVar[str] = "Shrikumar et al. 2017"
    by_layers: ClassVar[bool] = True

    def maps(self, scores: Scores, images: torch.Tensor, classes: torch.Tensor) -> torch.Tensor:
        both = torch.cat([images, torch.zeros_like(images)])
        with torch.no_grad():
            expected = scores(both)
        with torch.enable_grad():
            both.requires_grad_(True)
            with _Differences():
                z = scores(both)
            if not same(z, expected):
                raise NoRuleError("a layer changes its input in place")
            own = z[: len(images)].gather(1, classes[:, None])
            (multipliers,) = torch.autograd.grad(own.sum(), both)
        found = images * multipliers[: len(images)]
        rise = expected[: len(images)] - expected[len(images) :]
        # Whatever the layers are, the parts make up the whole, or a rule was wrong for one of them.
        if not same(found.flatten(1).sum(1), rise.gather(1, classes[:, None])[:, 0]):
            raise NoRuleError("the parts do not make up the difference of the scores")
        return strongest(found)
