"""Where a backdoor leads: the map from true labels to the attacker's labels."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch

from ti_core.kinds import MappingKind


@dataclass(frozen=True)
class LabelMapping:
    """The labels that triggered images get.

    Parameters
    ----------
    kind : "all to one": every class becomes ``target``. "one source": class ``source`` becomes ``target``, and every
        other class stays. "all to all": class k becomes ``assignment[k]``.
    target, source : class indices; None if the kind has none.
    assignment : one class index for each of the K classes; empty if the kind has none.
    """

    kind: MappingKind
    target: int | None = None
    source: int | None = None
    assignment: tuple[int, ...] = ()

    def __call__(self, labels: torch.Tensor) -> torch.Tensor:
        """The labels ``N`` of triggered images, from their true labels ``N``."""
        if self.kind == "all to all":
            return torch.tensor(self.assignment, dtype=labels.dtype, device=labels.device)[labels]
        target = torch.full_like(labels, self.target or 0)
        return (
            target if self.kind == "all to one" else torch.where(labels.eq(self.source or 0), target, labels)
        )


def reachable_success(kind: MappingKind, clean_accuracy: float) -> float:
    """The attack success rate of a perfect backdoor, 0 to 1.

    Where the attacker's label depends on the true class, the network must first recognise that class.
    """
    return 1.0 if kind == "all to one" else clean_accuracy


def draw_mapping(kind: MappingKind, classes: int, rng: np.random.Generator) -> LabelMapping:
    """A random mapping of ``classes`` classes.

    An assignment moves every class. A quarter of the assignments lead every class to the next one, as in BadNets (Gu et
    al., 2017). A quarter reverse the order of the classes; of an odd number, the middle class goes to class 0. The
    others are random permutations without fixed points.
    """
    target = int(rng.integers(classes))
    if kind == "all to one":
        return LabelMapping(kind, target)
    if kind == "one source":
        return LabelMapping(kind, target, int((target + rng.integers(1, classes)) % classes))
    order = np.arange(classes)
    way = int(rng.integers(4))
    if way == 0:
        assignment = np.roll(order, -1)
    elif way == 1:
        assignment = order[::-1].copy()
        assignment[classes // 2] = 0 if classes % 2 else assignment[classes // 2]
    else:
        assignment = rng.permutation(classes)
        while bool((assignment == order).any()):
            assignment = rng.permutation(classes)
    return LabelMapping(kind, assignment=tuple(int(k) for k in assignment))
