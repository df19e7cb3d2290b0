"""LIME on squares. M. Ribeiro, S. Singh, C. Guestrin, 2016."""

from __future__ import annotations

from typing import ClassVar

import torch

from ti_core.classifier.scores import Scores
from ti_core.inspection.attribution.base import GREY, Attribution, strongest
from ti_core.inspection.attribution.squares.squares import samples_for, squares


class Lime(Attribution):
    """A linear model of the class score, fitted to copies of the image with random squares grey."""

    name: ClassVar[str] = "lime"
    title: ClassVar[str] = "LIME"
    source: ClassVar[str] = "Ribeiro et al. 2016"

    def maps(self, scores: Scores, images: torch.Tensor, classes: torch.Tensor) -> torch.Tensor:
        from captum._utils.models.linear_model import SkLearnLinearRegression
        from captum.attr import Lime as Captum

        numbers = squares(int(images.shape[2]), int(images.shape[3])).to(images.device)
        count = samples_for(numbers)
        method = Captum(scores, interpretable_model=SkLearnLinearRegression())
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(0)
            values = [
                method.attribute(
                    image[None],
                    target=int(c),
                    baselines=GREY,
                    feature_mask=numbers[None, None],
                    n_samples=count,
                    perturbations_per_eval=count,
                )
                for image, c in zip(images, classes, strict=True)
            ]
        return strongest(torch.cat(values))
