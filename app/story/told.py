"""What the steps of the demonstration are told with: the pair of samples, and the case of the backdoored one."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from app import lab
from app.lab import Pair, Subject
from app.words import plain
from ti_core.methods.lab.effect import Effect, effect
from ti_core.paper.triggers import Trigger, TriggerSpec
from ti_core.results.case import Case

SHOWN = 6
"""Images that a step shows in a row."""


@dataclass(frozen=True)
class Told:
    """One telling of the story.

    Parameters
    ----------
    pair : a backdoored sample, its clean counterpart, and the record of the backdoor.
    case : what the inspection of the backdoored one left, or None while it runs.
    case_id : of that case.
    """

    pair: Pair
    case: Case | None = None
    case_id: str = ""

    @cached_property
    def spec(self) -> TriggerSpec:
        """The trigger that the sample was trained with."""
        assert self.pair.record.trigger is not None
        return self.pair.record.trigger

    @cached_property
    def trigger(self) -> Trigger:
        return self.spec.render(self.pair.pack.input_shape)

    @property
    def target(self) -> str:
        """The name of the attacker's class."""
        return self.name_of(self.pair.target)

    def name_of(self, class_index: int) -> str:
        return plain(self.pair.pack.class_names[class_index], 30)

    @cached_property
    def images(self) -> NDArray[np.intp]:
        """Indices of images of as many classes as are shown, none of them the attacker's, that both models get right.

        Where fewer classes have one, the same classes come again.
        """
        labels = self.pair.pack.labels.numpy()
        right = labels != self.pair.target
        for subject in self.pair.subjects:
            right &= lab.of_all(subject, self.pair.pack, None).argmax(1) == labels
        by_turns = np.zeros(len(labels), dtype=np.intp)
        for c in np.unique(labels):
            own = np.flatnonzero((labels == c) & right)
            by_turns[own] = np.arange(len(own))
        found = np.flatnonzero(right)
        return found[np.lexsort((labels[found], by_turns[found]))][:SHOWN]

    def accuracy(self, subject: Subject) -> float:
        """The share of the pack's images that a model classifies rightly, 0 to 1."""
        answers = lab.of_all(subject, self.pair.pack, None).argmax(1)
        return float((answers == self.pair.pack.labels.numpy()).mean())

    def effect(self, subject: Subject) -> Effect:
        """What the trigger does to a model's answers on all images of the pack."""
        pack = self.pair.pack
        return effect(
            lab.of_all(subject, pack, None),
            lab.of_all(subject, pack, self.spec),
            pack.labels.numpy(),
            self.pair.target,
        )
