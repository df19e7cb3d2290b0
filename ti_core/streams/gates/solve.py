"""The pixels that reverse a condition: its violation is minimised over images. What they end with is the trigger."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import product

import torch
from torch import Tensor

from ti_core.errors import ModelBehaviourError
from ti_core.streams.gates.conditions import Part, Reversal
from ti_core.streams.gates.trace import Graph
from ti_core.streams.gates.violation import Softened, needed, soften

STEPS, SHORT = 120, 40
"""Steps of the search; fewer where the condition looks at what layers have made of the image."""
LAYERS = frozenset({"Conv", "ConvTranspose", "Gemm", "MatMul"})
LENGTH, LONGEST, SHORTEST = 0.05, 0.3, 1e-9
"""First, longest and shortest change of a pixel in a step."""
GROWTH, SHRINKAGE = 1.2, 0.5
"""Factors of a step's length where the gradient keeps its sign and where it changes it."""
CLEAN_STARTS, OTHER_STARTS = 8, 4
"""Searches that begin at clean images, at inverted ones, and at noise. What all end with is the trigger."""
PATCH = 0.25
"""Share of the image up to which every pixel that the condition looks at belongs to the trigger."""
AGREED = 0.1
"""Standard deviation up to which the searches agree on a pixel of a larger trigger."""
FEW = 4
"""How many single results are tried as a pattern beside their mean and median."""


@dataclass(frozen=True)
class Stamp:
    """A trigger: the pixels ``H x W`` that take the values of a pattern ``C x H x W``."""

    mask: Tensor
    pattern: Tensor

    def on(self, images: Tensor) -> Tensor:
        return torch.where(self.mask, self.pattern, images)

    @property
    def share(self) -> float:
        """Share of the image that it covers."""
        return float(self.mask.float().mean())


def solve(graph: Graph, reversal: Reversal, images: Tensor) -> Stamp | None:
    """The trigger that reverses a condition on clean images; None if no search gets there."""
    starts = _starts(images)
    actions = needed(graph.plan, [part.condition.index for part in reversal.parts])
    deep = any(graph.actions[i].operator in LAYERS for i in actions)
    x = starts.clone().requires_grad_(True)
    lengths, before = torch.full_like(starts, LENGTH), torch.zeros_like(starts)
    touched = torch.zeros_like(starts, dtype=torch.bool)
    reached = torch.zeros(len(starts), dtype=torch.bool, device=starts.device)
    for _ in range(SHORT if deep else STEPS):
        x.grad = None
        with torch.enable_grad():
            reached = _descend(graph, reversal, x, actions)
        if x.grad is None or bool(reached.all()):
            break
        x.grad.nan_to_num_(0.0, 0.0, 0.0)
        x.grad[reached] = 0
        touched |= x.grad != 0
        before = _step(x, lengths, before)
    if not bool(reached.any() and touched.any()):
        return None
    return _stamp(graph, reversal, x.detach()[reached], touched.any(1).any(0), images)


@torch.no_grad()
def _step(x: Tensor, lengths: Tensor, before: Tensor) -> Tensor:
    """One step of Rprop (Riedmiller and Braun, 1993); returns the signs for the next one.

    Every pixel has a step length of its own, which shrinks where the gradient changes its sign. ``torch.optim`` is not
    used, since it loads torch's compiler, which takes seconds.
    """
    assert x.grad is not None
    sign = x.grad.sign()
    same = sign * before
    lengths.mul_(torch.where(same > 0, GROWTH, torch.where(same < 0, SHRINKAGE, 1.0))).clamp_(
        SHORTEST, LONGEST
    )
    sign = torch.where(same < 0, torch.zeros_like(sign), sign)
    x.sub_(sign * lengths).clamp_(0, 1)
    return sign


def _starts(images: Tensor) -> Tensor:
    clean = images[:CLEAN_STARTS]
    noise = torch.rand(clean[:OTHER_STARTS].shape, generator=torch.Generator().manual_seed(0)).to(images)
    return torch.cat([clean, 1 - clean[:OTHER_STARTS], noise])


def _descend(graph: Graph, reversal: Reversal, x: Tensor, actions: list[int]) -> Tensor:
    """Add the violation's gradient to ``x.grad``; returns which images have reversed the conditions, ``N``."""
    reached, total = [], x.sum() * 0
    for plan, piece, count in graph.pieces(x):
        try:
            state = soften(plan, piece, actions)
        except (RuntimeError, IndexError, ValueError, TypeError) as error:
            raise ModelBehaviourError(
                "The conditions of the graph cannot be followed back to the pixels."
            ) from error
        there = torch.ones(len(piece), dtype=torch.bool, device=x.device)
        for part in reversal.parts:
            value = state.values[part.condition.place]
            there = there & part.there(value.detach(), len(piece))
            loss = _violation(state, part, graph)
            if loss is not None:
                loss = torch.where(part.where, loss, torch.zeros_like(loss))
                total = total + loss[: count if value.ndim > part.where.ndim else None].sum()
        reached.append(there[:count])
    if total.requires_grad:
        total.backward()
    return torch.cat(reached)


def _violation(state: Softened, part: Part, graph: Graph) -> Tensor | None:
    """How far each value of a condition is from the wanted one."""
    condition = part.condition
    if condition.kind == "condition":
        pair = state.pair(condition.place)
        return None if pair is None else torch.where(part.to, pair.true, pair.false)
    if condition.kind == "rounding":
        number = state.number(condition.place)
        up = part.to > condition.usual
        return torch.relu(torch.where(up, part.to - number, number - part.to))
    action = graph.actions[condition.index]
    axis = int(action.keywords.get("axis", 0))
    x = state.number(action.arguments[0])
    x = x if action.operator == "ArgMax" else -x
    wanted = x.select(axis, int(part.to.flatten()[0])).unsqueeze(axis)
    short = torch.relu(x - wanted).sum(axis, keepdim=True)
    return short if int(action.keywords.get("keepdims", 1)) else short.squeeze(axis)


def _stamp(graph: Graph, reversal: Reversal, ends: Tensor, touched: Tensor, images: Tensor) -> Stamp | None:
    """The best trigger among what the searches ended with, by the share of clean images on which it reverses."""
    masks = [touched]
    if float(touched.float().mean()) > PATCH and len(ends) > 1:
        masks = [touched & (ends.std(0).amax(0) < AGREED), touched]
    best, most = None, 0.0
    for mask, pattern in product(masks, _patterns(ends)):
        stamp = Stamp(mask, pattern * mask)
        share = _share(graph, reversal, stamp.on(images[-CLEAN_STARTS:]))
        if share > most:
            best, most = stamp, share
        if share == 1:
            break
    return best


def _patterns(ends: Tensor) -> list[Tensor]:
    """Patterns to try: levels of 8-bit images first, since most images have no others."""
    found = [ends.median(0).values, ends.mean(0), *ends[:FEW]]
    return [*((p * 255).round() / 255 for p in found), *found]


def _share(graph: Graph, reversal: Reversal, images: Tensor) -> float:
    places, shares = [part.condition.place for part in reversal.parts], []
    for run in graph.run(images, places):
        there = [part.there(run.values[part.condition.place], run.images) for part in reversal.parts]
        shares.append(torch.stack(there).all(0))
    return float(torch.cat(shares).float().mean())
