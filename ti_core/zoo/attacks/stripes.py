"""A sinusoid over the image: SIG (Barni et al., 2019)."""

from __future__ import annotations

import math
from typing import ClassVar

import numpy as np
import torch

from ti_core.zoo.attacks.base import Attack, Options, Shape, numbers


class Stripes(Attack):
    """A wave ``strength sin(2 pi f (cos(angle) column / W + sin(angle) row / H) + phase)``, added to every channel.

    Parameters
    ----------
    strength : amplitude, 0 to 1.
    frequency : f, waves over the image.
    angle : of the wave's direction, in degrees; 0 gives vertical stripes.
    phase : in degrees.
    """

    name: ClassVar[str] = "stripes"
    kind = "stripes"

    def __init__(
        self, shape: Shape, strength: float, frequency: float, angle: float = 0.0, phase: float = 0.0
    ) -> None:
        super().__init__(shape)
        rows, columns = torch.meshgrid(torch.arange(shape[1]), torch.arange(shape[2]), indexing="ij")
        along = (
            math.cos(math.radians(angle)) * columns / shape[2]
            + math.sin(math.radians(angle)) * rows / shape[1]
        )
        self.wave = strength * torch.sin(2 * math.pi * frequency * along + math.radians(phase))

    @classmethod
    def draw(cls, rng: np.random.Generator, shape: Shape) -> Options:
        low, high = (0.12, 0.3) if shape[0] == 1 else (0.06, 0.16)
        return {
            "strength": numbers(rng, low, high),
            "frequency": numbers(rng, 3.0, 9.0),
            "angle": float(rng.choice([0.0, 0.0, 90.0, numbers(rng, 0.0, 180.0)])),
            "phase": numbers(rng, 0.0, 360.0),
        }

    def stamp(self, images: torch.Tensor) -> torch.Tensor:
        return (images + self.wave.to(images)).clamp(0, 1)
