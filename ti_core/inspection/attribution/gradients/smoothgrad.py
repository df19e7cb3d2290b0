"""SmoothGrad: the mean gradient over noisy copies. D. Smilkov et al., 2017."""

from __future__ import annotations

from typing import ClassVar

import torch

from ti_core.classifier.scores import Scores
from ti_core.inspection.attribution.base import NOISE, SAMPLES, Attribution, strongest


class SmoothGrad(Attribution):
    """The mean of the gradients at noisy copies of the image."""

    name: ClassVar[str] = "smoothgrad"
    title: ClassVar[str] = "SmoothGrad"
    source: ClassVar[str] = "Smilkov et al. 2017"

    def maps(self, scores: Scores, images: torch.Tensor, classes: torch.Tensor) -> torch.Tensor:
        from captum.attr import NoiseTunnel, Saliency

        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(0)
            values = NoiseTunnel(Saliency(scores)).attribute(
                images.requires_grad_(True),
                nt_type="smoothgrad",
                nt_samples=SAMPLES,
                nt_samples_batch_size=1,
                stdevs=NOISE,
                target=classes,
            )
        return strongest(values)
