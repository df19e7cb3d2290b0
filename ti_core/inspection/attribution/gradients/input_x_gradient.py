"""Input times gradient. A. Shrikumar et al., 2016."""

from __future__ import annotations

from typing import ClassVar

import torch

from ti_core.classifier.scores import Scores
from ti_core.inspection.attribution.base import Attribution, strongest


class InputXGradient(Attribution):
    """Each pixel times its gradient."""

    name: ClassVar[str] = "input_x_gradient"
    title: ClassVar[str] = "Input times gradient"
    source: ClassVar[str] = "Shrikumar et al. 2016"

    def maps(self, scores: Scores, images: torch.Tensor, classes: torch.Tensor) -> torch.Tensor:
        from captum.attr import InputXGradient as Captum

        return strongest(Captum(scores).attribute(images.requires_grad_(True), target=classes))
