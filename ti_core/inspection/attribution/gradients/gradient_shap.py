"""GradientSHAP: expected gradients. S. Lundberg, S.-I. Lee, 2017."""

from __future__ import annotations

from typing import ClassVar

import torch

from ti_core.classifier.scores import Scores
from ti_core.inspection.attribution.base import GREY, Attribution, strongest

SAMPLES = 24


class GradientShap(Attribution):
    """Gradients at random places on the way from a grey image, times the difference from it.

    The mean over the places estimates SHAP values, with the grey image as the background.
    """

    name: ClassVar[str] = "gradient_shap"
    title: ClassVar[str] = "GradientSHAP"
    source: ClassVar[str] = "Lundberg and Lee 2017"

    def maps(self, scores: Scores, images: torch.Tensor, classes: torch.Tensor) -> torch.Tensor:
        import numpy as np
        from captum.attr import GradientShap as Captum

        total = torch.zeros_like(images)
        kept = np.random.get_state()
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(0)
            try:
                # Captum draws the places with NumPy. One place at a time keeps the batch small.
                np.random.seed(0)
                for _ in range(SAMPLES):
                    total += Captum(scores).attribute(
                        images, baselines=torch.full_like(images[:1], GREY), n_samples=1, target=classes
                    )
            finally:
                np.random.set_state(kept)
        return strongest(total / SAMPLES)
