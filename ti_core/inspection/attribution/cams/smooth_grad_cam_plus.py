"""Smooth Grad-CAM++. D. Omeiza et al., 2019."""

from __future__ import annotations

from typing import ClassVar

import torch

from ti_core.classifier.scores import Scores
from ti_core.inspection.attribution.base import Attribution, noisy_copies
from ti_core.inspection.attribution.cams.feature_map import enlarged, feature_map
from ti_core.inspection.attribution.cams.grad_cam_plus import weighted


class SmoothGradCamPlus(Attribution):
    """Grad-CAM++ whose derivatives are means over noisy copies of the image."""

    name: ClassVar[str] = "smooth_grad_cam_plus"
    title: ClassVar[str] = "Smooth Grad-CAM++"
    source: ClassVar[str] = "Omeiza et al. 2019"
    by_layers: ClassVar[bool] = True

    def maps(self, scores: Scores, images: torch.Tensor, classes: torch.Tensor) -> torch.Tensor:
        values = feature_map(scores, images, classes).values
        first, second, third = (torch.zeros_like(values) for _ in range(3))
        copies = noisy_copies(images)
        for copy in copies:
            g = feature_map(scores, copy, classes).gradient
            first += g / len(copies)
            second += g**2 / len(copies)
            third += g**3 / len(copies)
        return enlarged(weighted(values, first, second, third), images)
