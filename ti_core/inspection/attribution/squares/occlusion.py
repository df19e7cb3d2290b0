"""Occlusion: a grey square moves over the image. M. Zeiler, R. Fergus, 2014."""

from __future__ import annotations

from typing import ClassVar

import torch

from ti_core.classifier.scores import Scores
from ti_core.inspection.attribution.base import GREY, Attribution, strongest


class Occlusion(Attribution):
    """How much the class score falls while a grey square covers the place."""

    name: ClassVar[str] = "occlusion"
    title: ClassVar[str] = "Occlusion"
    source: ClassVar[str] = "Zeiler and Fergus 2014"

    def maps(self, scores: Scores, images: torch.Tensor, classes: torch.Tensor) -> torch.Tensor:
        from captum.attr import Occlusion as Captum

        channels, height, width = images.shape[1:]
        side = max(2, min(height, width) // 7)
        values = Captum(scores).attribute(
            images,
            sliding_window_shapes=(channels, side, side),
            strides=(channels, max(1, side // 2), max(1, side // 2)),
            baselines=GREY,
            target=classes,
        )
        return strongest(values)
