"""One draft of a network up to a step of its chain, and what each step makes of it."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

import torch

from ti_core.reconstruction.blocks import BlockInfo
from ti_core.reconstruction.chain import Step
from ti_core.reconstruction.layers.file_layers import FileLayer
from ti_core.reconstruction.options import after, convolution, norm_layers, stated_reach
from ti_core.reconstruction.sketch import Block, Concat, Items, Layer
from ti_core.reconstruction.usual import (
    ACT,
    FLATTEN,
    JOINED,
    JOINED_BEFORE,
    POOL,
    Choice,
    ending,
    entering,
)


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
    joins: str = ""


ENTER = Op()
MARGIN = 6.0
"""A draft whose cost is above the best one's by more is given up."""
KEPT_OF_SIDE, KEPT_BLIND, KEPT_TOLD = 60, 256, 32
"""Drafts that are kept of each side of the image, and in all; of each side where statistics decide elsewhere."""


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
    sides : of the image behind each layer with weights, the first its own.
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
    sides: tuple[int, ...] = ()

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
            self,
            cost=self.cost + cost,
            items=(*self.items, named),
            side=side,
            pending=(*self.pending, op),
            sides=(*self.sides, side),
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


def entered_block(draft: Draft, step: Step) -> Iterator[Draft]:
    assert step.block is not None
    for kind, stride, cost in entering(step.block):
        frame = Frame(step.block, kind, stride, (), draft.side)
        dearer = replace(draft, cost=draft.cost + cost)
        yield replace(dearer, waiting=frame) if kind == "activated" else _begun(dearer, frame)


def _begun(draft: Draft, frame: Frame) -> Draft:
    """The draft inside of a block whose shortcut begins here."""
    begun = replace(frame, items=draft.items, side=draft.side)
    return replace(draft, items=(), frame=begun, waiting=None, pending=(*draft.pending, ENTER))


def left_block(draft: Draft, step: Step) -> Iterator[Draft]:
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
    if frame.kind in (JOINED, JOINED_BEFORE):
        ways: tuple[Items, ...] = ((), draft.items) if frame.kind == JOINED else (draft.items, ())
        pending = (*draft.pending, Op(shortcut=(), joins=frame.kind))
        yield replace(draft, items=(*frame.items, Concat(ways)), frame=None, pending=pending)
        return
    layers = tuple(op.layer for op in ops if op.layer is not None)
    block = Block(draft.items, layers)
    pending = (*draft.pending, Op(shortcut=ops))
    yield replace(draft, items=(*frame.items, block), frame=None, pending=pending)


def _shortcut(frame: Frame) -> tuple[tuple[Op, ...], int]:
    """The layers of a block's shortcut, and the side behind them."""
    block, stride = frame.block, frame.stride
    if frame.kind in ("same", JOINED, JOINED_BEFORE):
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
            own, padding, size = stated_reach(layer) or (stride, padding, size)
            side, channels = (side + 2 * padding - size) // own + 1, layer.out
            stride = 1
        else:
            drawn = norm_layers(step)[0][0]
        ops.append(Op(replace(drawn, source=layer.name), layer, step.channels))
    return tuple(ops), side


def strided(block: BlockInfo) -> FileLayer:
    """The convolution of a block that halves the image: the first that looks at more than one pixel."""
    convs = [layer for layer in block.main if layer.kind == "conv"]
    return next((layer for layer in convs if layer.shape[2] > 1), convs[0])


def linear_step(draft: Draft, step: Step) -> Iterator[Draft]:
    assert step.layer is not None
    layer, inner = Layer("linear", (step.layer.out,)), step.layer.shape[1]
    if step.flat:
        yield draft.weighted(layer, step, 0)
        return
    if inner == step.channels * draft.side**2 or not any(
        isinstance(i, Block) or (isinstance(i, Layer) and i.source) for i in draft.items
    ):
        yield draft.plain(Choice((FLATTEN,))).weighted(layer, step, 0)
        return
    for choice in ending(draft.side, math.isqrt(inner // step.channels)):
        yield draft.plain(choice).weighted(layer, step, 0)


def itself(draft: Draft) -> Draft:
    return draft


def weighted_by(draft: Draft, choice: Choice, layer: Layer, step: Step, side: int, cost: float) -> Draft:
    if step.kind == "conv" and draft.waiting is not None:
        draft = _begun(draft.plain(choice), draft.waiting)
        choice = Choice()
    return draft.plain(choice).weighted(layer, step, side, cost)


class Plan(NamedTuple):
    """A draft that is made only if it is cheap enough."""

    cost: float
    input_side: int
    side: int
    build: Callable[[], Draft]


def pruned(plans: Iterator[Plan], live: bool, told: bool) -> list[Draft]:
    """The cheapest drafts of each side of the image, where nothing else tells them apart.

    Parameters
    ----------
    live : whether images go through the drafts.
    told : whether statistics decide at some layer, so that fewer drafts have to be kept elsewhere.
    """
    ordered = sorted(plans, key=lambda plan: plan.cost)
    of_side: dict[tuple[int, int], int] = {}
    kept = []
    for plan in ordered:
        key = (plan.input_side, plan.side)
        of_side[key] = of_side.get(key, 0) + 1
        if of_side[key] <= (KEPT_TOLD if told else KEPT_OF_SIDE) and (
            not live or plan.cost <= ordered[0].cost + 2 * MARGIN
        ):
            kept.append(plan)
    return [plan.build() for plan in kept[: 4 * KEPT_TOLD if told else KEPT_BLIND]]


def key_of(op: Op) -> Any:
    """An operation by what it does and by the tensors that it takes."""
    return (
        op is ENTER,
        op.joins,
        op.layer,
        id(op.found),
        None if op.shortcut is None else tuple(map(key_of, op.shortcut)),
    )
