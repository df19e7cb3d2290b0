"""Kernel SHAP on squares. S. Lundberg, S.-I. Lee, 2017."""

from __future__ import annotations

from typing import ClassVar

import torch

from ti_core.classifier.scores import Scores
from ti_core.inspection.attribution.base import GREY, Attribution, strongest
from ti_core.inspection.attribution.squares.squares import samples_for, squares


class KernelShap(Attribution):
    """Estimated Shapley values of the squares: what each adds to the class score, a grey one adding nothing."""

    name: ClassVar[str] = "kernel_shap"
    title: ClassVar[str] = "Kernel SHAP"
    source: ClassVar[str] = "Lundberg and Lee 2017"

    def maps(self, scores: Scores, images: torch.Tensor, classes: torch.Tensor) -> torch.Tensor:
        from captum.attr import KernelShap as Captum

        numbers = squares(int(images.shape[2]), int(images.shape[3])).to(images.device)
        count = samples_for(numbers)
        method = Captum(scores)
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
