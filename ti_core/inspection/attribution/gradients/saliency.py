"""Saliency: the gradient of a class score. K. Simonyan, A. Vedaldi, A. Zisserman, 2014."""

from __future__ import annotations

from typing import ClassVar

import torch

from ti_core.classifier.scores import Scores
from ti_core.inspection.attribution.base import Attribution
from ti_core.paper.saliency import saliency_maps


class Saliency(Attribution):
    """The gradient of the predicted class's score, as the paper's stream uses it."""

    name: ClassVar[str] = "saliency"
    title: ClassVar[str] = "Saliency"
    source: ClassVar[str] = "Simonyan et al. 2014"

    def maps(self, scores: Scores, images: torch.Tensor, classes: torch.Tensor) -> torch.Tensor:
        return saliency_maps(scores, images)
