"""Grad-CAM. R. Selvaraju et al., 2017."""

from __future__ import annotations

from typing import ClassVar

import torch

from ti_core.classifier.scores import Scores
from ti_core.inspection.attribution.base import Attribution
from ti_core.inspection.attribution.cams.feature_map import enlarged, feature_map


class GradCam(Attribution):
    """The last feature map, its channels weighted by the mean gradient of the class score."""

    name: ClassVar[str] = "grad_cam"
    title: ClassVar[str] = "Grad-CAM"
    source: ClassVar[str] = "Selvaraju et al. 2017"
    by_layers: ClassVar[bool] = True

    def maps(self, scores: Scores, images: torch.Tensor, classes: torch.Tensor) -> torch.Tensor:
        last = feature_map(scores, images, classes)
        weights = last.gradient.mean((2, 3), keepdim=True)
        return enlarged((weights * last.values).sum(1), images)
