"""Integrated gradients. M. Sundararajan, A. Taly, Q. Yan, 2017."""

from __future__ import annotations

from typing import ClassVar

import torch

from ti_core.classifier.scores import Scores
from ti_core.inspection.attribution.base import Attribution, strongest

STEPS, BATCH = 24, 256


class IntegratedGradients(Attribution):
    """The gradients on the straight way from a black image, times the difference from it."""

    name: ClassVar[str] = "integrated_gradients"
    title: ClassVar[str] = "Integrated gradients"
    source: ClassVar[str] = "Sundararajan et al. 2017"

    def maps(self, scores: Scores, images: torch.Tensor, classes: torch.Tensor) -> torch.Tensor:
        from captum.attr import IntegratedGradients as Captum

        values = Captum(scores).attribute(images, target=classes, n_steps=STEPS, internal_batch_size=BATCH)
        return strongest(values.float())
