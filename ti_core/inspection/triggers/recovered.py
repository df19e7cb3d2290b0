"""What a recovered trigger of any kind is."""

from __future__ import annotations

from abc import ABC, abstractmethod

import numpy as np
import torch
from numpy.typing import NDArray

from ti_core.kinds import Kind

Array = NDArray[np.float32]


class Recovered(ABC):
    """A trigger that was found in a network, tried on images that took no part in making it.

    Attributes
    ----------
    kind : the kind of trigger.
    target : the class it leads to; None if each class is led to another one.
    flip_share : share of the unseen images that become the target class, or the class assigned to theirs, 0 to 1.
    images_used : indices of those unseen images among the images given.
    source : the only class that it was made for and tried on; None if it was for images of all classes.
    clean_share : share of clean reference models that give way as far, to as small a change; None if not known.
    """

    kind: Kind
    target: int | None
    flip_share: float
    images_used: NDArray[np.int64]
    source: int | None = None
    clean_share: float | None = None

    @abstractmethod
    def stamp(self, images: torch.Tensor) -> torch.Tensor:
        """Images ``N x C x H x W`` in [0, 1] with the trigger, in [0, 1] too."""

    @abstractmethod
    def what(self) -> str:
        """What it is, in a few words, as "a patch of 3 pixels"."""

    @abstractmethod
    def figures(self) -> dict[str, float]:
        """Its figures, by their names in the report."""

    @abstractmethod
    def arrays(self) -> dict[str, Array]:
        """Its arrays, by their names in a case."""
