"""The options of single layers in a draft: those that a whole module states, or usual ones; and sizes behind them."""

from __future__ import annotations

import torch

from ti_core.reconstruction.chain import Step
from ti_core.reconstruction.layers.file_layers import FileLayer
from ti_core.reconstruction.sketch import Block, Concat, Item, Items, Layer
from ti_core.reconstruction.usual import ACT, JOINED, POOL


def _first(layer: Layer, name: str, default: int) -> int:
    return int((layer.option(name) or (default,))[0])


def after(layer: Layer, side: int) -> int:
    """The side of the image behind a layer without weights; below 0 where it has none."""
    if layer.word == POOL.word:
        return side // 2 or -1
    if layer.word in ("maxpool", "avgpool"):
        size = int(layer.sizes[0])
        stride, padding = _first(layer, "stride", size), _first(layer, "padding", 0)
        over = side + 2 * padding - size
        if over < 0:
            return -1
        reached = over // stride + 1
        # The last window of a pooling with "ceil" may hang over, but does not begin in the padding.
        more = "ceil" in layer.flags and over % stride and reached * stride < side + padding
        return reached + 1 if more else reached
    if layer.word.startswith("adaptive"):
        return int(layer.sizes[0])
    if layer.word.startswith("global"):
        return 1
    return 0 if layer.word == "flatten" else side


def stated_reach(layer: FileLayer) -> tuple[int, int, int] | None:
    """Stride, padding and reach of a convolution along the height, where a whole module states them."""
    if layer.stated is None:
        return None
    spread = _first(layer.stated, "dilation", 1)
    return (
        _first(layer.stated, "stride", 1),
        _first(layer.stated, "padding", 0),
        (layer.shape[2] - 1) * spread + 1,
    )


def convolution(step: Step, stride: int, padding: tuple[int, int]) -> Layer:
    """The convolution of a step with these options, or with those that a whole module states."""
    assert step.layer is not None
    if step.layer.stated is not None:
        return step.layer.stated
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


def norm_layers(step: Step) -> list[tuple[Layer, float]]:
    """The layers that a step without convolution may be, with their costs."""
    if step.layer is not None and step.layer.stated is not None:
        return [(step.layer.stated, 0.0)]
    if step.kind != "norm" or step.layer is None:
        return [(Layer(step.kind), 0.0)]
    channels = step.layer.shape[0]
    if len(step.layer.shape) == 3 or step.flat:
        return [(Layer("layernorm"), 0.0)]
    groups = {32: 0.0, 8: 0.3, 16: 0.5, 4: 0.5, 2: 0.8, 1: 1.0, channels: 1.0, channels // 16: 0.6}
    found = [(Layer("groupnorm", (g,)), cost) for g, cost in groups.items() if g and channels % g == 0]
    return [*sorted(found, key=lambda pair: pair[1]), (Layer("layernorm"), 1.5)]


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
        elif isinstance(item, Concat):
            found.append(Concat(tuple(settled_items(way, act, pool) for way in item.ways)))
        else:
            found.append(item)
    return tuple(found)


def needs_more(step: Step, side: int) -> bool:
    """Whether an image of this side does not have the size of the linear layer that takes it."""
    if step.kind != "linear" or step.flat or step.layer is None:
        return False
    return step.layer.shape[1] != step.channels * side**2


def together(x: torch.Tensor, beside: torch.Tensor, joins: str) -> torch.Tensor:
    """What a block makes of its result and its input: their sum, or both behind one another."""
    if not joins:
        return x + beside
    return torch.cat([beside, x] if joins == JOINED else [x, beside], 1)


def acted(items: Items) -> bool:
    """Whether the norm at the end has an activation before it, perhaps with a pooling between them."""
    for item in reversed(items[:-1]):
        if not isinstance(item, Layer) or item.word not in (POOL.word, "maxpool", "avgpool"):
            return item == ACT
    return False
