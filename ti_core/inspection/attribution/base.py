"""The interface of a method of attribution. Each method is one file with one subclass."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import ClassVar

import torch

from ti_core.classifier.scores import Scores

GREY = 0.5
"""The pixel value that stands for "nothing there", where a method compares with such an image."""
NOISE, SAMPLES = 0.1, 16
"""Standard deviation of the pixels of noisy copies, and number of copies of an image."""


class Attribution(ABC):
    """One method: which pixels carry the score of a class.

    Attributes
    ----------
    name : its value of the setting ``attribution``.
    title : its name for people.
    source : authors and year of its publication.
    by_layers : whether it works on some networks only, depending on their layers.
    targeted : whether it explains a class that is given, not the predicted class of each image.
    """

    name: ClassVar[str]
    title: ClassVar[str]
    source: ClassVar[str]
    by_layers: ClassVar[bool] = False
    targeted: ClassVar[bool] = False

    @abstractmethod
    def maps(self, scores: Scores, images: torch.Tensor, classes: torch.Tensor) -> torch.Tensor:
        """Maps ``N x H x W``, at least 0, larger where a pixel counts more.

        Parameters
        ----------
        images : ``N x C x H x W`` in [0, 1]; a copy that the method may change.
        classes : the class of each image that is explained, ``N``.

        Raises
        ------
        NoRuleError : the method cannot be used on this network.
        """


def strongest(values: torch.Tensor) -> torch.Tensor:
    """Attributions ``N x C x H x W`` to maps ``N x H x W``: absolute, largest channel."""
    found: torch.Tensor = values.detach().abs().amax(dim=1)
    return found


def noisy_copies(images: torch.Tensor) -> list[torch.Tensor]:
    """Noisy copies of all images, the same at every call."""
    generator = torch.Generator().manual_seed(0)
    shape = tuple(images.shape)
    noise = (torch.randn(shape, generator=generator).to(images) for _ in range(SAMPLES))
    return [images + NOISE * n for n in noise]
