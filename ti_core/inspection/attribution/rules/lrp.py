"""Layer-wise relevance propagation. S. Bach et al., 2015; R. Achtibat et al. (AttnLRP), 2024."""

from __future__ import annotations

from typing import Any, ClassVar

import torch
import torch.nn.functional as F

from ti_core.classifier.scores import Scores, scores_in
from ti_core.errors import NoRuleError
from ti_core.inspection.attribution.base import Attribution, strongest
from ti_core.inspection.attribution.rules.functions import WINNERS
from ti_core.inspection.attribution.rules.rules import Function, Rules, multiplied, same, statistics

TINY = 1e-6


class _Relevance(Rules):
    """The relevance of a value, divided by the value."""

    def elementwise(self, f: Function, x: torch.Tensor) -> torch.Tensor:
        """All relevance of the result goes to the argument."""
        with torch.no_grad():
            y = f(x.detach())
            stable = torch.where(x < 0, x.clamp_max(-TINY), x.clamp_min(TINY))
            share = torch.where(x == 0, torch.zeros_like(y), y / stable)
        return multiplied(x, y, share)

    def product(self, f: Function, x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
        """Each factor gets half of the relevance."""
        half: torch.Tensor = f(x, y.detach()) + f(x.detach(), y)
        return half / 2

    def softmax(self, x: torch.Tensor, dim: int) -> torch.Tensor:
        """The Taylor decomposition of softmax: its derivative."""
        return F.softmax(x, dim)

    def normalised(self, name: str, args: tuple[Any, ...], kwargs: dict[str, Any]) -> torch.Tensor:
        """The standard deviation counts as a constant."""
        x, dims, eps, weight, bias = statistics(name, args, kwargs)
        spread = x.detach().var(dims, correction=0, keepdim=True)
        y = (x - x.mean(dims, keepdim=True)) * torch.rsqrt(spread + eps)
        y = y if weight is None else y * weight
        y = y if bias is None else y + bias
        found: torch.Tensor = y.reshape(args[0].shape)
        return found

    def other(self, name: str, func: Function, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        # All relevance goes to the argument that was passed on.
        return func(*args, **kwargs) if name in WINNERS else None


class Lrp(Attribution):
    """The relevance of each pixel: what is left of the class score when it is shared out layer by layer.

    Layers with weights share it in proportion to what each input contributes, with an epsilon of 0. What a constant
    contributes is lost. A product of two values that depend on the image, as in attention, shares it in halves. For
    a network of ReLU this equals input times gradient, on the pixels as the network takes them.
    """

    name: ClassVar[str] = "lrp"
    title: ClassVar[str] = "Layer-wise relevance propagation"
    source: ClassVar[str] = "Bach et al. 2015"
    by_layers: ClassVar[bool] = True

    def maps(self, scores: Scores, images: torch.Tensor, classes: torch.Tensor) -> torch.Tensor:
        x = scores.prepared(images).detach()
        with torch.no_grad():
            expected = scores_in(scores.network(x), scores.place)
        with torch.enable_grad():
            x.requires_grad_(True)
            with _Relevance():
                returned = scores.network(x)
            z = scores_in(returned, scores.place)
            if not same(z, expected):
                raise NoRuleError("a layer changes its input in place")
            (multipliers,) = torch.autograd.grad(z.gather(1, classes[:, None]).sum(), x)
        found = strongest(x.detach() * multipliers)
        size = (int(images.shape[2]), int(images.shape[3]))
        return found if found.shape[1:] == size else F.interpolate(found[:, None], size, mode="area")[:, 0]
