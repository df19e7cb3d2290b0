"""The effect of a trigger on a model's predictions. It is large on a backdoored model and small on a clean one."""

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
    """Class probabilities ``N x K`` of images ``N x C x H x W`` in [0, 1], with or without a trigger on them.

    Parameters
    ----------
    scores : maps images in [0, 1] to class scores; their softmax is the prediction.
    """
    parts = [
        scores(part if trigger is None else trigger.stamp(part)).softmax(dim=1)
        for part in images.split(BATCH)
    ]
    return np.asarray(torch.cat(parts).float().cpu().numpy())


@dataclass(frozen=True)
class Flip:
    """The predictions for one image without and with a trigger: the class and its probability (0 to 1) of each."""

    before: int
    after: int
    sure_before: float
    sure_after: float

    @property
    def changed(self) -> bool:
        return self.before != self.after


def flip(before: NDArray[np.floating], after: NDArray[np.floating]) -> Flip:
    """The predictions in two rows of ``K`` probabilities."""
    one, two = int(np.argmax(before)), int(np.argmax(after))
    return Flip(one, two, float(before[one]), float(after[two]))


@dataclass(frozen=True)
class Effect:
    """A trigger's effect on a model over many labelled images.

    Parameters
    ----------
    images : number of images. Without the trigger, ``right`` of them are classified correctly. With the trigger, the
        prediction of ``changed`` images differs.
    others : number of images of other classes than the target class. ``hit`` of them are classified as the target class
        with the trigger, and ``hit_before`` without it.
    """

    images: int
    right: int
    changed: int
    others: int
    hit: int
    hit_before: int

    @property
    def success(self) -> float:
        """Attack success rate: the share of images of other classes that are classified as the target class."""
        return self.hit / self.others if self.others else 0.0


def effect(
    before: NDArray[np.floating], after: NDArray[np.floating], labels: NDArray[np.integer], target: int
) -> Effect:
    """Count the changes that a trigger makes to the predictions.

    Parameters
    ----------
    before, after : probabilities ``N x K`` without and with the trigger.
    labels : ``N`` classes.
    target : the target class.
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
    """The classes to show, in ascending order: at most ``count``, those of the largest probability in any row.

    Parameters
    ----------
    rows : probabilities ``K`` of several models and images.
    always : classes that are always shown.
    """
    highest = np.max(np.stack(rows), axis=0)
    if len(highest) <= count:
        return np.arange(len(highest))
    fixed = list(dict.fromkeys(always))
    others = [int(c) for c in np.argsort(-highest, kind="stable") if int(c) not in fixed]
    return np.sort(np.array(fixed + others[: max(0, count - len(fixed))], dtype=np.intp))
