"""Grad-CAM++. A. Chattopadhay et al., 2018."""

from __future__ import annotations

from typing import ClassVar

import torch

from ti_core.classifier.scores import Scores
from ti_core.inspection.attribution.base import Attribution
from ti_core.inspection.attribution.cams.feature_map import enlarged, feature_map


def weighted(
    values: torch.Tensor, first: torch.Tensor, second: torch.Tensor, third: torch.Tensor
) -> torch.Tensor:
    """Maps ``N x h x w`` from a feature map ``N x D x h x w`` and the first three powers of its gradient.

    Eq. (19) of the publication gives the weight of each place. The factor ``exp(S)`` of its eq. (18) is left out: it
    is one number an image, and of confident networks it would be the only thing to see on a common scale.
    """
    below = 2 * second + values.sum((2, 3), keepdim=True) * third
    alpha = second / torch.where(below != 0, below, torch.ones_like(below))
    weights = (alpha * first.clamp_min(0)).sum((2, 3), keepdim=True)
    return (weights * values).sum(1)


class GradCamPlus(Attribution):
    """Grad-CAM whose places count by higher derivatives, so that several objects of a class all show."""

    name: ClassVar[str] = "grad_cam_plus"
    title: ClassVar[str] = "Grad-CAM++"
    source: ClassVar[str] = "Chattopadhay et al. 2018"
    by_layers: ClassVar[bool] = True

    def maps(self, scores: Scores, images: torch.Tensor, classes: torch.Tensor) -> torch.Tensor:
        last = feature_map(scores, images, classes)
        g = last.gradient
        return enlarged(weighted(last.values, g, g**2, g**3), images)
