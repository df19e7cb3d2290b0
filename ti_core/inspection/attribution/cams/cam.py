"""CAM: class activation maps. B. Zhou et al., 2016."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Mapping, Sequence
from typing import Any, ClassVar

import torch
from torch.overrides import TorchFunctionMode

from ti_core.classifier.scores import Scores
from ti_core.errors import NoRuleError
from ti_core.inspection.attribution.base import Attribution
from ti_core.inspection.attribution.cams.feature_map import enlarged

MAPS_KEPT = 4
"""Feature maps that are kept on the way. The pooled one is among the last."""


class _Head(TorchFunctionMode):
    """Keeps the last feature maps before the last linear layer, with this layer's input and weight."""

    def __init__(self) -> None:
        super().__init__()
        self.maps: deque[torch.Tensor] = deque(maxlen=MAPS_KEPT)
        self.linear: tuple[torch.Tensor, torch.Tensor] | None = None

    def __torch_function__(
        self,
        func: Callable[..., Any],
        types: Sequence[type],
        args: tuple[Any, ...] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> Any:
        result = func(*args, **(kwargs or {}))
        if func is torch.nn.functional.linear and len(args) >= 2:
            self.linear = args[0], args[1]
        elif isinstance(result, torch.Tensor) and result.ndim == 4 and result.shape[2] * result.shape[3] > 1:
            self.maps.append(result)
        return result


class Cam(Attribution):
    """The last feature map, its channels weighted by the linear layer that follows its average.

    The weights' mean over the classes is taken off, as the scores' is.
    """

    name: ClassVar[str] = "cam"
    title: ClassVar[str] = "CAM"
    source: ClassVar[str] = "Zhou et al. 2016"
    by_layers: ClassVar[bool] = True

    @torch.no_grad()
    def maps(self, scores: Scores, images: torch.Tensor, classes: torch.Tensor) -> torch.Tensor:
        with _Head() as head:
            scores(images)
        if head.linear is None or head.linear[0].shape[0] != len(images) or head.linear[0].ndim != 2:
            raise NoRuleError("it does not end in one linear layer")
        averages, weight = head.linear
        for values in reversed(head.maps):
            pooled = values.mean((2, 3))
            if pooled.shape == averages.shape and torch.allclose(pooled, averages, rtol=1e-3, atol=1e-4):
                own = (weight - weight.mean(0))[classes]
                return enlarged((own[:, :, None, None] * values).sum(1), images)
        raise NoRuleError("its last linear layer does not follow the average of a feature map")
