"""Drafts of a network: every choice along a chain, the usual ones first, compared where the file tells what is right.

A batch normalisation stores the mean and the variance of what arrived in training. Images that are sent through a
draft show the same figures only if everything before that layer is right: activation, pooling, stride, padding,
shortcuts. That needs no labels. Where a network has no such layer, the drafts are kept by their costs and the sizes
that they reach.
"""

from __future__ import annotations

import heapq
import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from functools import partial
from itertools import count

import torch

from ti_core.reconstruction.chain import Chain, Step
from ti_core.reconstruction.comparing.uniform import UNIFORM, consistent
from ti_core.reconstruction.comparing.ways import DOUBTED, WEIGHT, Look, Ways
from ti_core.reconstruction.draft import (
    MARGIN,
    Draft,
    Plan,
    entered_block,
    itself,
    left_block,
    linear_step,
    pruned,
    strided,
    weighted_by,
)
from ti_core.reconstruction.options import (
    acted,
    after,
    convolution,
    needs_more,
    norm_layers,
    stated_reach,
)
from ti_core.reconstruction.usual import (
    ACT,
    ACTIVATIONS,
    POOLS,
    STRIDED_POOL,
    WIDE_POOL,
    Choice,
    between,
    ending,
    inside,
    once,
    paddings,
    usual,
)
from ti_core.reconstruction.whole.choices import gap_before, gap_behind, stated_choices
from ti_core.reconstruction.whole.facts import NOTHING, Stated

AGAIN = 1.8
"""What a pooling of 3 x 3 costs less where there is one already."""
FITS, SURE_MARGIN = 0.02, 3.5
"""Where the statistics depart by less, drafts that cost more than this beyond the best are not tried."""
KEPT, KEPT_ALIKE = 12, 2
"""Drafts that are kept behind a layer with statistics, in all and with the same sides of the image on the way."""


@dataclass
class Drafting:
    """The drafts of one chain.

    Parameters
    ----------
    sides : sides that the network's images may have, with their costs.
    look : gives the images; None where there are none, so that no draft is compared by its statistics.
    norms : normalisations to try, with their costs.
    stated : what a whole module says beside its layers.
    most : cost above which a complete draft is of no use, because another order of the layers led to better ones.
    """

    chain: Chain
    sides: dict[int, float]
    look: Look | None = None
    norms: dict[str, float] = field(default_factory=dict)
    stated: Stated = NOTHING
    most: float = math.inf

    def __post_init__(self) -> None:
        steps = self.chain.steps
        self._last_norm = max((i for i, s in enumerate(steps) if s.kind == "batchnorm"), default=-1)
        self._deep = self._last_norm >= 0 or any(s.kind == "enter" for s in steps)
        self._number = count()
        # A draft may end cheaper than it was on the way.
        self._most = self.most + UNIFORM * sum(s.kind == "conv" for s in steps)

    @torch.no_grad()
    def drafts(self) -> list[Draft]:
        """Complete drafts, the cheapest first."""
        drafts = self._begin()
        last: Step | None = None
        for index, step in enumerate(self.chain.steps):
            reached = self._after(drafts, last, step, index)
            live = self.look is not None and index <= self._last_norm
            drafts = (
                self._compared(reached)
                if live and step.kind == "batchnorm"
                else pruned(reached, live, self._last_norm >= 0)
            )
            last = step
        return sorted(self._ended(drafts, last), key=lambda draft: draft.cost)

    def _begin(self) -> list[Draft]:
        first = next(s for s in self.chain.steps if s.kind != "normalise")
        drafts = [Draft(cost, side, side, act=self.stated.act) for side, cost in self.sides.items()]
        if first.kind == "linear" and first.layer is not None:
            inner = first.layer.shape[1]
            return [d for d in drafts if inner in (d.side * d.side, 3 * d.side * d.side)]
        return drafts

    def _after(self, drafts: list[Draft], last: Step | None, step: Step, index: int) -> Iterator[Plan]:
        """Every draft with every choice for one step."""
        outside = usual(between(last, step))
        within = usual(inside(None if last is not None and last.kind == "enter" else last, step))
        gap = gap_before(self.chain.steps, index, self.stated)
        if self.stated is not NOTHING:
            outside, within = (usual(stated_choices(some, gap, self.stated)) for some in (outside, within))
        exact = gap is not None and gap.exact
        normed = last is not None and last.kind in ("batchnorm", "norm")
        of_acted = (once(outside), once(within)) if normed and not exact else (outside, within)
        for draft in drafts:
            free = of_acted if normed and acted(draft.items) else (outside, within)
            for choice in free[0] if draft.frame is None and draft.waiting is None else free[1]:
                if (
                    choice.layers
                    and choice.layers[-1] in (STRIDED_POOL, WIDE_POOL)
                    and choice.layers[-1] in draft.items
                ):
                    # A pooling of 3 x 3 seldom stands alone.
                    choice = Choice(choice.layers, choice.cost - AGAIN)
                side = draft.side
                for layer in choice.layers:
                    side = after(layer, side)
                if side >= (0 if step.flat else 1) and not (exact and needs_more(step, side)):
                    yield from self._step(draft, choice, side, step)

    def _step(self, draft: Draft, choice: Choice, side: int, step: Step) -> Iterator[Plan]:
        if step.kind == "conv":
            yield from self._convolved(draft, choice, side, step)
        elif step.kind in ("enter", "exit", "linear"):
            chosen = draft.plain(choice)
            ways = {"enter": entered_block, "exit": left_block, "linear": linear_step}
            for made in ways[step.kind](chosen, step):
                yield Plan(made.cost, made.input_side, made.side, partial(itself, made))
        else:
            for layer, cost in norm_layers(step):
                build = partial(weighted_by, draft, choice, layer, step, side, cost)
                yield Plan(draft.cost + choice.cost + cost, draft.input_side, side, build)

    def _convolved(self, draft: Draft, choice: Choice, side: int, step: Step) -> Iterator[Plan]:
        assert step.layer is not None
        height, width = step.layer.shape[2:]
        frame = draft.frame or draft.waiting
        options, reach = paddings(height, self._deep), height
        if (own := stated_reach(step.layer)) is not None:
            options, reach = [(own[0], own[1], 0.0)], own[2]
        elif frame is not None:
            stride = frame.stride if step.layer is strided(frame.block) else 1
            options = [(stride, (height - 1) // 2, 0.0)]
        for stride, padding, cost in options:
            reached = (side + 2 * padding - reach) // stride + 1
            across = 0 if own else padding + (width - height) // 2
            if side + 2 * padding >= reach and reached >= 1 and across >= 0:
                layer = convolution(step, stride, (padding, across))
                build = partial(weighted_by, draft, choice, layer, step, reached, cost)
                yield Plan(draft.cost + choice.cost + cost, draft.input_side, reached, build)

    def _compared(self, plans: Iterator[Plan]) -> list[Draft]:
        """The drafts whose images have the stored statistics, tried from the usual to the unusual."""
        assert self.look is not None
        ways = Ways(self.look)
        tried = self._tried(plans, ways)
        least_roughly = min((draft.cost + WEIGHT * apart for draft, apart in tried), default=math.inf)
        limit = min(least_roughly + MARGIN, self._most)
        best, least, found = math.inf, math.inf, []
        for draft, apart in tried:
            if draft.cost + WEIGHT * least / 2 > best + (MARGIN if least > FITS else SURE_MARGIN):
                break
            if draft.cost + WEIGHT * apart / DOUBTED > limit:
                continue
            sent = ways.sent(draft)
            best = min(best, sent.cost)
            least = min(least, sum(sent.departed) - sum(draft.departed))
            found.append(sent)
        found.sort(key=lambda draft: draft.cost)
        # Strides change the statistics only later, so drafts of every row of sides are kept.
        of_side: dict[tuple[int, ...], int] = {}
        kept = []
        for draft in found:
            key = draft.sides
            of_side[key] = of_side.get(key, 0) + 1
            near = draft.cost <= min(best + MARGIN, self._most)
            if of_side[key] <= KEPT_ALIKE and near:
                kept.append(draft)
        return kept[:KEPT]

    def _tried(self, plans: Iterator[Plan], ways: Ways) -> list[tuple[Draft, float]]:
        """Drafts with nothing open, from the usual to the unusual, each with its departure on few images."""
        waiting: list[tuple[float, int, Callable[[], Draft]]]
        waiting = [(plan.cost, next(self._number), plan.build) for plan in plans]
        heapq.heapify(waiting)
        best, least, found = math.inf, math.inf, []
        while waiting and waiting[0][0] <= self._most:
            if waiting[0][0] + WEIGHT * least / 2 > best + (
                MARGIN if least > DOUBTED * FITS else SURE_MARGIN
            ):
                break
            draft = heapq.heappop(waiting)[2]()
            if draft.open:
                for settled in self._settled(draft, ways):
                    again: Callable[[], Draft] = partial(itself, settled)
                    heapq.heappush(waiting, (settled.cost, next(self._number), again))
                continue
            apart = ways.roughly(draft)
            found.append((draft, apart))
            best, least = min(best, draft.cost + WEIGHT * apart), min(least, apart)
        return found

    def _settled(self, draft: Draft, ways: Ways) -> list[Draft]:
        """The draft with every answer to what is open."""
        if draft.open == "norm":
            return self._normalised(draft, ways)
        if draft.open == "act":
            return [replace(draft, act=layer, cost=draft.cost + cost) for layer, cost in ACTIVATIONS.items()]
        return [replace(draft, pool=word, cost=draft.cost + cost) for word, cost in POOLS.items()]

    def _normalised(self, draft: Draft, ways: Ways) -> list[Draft]:
        """The draft under the two normalisations whose first statistics fit best. The first draft decides for all."""
        if len(self.norms) > 2:
            tried = [replace(draft, norm=name, cost=draft.cost + cost) for name, cost in self.norms.items()]
            settle: list[Draft] = []
            for one in tried:
                settle += self._settled(one, ways)[:1] if one.open else [one]
            ranked = sorted((ways.sent(one) for one in settle), key=lambda one: one.cost)
            self.norms = {str(one.norm): self.norms[str(one.norm)] for one in ranked[:2]}
        return [replace(draft, norm=name, cost=draft.cost + cost) for name, cost in self.norms.items()]

    def _ended(self, drafts: list[Draft], last: Step | None) -> Iterator[Draft]:
        gap = gap_behind(self.chain.steps, self.stated)
        choices = [Choice((), 0.3), Choice((ACT,), 0.7)]
        if self.stated is not NOTHING:
            choices = stated_choices(choices, gap, self.stated)
        for draft in map(consistent, drafts):
            if last is not None and last.kind == "linear":
                yield draft.plain(choices[0]) if gap is not None and gap.sure and gap.layers else draft
                continue
            for choice in choices:
                side = draft.side
                for layer in choice.layers:
                    side = after(layer, side)
                for end in ending(side, 1):
                    yield draft.plain(choice).plain(end)
