"""A fixed patch or blend: BadNets (Gu et al., 2017) and Blended (Chen et al., 2017); eq. (1) and (2) of the paper."""

from __future__ import annotations

from typing import ClassVar

import numpy as np
import torch

from ti_core.paper.triggers import PatternKind, TriggerSpec, draw_blend, draw_patch
from ti_core.zoo.attacks.base import Attack, Options, Shape

PATTERNS: tuple[PatternKind, ...] = ("bernoulli", "uniform", "white", "checker", "colour")
SIDES = {1: (3, 7), 3: (3, 8)}
"""Smallest and largest side of a patch in pixels, by the number of channels."""
ALPHA = (0.1, 0.22)
"""Range of the blend ratio."""


class Fixed(Attack):
    """The same patch or pattern at the same place of every image.

    Parameters
    ----------
    trigger : the fields of a :class:`ti_core.paper.triggers.TriggerSpec`.
    """

    name: ClassVar[str] = "patch"

    def __init__(self, shape: Shape, trigger: Options) -> None:
        super().__init__(shape)
        self.trigger = TriggerSpec(**trigger).render(shape)

    @classmethod
    def draw(cls, rng: np.random.Generator, shape: Shape) -> Options:
        return {"trigger": draw_patch(rng, shape, SIDES[shape[0]], PATTERNS).as_dict()}

    def stamp(self, images: torch.Tensor) -> torch.Tensor:
        return self.trigger.stamp(images)


class Patch(Fixed):
    """A patch of :data:`SIDES` pixels."""

    kind = "patch"


class OnePixel(Fixed):
    """One white pixel."""

    name, kind = "one pixel", "patch"

    @classmethod
    def draw(cls, rng: np.random.Generator, shape: Shape) -> Options:
        return {"trigger": draw_patch(rng, shape, (1, 1), ("white",)).as_dict()}


class Blend(Fixed):
    """A pattern over the whole image, blended in by :data:`ALPHA`."""

    name, kind = "blend", "blend"

    @classmethod
    def draw(cls, rng: np.random.Generator, shape: Shape) -> Options:
        return {"trigger": draw_blend(rng, ALPHA, ("uniform", "bernoulli")).as_dict()}
