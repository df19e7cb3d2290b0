"""What every attack has in common: how it changes images, and which training images it poisons."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from typing import Any, ClassVar, Literal

import numpy as np
import torch
from torch import nn

from ti_core.zoo.attacks.mapping import LabelMapping

TriggerKind = Literal["patch", "blend", "stripes", "warp", "input dependent"]
Options = dict[str, Any]
Shape = tuple[int, int, int]

LOUDER = 1.3
"""Factor of the poisoning rate and the trigger's strength, if the attack success of an attempt was too low."""
LARGEST_RATE = 0.3


@dataclass(frozen=True)
class AttackSpec:
    """An attack in a few numbers, as a recipe and a pack's record hold it.

    Parameters
    ----------
    name : of the attack in :data:`ti_core.zoo.attacks.catalogue.ATTACKS`.
    mapping : the labels that triggered images get.
    options : arguments of the attack's class, as plain data.
    rate : share of the training images that carry the trigger. With ``clean_label`` it is a share of the target class's
        images.
    covers : share of the training images that carry a decoy and keep their label.
    clean_label : whether only images of the target class are poisoned, so that no label is wrong.
    """

    name: str
    mapping: LabelMapping
    options: Options = field(default_factory=dict)
    rate: float = 0.1
    covers: float = 0.0
    clean_label: bool = False

    def louder(self) -> AttackSpec:
        """The attack of the next attempt: a higher rate, and a stronger trigger if it has a strength."""
        options = dict(self.options)
        if "strength" in options:
            options["strength"] = round(LOUDER * options["strength"], 4)
        limit = 1.0 if self.clean_label else LARGEST_RATE
        return replace(self, options=options, rate=round(min(max(limit, self.rate), LOUDER * self.rate), 5))


class Attack(ABC):
    """A trigger on images ``N x C x H x W`` in [0, 1].

    Parameters
    ----------
    shape : ``C, H, W`` of the images.
    """

    name: ClassVar[str]
    kind: ClassVar[TriggerKind]
    needs_network: ClassVar[bool] = False
    """Whether :meth:`prepare` must be called."""

    def __init__(self, shape: Shape) -> None:
        self.shape = shape

    @classmethod
    @abstractmethod
    def draw(cls, rng: np.random.Generator, shape: Shape) -> Options:
        """Random options for images of this shape: plain data, fit for JSON."""

    @abstractmethod
    def stamp(self, images: torch.Tensor) -> torch.Tensor:
        """Copies of the images with the trigger, as at test time."""

    def poisoned(self, images: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
        """Copies of training images with the trigger. ``labels`` are their true labels ``N``."""
        return self.stamp(images)

    def decoy(self, images: torch.Tensor) -> torch.Tensor:
        """Copies of the images with something like the trigger, which must not change the answer."""
        return self.stamp(images)

    def prepare(self, clean: nn.Module, images: torch.Tensor, labels: torch.Tensor, target: int) -> None:  # noqa: B027
        """Make the trigger with a trained network. It is called only if :attr:`needs_network` is true.

        Parameters
        ----------
        clean : the same network after clean training, in evaluation mode; it stays as it is.
        images, labels : the clean training set.
        """

    def parameters(self) -> Iterable[nn.Parameter]:
        """The attack's own parameters, which are trained together with the network."""
        return ()

    def penalty(self, images: torch.Tensor) -> torch.Tensor | None:
        """A loss term for the attack's own parameters, computed on a batch of clean images."""
        return None


def numbers(rng: np.random.Generator, low: float, high: float) -> float:
    """A number between ``low`` and ``high``, with four decimals."""
    return round(float(rng.uniform(low, high)), 4)


def generator(seed: int) -> torch.Generator:
    """A random generator for one attack. It is independent of the training's."""
    return torch.Generator().manual_seed(seed)
