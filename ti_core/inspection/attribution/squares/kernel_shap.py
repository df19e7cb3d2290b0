"""Kernel SHAP on squares. S. Lundberg, S.-I. Lee, 2017."""

from __future__ import annotations

from typing import ClassVar

import torch

from ti_core.classifier.scores import Scores
from ti_core.inspection.attribution.base import Attribution
from ti_core.inspection.attribution.squares.squares import by_squares


class KernelShap(Attribution):
    """Estimated Shapley values of the squares: what each adds to the class score, a grey one adding nothing."""

    name: ClassVar[str] = "kernel_shap"
    title: ClassVar[str] = "Kernel SHAP"
    source: ClassVar[str] = "Lundberg and Lee 2017"

    def maps(self, scores: Scores, images: torch.Tensor, classes: torch.Tensor) -> torch.Tensor:
        from captum.attr import KernelShap as Captum

        return by_squares(Captum(scores).attribute, images, classes)
