"""Drafts of a network: every choice along a chain, the usual ones first, compared where the file tells what is right.

A batch normalisation stores the mean and the variance of what arrived in training. Images that are sent through a draft
show the same figures only if everything before that layer is right: activation, pooling, stride, padding, shortcuts.
That needs no labels. Where a network has no such layer, the drafts are kept by their costs and the sizes that they reach.
"""

from __future__ import annotations

import heapq
import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from itertools import count
from typing import NamedTuple

import torch

from ti_core.reconstruction.chain import BlockInfo, Chain, Step
from ti_core.reconstruction.file_layers import FileLayer
from ti_core.reconstruction.network import layer_module
from ti_core.reconstruction.sketch import Block, Item, Items, Layer
from ti_core.reconstruction.statistics import departure
from ti_core.reconstruction.usual import (
    ACT,
    ACTIVATIONS,
    FLATTEN,
    POOL,
    POOLS,
    Choice,
    between,
    ending,
    entering,
    inside,
    paddings,
    usual,
)

Look = Callable[[str, int], torch.Tensor]
"""Images ``N x C x H x W`` under a normalisation and of a side."""
WEIGHT = 150.0
"""Cost of a departure of 1 from the statistics that one batch normalisation stores."""
MARGIN = 6.0
"""A draft whose cost is above the best one's by more is given up."""
FITS, SURE_MARGIN = 0.02, 3.5
"""Where the statistics depart by less, drafts that cost more than this beyond the best are not tried."""
KEPT = 8
"""Drafts that are kept behind a layer with statistics."""
KEPT_OF_SIDE, KEPT_BLIND = 40, 240
"""Drafts that are kept of each side of the image, and in all, where nothing tells them apart."""


@dataclass(frozen=True)
class Frame:
    """A block that a draft is inside of: its shortcut's kind and stride, and what was before it."""

    block: BlockInfo
    kind: str
    stride: int
    items: Items
    side: int


@dataclass(frozen=True)
class Op:
    """Something that the images have yet to go through: a layer, or the beginning or the end of a block."""

    layer: Layer | None = None
    found: FileLayer | None = None
    channels: int = 0
    shortcut: tuple[Op, ...] | None = None


ENTER = Op()


@dataclass(frozen=True)
class Draft:
    """A network up to one step of its chain.

    Parameters
    ----------
    cost : of all choices, with the departures from stored statistics.
    side : of the image that arrives at the next step; 0 for features.
    input_side : of the network's images.
    items : the layers so far, of the block that the draft is inside of.
    act, pool, norm : the activation, the pooling and the normalisation, once they had to be known.
    x, entered : the images' values behind the layers before :attr:`pending`, and where the block begins.
    pending : what the images have not gone through yet.
    frame : the block that the draft is inside of.
    waiting : a block whose shortcut begins behind its first norm.
    departed : the departures from stored statistics.
    """

    cost: float
    side: int
    input_side: int
    items: Items = ()
    act: Layer | None = None
    pool: str | None = None
    norm: str | None = None
    x: torch.Tensor | None = None
    entered: torch.Tensor | None = None
    pending: tuple[Op, ...] = ()
    frame: Frame | None = None
    waiting: Frame | None = None
    departed: tuple[float, ...] = ()

    def plain(self, choice: Choice) -> Draft:
        """The draft with layers that have no weights."""
        side = self.side
        for layer in choice.layers:
            side = after(layer, side)
        ops = tuple(map(Op, choice.layers))
        cost, items = self.cost + choice.cost, self.items + choice.layers
        return replace(self, cost=cost, items=items, side=side, pending=self.pending + ops)

    def weighted(self, layer: Layer, step: Step, side: int, cost: float = 0.0) -> Draft:
        """The draft with a layer that takes the step's tensors."""
        assert step.layer is not None
        named = replace(layer, source=step.layer.name)
        op = Op(named, step.layer, step.channels)
        return replace(
            self, cost=self.cost + cost, items=(*self.items, named), side=side, pending=(*self.pending, op)
        )

    @property
    def open(self) -> str:
        """What has to be known before the images can go on: "norm", "act", "pool" or ""."""
        if self.norm is None:
            return "norm"
        words = set(_words(self.pending))
        if ACT.word in words and self.act is None:
            return "act"
        return "pool" if POOL.word in words and self.pool is None else ""


def _words(ops: Sequence[Op]) -> Iterator[str]:
    for op in ops:
        if op.layer is not None:
            yield op.layer.word
        yield from _words(op.shortcut or ())


def after(layer: Layer, side: int) -> int:
    """The side of the image behind a layer without weights; below 0 where it has none."""
    if layer.word == POOL.word:
        return side // 2 or -1
    if layer.word in ("maxpool", "avgpool"):
        size = int(layer.sizes[0])
        stride, padding = int((layer.option("stride") or (size,))[0]), int((layer.option("padding") or (0,))[0])
        return (side + 2 * padding - size) // stride + 1 if side + 2 * padding >= size else -1
    if layer.word.startswith("adaptive"):
        return int(layer.sizes[0])
    if layer.word.startswith("global"):
        return 1
    return 0 if layer.word == "flatten" else side


class Plan(NamedTuple):
    """A draft that is made only if it is cheap enough."""

    cost: float
    input_side: int
    side: int
    build: Callable[[], Draft]


@dataclass
class Drafting:
    """The drafts of one chain.

    Parameters
    ----------
    sides : sides that the network's images may have, with their costs.
    look : gives the images; None where there are none, so that no draft is compared by its statistics.
    norms : normalisations to try, with their costs.
    """

    chain: Chain
    sides: dict[int, float]
    look: Look | None = None
    norms: dict[str, float] = field(default_factory=dict)

    def __post_init__(self) -> None:
        steps = self.chain.steps
        self._last_norm = max((i for i, s in enumerate(steps) if s.kind == "batchnorm"), default=-1)
        self._deep = self._last_norm >= 0 or any(s.kind == "enter" for s in steps)
        self._number = count()

    @torch.no_grad()
    def drafts(self) -> list[Draft]:
        """Complete drafts, the cheapest first."""
        drafts = self._begin()
        last: Step | None = None
        for index, step in enumerate(self.chain.steps):
            reached = self._after(drafts, last, step)
            live = self.look is not None and index <= self._last_norm
            drafts = self._compared(reached) if live and step.kind == "batchnorm" else pruned(reached, live)
            last = step
        return sorted(self._ended(drafts, last), key=lambda draft: draft.cost)

    def _begin(self) -> list[Draft]:
        first = next(s for s in self.chain.steps if s.kind != "normalise")
        drafts = [Draft(cost, side, side) for side, cost in self.sides.items()]
        if first.kind == "linear" and first.layer is not None:
            inner = first.layer.shape[1]
            return [d for d in drafts if inner in (d.side * d.side, 3 * d.side * d.side)]
        return drafts

    def _after(self, drafts: list[Draft], last: Step | None, step: Step) -> Iterator[Plan]:
        """Every draft with every choice for one step."""
        outside = usual(between(last, step))
        within = usual(inside(None if last is not None and last.kind == "enter" else last, step))
        for draft in drafts:
            for choice in outside if draft.frame is None and draft.waiting is None else within:
                side = draft.side
                for layer in choice.layers:
                    side = after(layer, side)
                if side >= (0 if step.flat else 1):
                    yield from self._step(draft, choice, side, step)

    def _step(self, draft: Draft, choice: Choice, side: int, step: Step) -> Iterator[Plan]:
        if step.kind == "conv":
            yield from self._convolved(draft, choice, side, step)
        elif step.kind in ("enter", "exit", "linear"):
            chosen = draft.plain(choice)
            ways = {"enter": _entered, "exit": _left, "linear": _linear}
            for made in ways[step.kind](chosen, step):
                yield Plan(made.cost, made.input_side, made.side, partial(_itself, made))
        else:
            for layer, cost in _norms(step):
                build = partial(_weighted, draft, choice, layer, step, side, cost)
                yield Plan(draft.cost + choice.cost + cost, draft.input_side, side, build)

    def _convolved(self, draft: Draft, choice: Choice, side: int, step: Step) -> Iterator[Plan]:
        assert step.layer is not None
        height, width = step.layer.shape[2:]
        frame = draft.frame or draft.waiting
        options = paddings(height, self._deep)
        if frame is not None:
            stride = frame.stride if step.layer is strided(frame.block) else 1
            options = [(stride, (height - 1) // 2, 0.0)]
        for stride, padding, cost in options:
            reached = (side + 2 * padding - height) // stride + 1
            across = padding + (width - height) // 2
            if side + 2 * padding >= height and reached >= 1 and across >= 0:
                layer = convolution(step, stride, (padding, across))
                build = partial(_weighted, draft, choice, layer, step, reached, cost)
                yield Plan(draft.cost + choice.cost + cost, draft.input_side, reached, build)

    def _compared(self, plans: Iterator[Plan]) -> list[Draft]:
        """The drafts whose images have the stored statistics, tried from the usual to the unusual."""
        waiting = [(plan.cost, next(self._number), plan.build) for plan in plans]
        heapq.heapify(waiting)
        best, least, found = math.inf, math.inf, []
        while waiting and waiting[0][0] + WEIGHT * least / 2 <= best + (MARGIN if least > FITS else SURE_MARGIN):
            draft = heapq.heappop(waiting)[2]()
            if draft.open:
                for settled in self._settled(draft):
                    heapq.heappush(waiting, (settled.cost, next(self._number), partial(_itself, settled)))
                continue
            sent = self._sent(draft)
            best = min(best, sent.cost)
            least = min(least, sum(sent.departed) - sum(draft.departed))
            found.append(sent)
        found.sort(key=lambda draft: draft.cost)
        return [draft for draft in found[:KEPT] if draft.cost <= best + MARGIN]

    def _settled(self, draft: Draft) -> list[Draft]:
        """The draft with every answer to what is open."""
        if draft.open == "norm":
            return self._normalised(draft)
        if draft.open == "act":
            return [replace(draft, act=layer, cost=draft.cost + cost) for layer, cost in ACTIVATIONS.items()]
        return [replace(draft, pool=word, cost=draft.cost + cost) for word, cost in POOLS.items()]

    def _normalised(self, draft: Draft) -> list[Draft]:
        """The draft under the two normalisations whose first statistics fit best. The first draft decides for all."""
        if len(self.norms) > 2:
            tried = [replace(draft, norm=name, cost=draft.cost + cost) for name, cost in self.norms.items()]
            settle: list[Draft] = []
            for one in tried:
                settle += self._settled(one)[:1] if one.open else [one]
            ranked = sorted((self._sent(one) for one in settle), key=lambda one: one.cost)
            self.norms = {str(one.norm): self.norms[str(one.norm)] for one in ranked[:2]}
        return [replace(draft, norm=name, cost=draft.cost + cost) for name, cost in self.norms.items()]

    def _sent(self, draft: Draft) -> Draft:
        """The draft with its images sent through what was pending."""
        assert self.look is not None and draft.norm is not None
        x = self.look(draft.norm, draft.input_side) if draft.x is None else draft.x
        entered, departed = draft.entered, []
        for op in draft.pending:
            if op is ENTER:
                entered = x
            elif op.layer is None:
                beside = entered
                assert beside is not None
                for inner in op.shortcut or ():
                    beside = _through(inner, beside, draft, departed)
                x = x + beside
            else:
                x = _through(op, x, draft, departed)
        cost = draft.cost + WEIGHT * sum(departed)
        both = draft.departed + tuple(departed)
        return replace(draft, x=x, entered=entered, pending=(), cost=cost, departed=both)

    def _ended(self, drafts: list[Draft], last: Step | None) -> Iterator[Draft]:
        for draft in map(_consistent, drafts):
            if last is not None and last.kind == "linear":
                yield draft
                continue
            for choice in (Choice((), 0.3), Choice((ACT,), 0.7)):
                for end in ending(draft.side, 1):
                    yield draft.plain(choice).plain(end)


def _consistent(draft: Draft) -> Draft:
    """A network that makes its images smaller by strides alone does so everywhere: each of them is usual."""
    layers = [item for item in draft.items if isinstance(item, Layer)]
    strides = sum(bool(layer.option("stride")) for layer in layers if layer.word == "conv")
    if strides < 2 or any(layer.word in (POOL.word, "maxpool") for layer in layers):
        return draft
    return replace(draft, cost=draft.cost - 1.2 * strides)


def _through(op: Op, x: torch.Tensor, draft: Draft, departed: list[float]) -> torch.Tensor:
    assert op.layer is not None
    if op.layer.word == "batchnorm" and op.found is not None:
        departed.append(departure(x, op.found))
    result: torch.Tensor = layer_module(settled(op.layer, draft.act, draft.pool), op.found, op.channels)(x)
    return result


def settled(layer: Layer, act: Layer | None, pool: str | None) -> Layer:
    """The layer itself, or the one that a stand-in stands for."""
    if layer == ACT and act is not None:
        return act
    return Layer(pool, (2,)) if layer == POOL and pool is not None else layer


def settled_items(items: Items, act: Layer, pool: str) -> Items:
    """Layers without stand-ins."""
    found: list[Item] = []
    for item in items:
        if isinstance(item, Layer):
            found.append(settled(item, act, pool))
        elif isinstance(item, Block):
            found.append(Block(settled_items(item.main, act, pool), settled_items(item.shortcut, act, pool)))
        else:
            found.append(item)
    return tuple(found)


def _entered(draft: Draft, step: Step) -> Iterator[Draft]:
    assert step.block is not None
    for kind, stride, cost in entering(step.block):
        frame = Frame(step.block, kind, stride, (), draft.side)
        dearer = replace(draft, cost=draft.cost + cost)
        yield replace(dearer, waiting=frame) if kind == "activated" else _begun(dearer, frame)


def _begun(draft: Draft, frame: Frame) -> Draft:
    """The draft inside of a block whose shortcut begins here."""
    begun = replace(frame, items=draft.items, side=draft.side)
    return replace(draft, items=(), frame=begun, waiting=None, pending=(*draft.pending, ENTER))


def _left(draft: Draft, step: Step) -> Iterator[Draft]:
    """The draft behind its block, if both ways lead to the same side."""
    frame = draft.frame
    if frame is None:
        return
    if frame.kind == "none":
        pending = tuple(op for op in draft.pending if op is not ENTER)
        yield replace(draft, items=frame.items + draft.items, frame=None, pending=pending)
        return
    ops, side = _shortcut(frame)
    if side != draft.side:
        return
    layers = tuple(op.layer for op in ops if op.layer is not None)
    block = Block(draft.items, layers)
    pending = (*draft.pending, Op(shortcut=ops))
    yield replace(draft, items=(*frame.items, block), frame=None, pending=pending)


def _shortcut(frame: Frame) -> tuple[tuple[Op, ...], int]:
    """The layers of a block's shortcut, and the side behind them."""
    block, stride = frame.block, frame.stride
    if frame.kind == "same":
        return (), frame.side
    if frame.kind == "pad":
        options = (("stride", (stride,)),) if stride > 1 else ()
        return (Op(Layer("pad", (block.out,), options)),), (frame.side - 1) // stride + 1
    ops: list[Op] = []
    side, channels = frame.side, block.channels
    for layer in block.shortcut:
        step = Step(layer.kind, layer, None, None, channels)
        if layer.kind == "conv":
            size = layer.shape[2]
            padding = (size - 1) // 2
            drawn = convolution(step, stride, (padding, padding))
            side, channels = (side + 2 * padding - size) // stride + 1, layer.out
            stride = 1
        else:
            drawn = _norms(step)[0][0]
        ops.append(Op(replace(drawn, source=layer.name), layer, step.channels))
    return tuple(ops), side


def strided(block: BlockInfo) -> FileLayer:
    """The convolution of a block that halves the image: the first that looks at more than one pixel."""
    convs = [layer for layer in block.main if layer.kind == "conv"]
    return next((layer for layer in convs if layer.shape[2] > 1), convs[0])


def _linear(draft: Draft, step: Step) -> Iterator[Draft]:
    assert step.layer is not None
    layer, inner = Layer("linear", (step.layer.out,)), step.layer.shape[1]
    if step.flat:
        yield draft.weighted(layer, step, 0)
        return
    if inner == step.channels * draft.side**2 or not any(isinstance(i, Block) or i.source for i in draft.items):
        yield draft.plain(Choice((FLATTEN,))).weighted(layer, step, 0)
        return
    for choice in ending(draft.side, math.isqrt(inner // step.channels)):
        yield draft.plain(choice).weighted(layer, step, 0)


def convolution(step: Step, stride: int, padding: tuple[int, int]) -> Layer:
    """The convolution of a step with these options."""
    assert step.layer is not None
    shape = step.layer.shape
    sizes = (shape[0], shape[2]) if shape[2] == shape[3] else (shape[0], shape[2], shape[3])
    options: list[tuple[str, tuple[int, ...]]] = []
    groups = step.channels // shape[1]
    if groups > 1:
        options.append(("groups", (groups,)))
    if any(padding):
        options.append(("padding", padding[:1] if padding[0] == padding[1] else padding))
    if stride > 1:
        options.append(("stride", (stride,)))
    return Layer("conv", sizes, tuple(options))


def _norms(step: Step) -> list[tuple[Layer, float]]:
    """The layers that a step without convolution may be, with their costs."""
    if step.kind != "norm" or step.layer is None:
        return [(Layer(step.kind), 0.0)]
    channels = step.layer.shape[0]
    if len(step.layer.shape) == 3 or step.flat:
        return [(Layer("layernorm"), 0.0)]
    groups = {32: 0.0, 8: 0.3, 16: 0.5, 4: 0.5, 2: 0.8, 1: 1.0, channels: 1.0, channels // 16: 0.6}
    found = [(Layer("groupnorm", (g,)), cost) for g, cost in groups.items() if g and channels % g == 0]
    return [*sorted(found, key=lambda pair: pair[1]), (Layer("layernorm"), 1.5)]


def pruned(plans: Iterator[Plan], live: bool) -> list[Draft]:
    """The cheapest drafts of each side of the image, where nothing else tells them apart."""
    ordered = sorted(plans, key=lambda plan: plan.cost)
    of_side: dict[tuple[int, int], int] = {}
    kept = []
    for plan in ordered:
        key = (plan.input_side, plan.side)
        of_side[key] = of_side.get(key, 0) + 1
        if of_side[key] <= KEPT_OF_SIDE and (not live or plan.cost <= ordered[0].cost + 2 * MARGIN):
            kept.append(plan)
    return [plan.build() for plan in kept[:KEPT_BLIND]]


def _itself(draft: Draft) -> Draft:
    return draft


def _weighted(draft: Draft, choice: Choice, layer: Layer, step: Step, side: int, cost: float) -> Draft:
    if step.kind == "conv" and draft.waiting is not None:
        draft = _begun(draft.plain(choice), draft.waiting)
        choice = Choice()
    return draft.plain(choice).weighted(layer, step, side, cost)
