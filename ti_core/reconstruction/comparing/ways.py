"""Images on their way through drafts, and how far their values depart from stored statistics."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any

import torch

from ti_core.reconstruction.draft import ENTER, Draft, Op, key_of
from ti_core.reconstruction.network import layer_module
from ti_core.reconstruction.options import settled, together
from ti_core.reconstruction.statistics import departure

Look = Callable[[str, int], torch.Tensor]
"""Images ``N x C x H x W`` under a normalisation and of a side."""
WEIGHT = 150.0
"""Cost of a departure of 1 from the statistics that one batch normalisation stores."""
FEW = 24
"""Images on which a draft is tried first, if there are more than twice as many."""
DOUBTED = 2.0
"""A departure on few images may be so many times that on all of them."""

_Way = tuple[torch.Tensor, torch.Tensor | None, tuple[float, ...]]


@dataclass
class Ways:
    """The ways of one step. Drafts that differ in nothing that the images meet share theirs."""

    look: Look
    _all: dict[Any, _Way] = field(default_factory=dict)
    _few: dict[Any, float] = field(default_factory=dict)

    def sent(self, draft: Draft) -> Draft:
        """The draft with its images sent through what was pending."""
        key = _key(draft)
        if key not in self._all:
            self._all[key] = self._way(draft, None)
        x, entered, departed = self._all[key]
        cost = draft.cost + WEIGHT * sum(departed)
        both = draft.departed + departed
        return replace(draft, x=x, entered=entered, pending=(), cost=cost, departed=both)

    def roughly(self, draft: Draft) -> float:
        """The departure of the first images alone; of all images where few say little, or where there are few."""
        x = self._begin(draft)
        if x.ndim != 4 or len(x) <= 2 * FEW:
            return sum(self.sent(draft).departed) - sum(draft.departed)
        key = _key(draft)
        if key not in self._few:
            self._few[key] = sum(self._way(draft, FEW)[2])
        return self._few[key]

    def _begin(self, draft: Draft) -> torch.Tensor:
        assert draft.norm is not None
        return self.look(draft.norm, draft.input_side) if draft.x is None else draft.x

    def _way(self, draft: Draft, count: int | None) -> _Way:
        """What was pending, applied: the images' values, those where the block begins, and the departures."""
        x = self._begin(draft)[:count]
        entered = draft.entered if draft.entered is None else draft.entered[:count]
        departed: list[float] = []
        for op in draft.pending:
            if op is ENTER:
                entered = x
            elif op.layer is None:
                beside = entered
                assert beside is not None
                for inner in op.shortcut or ():
                    beside = _through(inner, beside, draft, departed)
                x = together(x, beside, op.joins)
            else:
                x = _through(op, x, draft, departed)
        return x, entered, tuple(departed)


def _key(draft: Draft) -> Any:
    return (
        id(draft.x),
        id(draft.entered),
        draft.act,
        draft.pool,
        draft.norm,
        draft.input_side,
        *map(key_of, draft.pending),
    )


def _through(op: Op, x: torch.Tensor, draft: Draft, departed: list[float]) -> torch.Tensor:
    assert op.layer is not None
    if op.layer.word == "batchnorm" and op.found is not None:
        departed.append(departure(x, op.found))
    result: torch.Tensor = layer_module(settled(op.layer, draft.act, draft.pool), op.found, op.channels)(x)
    return result
