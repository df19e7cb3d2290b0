"""One reference model, as the record of a pack describes it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from ti_core.detector.recovery import Recovery
from ti_core.kinds import MappingKind
from ti_core.reference.families import mapping_of


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
