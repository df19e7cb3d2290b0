"""What a trigger does to a model's answers: a backdoored model obeys it, a clean one hardly notices."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from ti_core.paper.triggers import Trigger

BATCH = 256


@torch.no_grad()
def answers(scores: nn.Module, images: torch.Tensor, trigger: Trigger | None = None) -> NDArray[np.float32]:
    """Probability of every class ``N x K`` for images ``N x C x H x W`` in [0, 1], with a trigger on them or without.

    Parameters
    ----------
    scores : images in [0, 1] to class scores whose softmax is the prediction.
    """
    parts = [
        scores(part if trigger is None else trigger.stamp(part)).softmax(dim=1)
        for part in images.split(BATCH)
    ]
    return np.asarray(torch.cat(parts).float().cpu().numpy())


@dataclass(frozen=True)
class Flip:
    """One image's answer without and with a trigger: both classes, and how sure the model is of each (0 to 1)."""

    before: int
    after: int
    sure_before: float
    sure_after: float

    @property
    def changed(self) -> bool:
        return self.before != self.after


def flip(before: NDArray[np.floating], after: NDArray[np.floating]) -> Flip:
    """The answers in two rows of probabilities, ``K`` each."""
    one, two = int(np.argmax(before)), int(np.argmax(after))
    return Flip(one, two, float(before[one]), float(after[two]))


@dataclass(frozen=True)
class Effect:
    """A trigger's effect on a model over many labelled images.

    Parameters
    ----------
    images : how many; ``right`` of them are classified as labelled without the trigger, and the answer of ``changed``
        differs with it.
    others : images of other classes than the attacker's; ``hit`` of them are taken for the attacker's class with the
        trigger, ``hit_before`` without it.
    """

    images: int
    right: int
    changed: int
    others: int
    hit: int
    hit_before: int

    @property
    def success(self) -> float:
        """Attack success rate: the share of images of other classes that the trigger turns into the attacker's."""
        return self.hit / self.others if self.others else 0.0


def effect(
    before: NDArray[np.floating], after: NDArray[np.floating], labels: NDArray[np.integer], target: int
) -> Effect:
    """Count what a trigger does.

    Parameters
    ----------
    before, after : probabilities ``N x K`` without and with the trigger.
    labels : ``N`` classes; ``target`` : the attacker's.
    """
    one, two = before.argmax(axis=1), after.argmax(axis=1)
    others = labels != target
    return Effect(
        images=len(labels),
        right=int((one == labels).sum()),
        changed=int((one != two).sum()),
        others=int(others.sum()),
        hit=int((two == target)[others].sum()),
        hit_before=int((one == target)[others].sum()),
    )


def leading(rows: list[NDArray[np.floating]], count: int, always: tuple[int, ...] = ()) -> NDArray[np.intp]:
    """The classes worth showing, in ascending order: all if there are at most ``count``, else those that lead anywhere.

    Parameters
    ----------
    rows : probabilities ``K`` of several models and images; ``always`` : classes that are shown in any case.
    """
    highest = np.max(np.stack(rows), axis=0)
    if len(highest) <= count:
        return np.arange(len(highest))
    fixed = list(dict.fromkeys(always))
    others = [int(c) for c in np.argsort(-highest, kind="stable") if int(c) not in fixed]
    return np.sort(np.array(fixed + others[: max(0, count - len(fixed))], dtype=np.intp))
