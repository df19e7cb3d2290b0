"""One reference model, as the record of a pack describes it."""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from ti_core.detector.recovery import Recovery
from ti_core.kinds import MappingKind
from ti_core.reference.families import mapping_of

NEEDED = 0.57
"""Required share of the way from chance to the median accuracy of the pack's networks: 60 % accuracy on MNIST."""
WEAK, NEEDED_OF_WEAK = 0.1, 2 / 3
"""Alternative requirement, if lower: this share of the way to the accuracy that 90 % of the networks reach."""


def needed_accuracy(reached: Sequence[float], classes: int) -> float:
    """Clean accuracy below which a suspect gets no verdict beside networks of these accuracies, and none is a member.

    It lies between chance and their accuracy. A pack with weakly trained networks asks for less.
    """
    chance = 1 / classes
    usual, weak = float(statistics.median(reached)), float(np.quantile(reached, WEAK, method="higher"))
    return chance + max(0.0, min(NEEDED * (usual - chance), NEEDED_OF_WEAK * (weak - chance)))


@dataclass(frozen=True)
class Member:
    """One reference model, as ``pack.json`` records it."""

    id: str
    label: str
    family: str
    group: str
    architecture: str
    options: Mapping[str, Any]
    normalisation: str
    seed: int
    clean_accuracy: float
    held_out: bool
    attack_success: float | None = None
    target_class: int | None = None
    source_class: int | None = None
    assignment: tuple[int, ...] = ()
    trigger: Mapping[str, Any] | None = None
    poisoning_rate: float | None = None
    recovery: Mapping[str, Any] | None = None
    weights: str = "zoo.safetensors"
    """Name of the pack's file that holds its weights."""
    recipe: Mapping[str, Any] = field(default_factory=dict)

    @property
    def trojaned(self) -> bool:
        return self.label != "clean"

    @property
    def recovered(self) -> Recovery | None:
        """What the recovery of a trigger did to it, for the class that the pack's own detector suspects."""
        r = self.recovery
        return None if r is None else Recovery(r["target_class"], r["flip_share"], r["change"])

    @property
    def mapping(self) -> MappingKind:
        """Where its backdoor leads, if it has one."""
        return mapping_of(self.family)
