"""LIME on squares. M. Ribeiro, S. Singh, C. Guestrin, 2016."""

from __future__ import annotations

from typing import ClassVar

import torch

from ti_core.classifier.scores import Scores
from ti_core.inspection.attribution.base import Attribution
from ti_core.inspection.attribution.squares.squares import by_squares


class Lime(Attribution):
    """A linear model of the class score, fitted to copies of the image with random squares grey."""

    name: ClassVar[str] = "lime"
    title: ClassVar[str] = "LIME"
    source: ClassVar[str] = "Ribeiro et al. 2016"

    def maps(self, scores: Scores, images: torch.Tensor, classes: torch.Tensor) -> torch.Tensor:
        from captum._utils.models.linear_model import SkLearnLinearRegression
        from captum.attr import Lime as Captum

        return by_squares(
            Captum(scores, interpretable_model=SkLearnLinearRegression()).attribute, images, classes
        )
