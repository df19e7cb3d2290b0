"""How usual each choice is that names and shapes leave open: costs, in the manner of negative logarithms of shares."""

from __future__ import annotations

from dataclasses import dataclass

from ti_core.reconstruction.blocks import BlockInfo
from ti_core.reconstruction.chain import Step
from ti_core.reconstruction.sketch import Layer
from ti_core.reconstruction.vocabulary import PLAIN

ACTIVATIONS: dict[Layer, float] = {
    Layer("relu"): 0.0,
    Layer("leaky_relu", (0.01,)): 3.0,
    Layer("leaky_relu", (0.1,)): 2.5,
    Layer("leaky_relu", (0.2,)): 2.5,
    Layer("tanh"): 2.0,
    Layer("elu"): 2.5,
    Layer("gelu"): 2.5,
    Layer("silu"): 2.5,
    Layer("sigmoid"): 3.0,
    Layer("selu"): 3.5,
    Layer("relu6"): 5.0,
    Layer("hardswish"): 4.0,
    Layer("softplus"): 4.5,
    Layer("mish"): 4.0,
}
"""Activations and their costs."""

ACT, POOL = Layer("activation"), Layer("pool")
"""Stand-ins in a draft: the network's activation, and its pooling of 2 x 2."""
FLATTEN = Layer("flatten")
MEANS = Layer("avgpool", (2,))
"""The pooling between the blocks of a DenseNet, whatever the network's other poolings are."""
POOLS: dict[str, float] = {"maxpool": 0.0, "avgpool": 0.7}
POOL_WORDS = ("maxpool", "avgpool")
ACTIVATION_WORDS = (*PLAIN, "leaky_relu", "elu")
ENDINGS = ("flatten", "softmax", "log_softmax")
"""Layers that the end of a network calls for, or that change no order of its scores."""
STRIDED_POOL = Layer("maxpool", (3,), (("padding", (1,)), ("stride", (2,))))
WIDE_POOL = Layer("maxpool", (3,), (("stride", (2,)),))


@dataclass(frozen=True)
class Choice:
    """Layers without weights, or the options of a layer, and their cost."""

    layers: tuple[Layer, ...] = ()
    cost: float = 0.0


def paddings(size: int, deep: bool) -> list[tuple[int, int, float]]:
    """Stride, padding and cost of a convolution with a kernel of this side."""
    if size == 1:
        return [(1, 0, 0.0), (2, 0, 2.5)]
    same = (size - 1) // 2
    found = {
        (1, same): 0.2,
        (1, 0): 1.0 if deep or size == 3 else 0.3,
        (2, same): 0.9 if size < 7 else 0.5,
        (2, 0): 3.0,
        (1, same + 1): 3.5,
    }
    if size % 2 == 0:
        found[(2, same)], found[(2, 0)], found[(1, same)] = 0.5, 1.0, 1.5
    if size >= 7:
        found |= {(4, 2): 1.5, (4, 0): 2.5, (3, same): 3.0, (4, 5): 2.5}
    return [(stride, padding, cost) for (stride, padding), cost in found.items()]


NEVER = 50.0
"""Cost of what cannot be."""
ODD = 5.0
"""A choice that costs by so much more than the most usual one is not tried."""


def usual(choices: list[Choice]) -> list[Choice]:
    """The choices without the odd ones."""
    least = min(choice.cost for choice in choices)
    return [choice for choice in choices if choice.cost <= least + ODD]


def between(last: Step | None, step: Step) -> list[Choice]:
    """What may stand between two steps outside of blocks: an activation, a pooling, both or nothing."""
    if last is None or last.kind == "normalise" or step.kind in ("prelu", "exit"):
        return [Choice()]
    if step.kind in ("batchnorm", "norm"):
        return _before_norm(last, step)
    acts = _acts(last, step)
    none, pool, wide = (0.0, NEVER, NEVER) if step.flat else _pools(last, step)
    found = [Choice((), acts[0] + none), Choice((ACT,), acts[1] + none)]
    if pool < NEVER:
        found += [Choice((POOL,), acts[0] + pool), Choice((ACT, POOL), acts[1] + pool)]
        found += [Choice((ACT, STRIDED_POOL), acts[1] + wide), Choice((ACT, WIDE_POOL), acts[1] + wide + 0.3)]
        found += [Choice((STRIDED_POOL,), acts[0] + wide), Choice((WIDE_POOL,), acts[0] + wide + 0.3)]
    if step.block is not None and step.block.joins and last.kind == "conv":
        found.append(Choice((MEANS,), acts[0] + HALVED))
    if step.gap is None:
        return found
    return [Choice(c.layers, c.cost + _against_gap(len(c.layers), step.gap)) for c in found]


def inside(last: Step | None, step: Step) -> list[Choice]:
    """What may stand between two steps of a block; ``last`` is None at its beginning."""
    if last is None or step.kind == "prelu" or last.kind == "prelu":
        return [Choice()]
    if step.kind in ("batchnorm", "norm"):
        found = [Choice(), Choice((ACT,), 3.0)]
    elif step.kind == "exit":
        found = [Choice(), Choice((ACT,), 1.5 if last.kind in ("batchnorm", "norm") else 3.0)]
    else:
        found = [Choice((ACT,)), Choice((), 2.5)]
    if step.gap is None or step.kind == "exit":
        return found
    return [Choice(c.layers, c.cost + _against_gap(len(c.layers), step.gap)) for c in found]


HALVED = 0.7
"""Cost of a pooling behind the convolution between two blocks of a DenseNet."""
TWICE = 3.0
"""Cost of an activation behind a norm that has one before it."""


def once(choices: list[Choice]) -> list[Choice]:
    """The choices behind a norm that has an activation before it, so that a further one is unusual."""
    least = min((c.cost for c in choices if ACT in c.layers), default=0.0)
    none = min((c.cost for c in choices if ACT not in c.layers), default=0.0)
    swap = max(0.0, none - least)
    return [Choice(c.layers, c.cost + TWICE if ACT in c.layers else c.cost - swap) for c in choices]


def _against_gap(count: int, gap: int) -> float:
    """Cost of so many layers where a part's numbers leave room for ``gap``: dropout may fill the rest."""
    return 8.0 * (count - gap) if count > gap else min(3.0, 1.5 * (gap - count))


def _before_norm(last: Step, step: Step) -> list[Choice]:
    if last.kind in ("batchnorm", "norm", "prelu"):
        return [Choice(), Choice((ACT,), 3.0)]
    acts = (0.0, 2.5)
    if last.kind == "exit":
        acts = (0.3, 1.5)
    found = [Choice((), acts[0]), Choice((ACT,), acts[1])]
    if not step.flat:
        found += [Choice((ACT, POOL), acts[1] + 1.5), Choice((POOL,), acts[0] + 3.0)]
    if step.gap is None:
        return found
    return [Choice(c.layers, c.cost + _against_gap(len(c.layers), step.gap)) for c in found]


def _begins_with_norm(step: Step) -> bool:
    return step.block is not None and step.block.main[0].kind in ("batchnorm", "norm")


def _acts(last: Step, step: Step) -> tuple[float, float]:
    """Costs of no activation and of one."""
    if last.kind == "prelu":
        return 0.0, 6.0
    if step.kind == "enter" and _begins_with_norm(step):
        return 0.0, 2.0
    if last.kind == "exit":
        return 1.5, 0.0
    return 3.0, 0.0


def _pools(last: Step, step: Step) -> tuple[float, float, float]:
    """Costs of no pooling, of one of 2 x 2, and of one of 3 x 3 with a stride of 2."""
    if last.kind == "exit" and step.kind != "linear":
        return 0.0, 3.0, 4.0
    if step.kind == "enter":
        return 0.3, 2.5, 1.5
    if step.kind == "linear":
        single = step.layer is not None and step.layer.shape[1] == step.channels
        return (0.2, 1.8, 4.0) if single else (0.9, 0.4, 2.5)
    assert step.layer is not None
    if step.layer.kind == "conv" and step.layer.shape[1] == 1 and step.channels > 1:
        return 0.0, 5.0, 5.0
    return (0.7, 0.5, 2.5) if step.layer.out > step.channels else (0.4, 1.3, 3.0)


JOINED, JOINED_BEFORE = "joined", "joined before"
"""Kinds of a shortcut: the result stands behind the input, or before it."""


def entering(block: BlockInfo) -> list[tuple[str, int, float]]:
    """Kind of a shortcut ("conv", "activated" of the norm's result, "same", "pad", "none", joined), stride, cost."""
    first_norm = block.main[0].kind in ("batchnorm", "norm")
    grows = block.out != block.channels
    strides = [(2, 0.2), (1, 0.7)] if grows else [(1, 0.2), (2, 0.9)]
    if block.stride is not None:
        strides = [(block.stride, 0.0)]
    if block.joins:
        return [(JOINED, 1, 0.0), (JOINED_BEFORE, 1, 1.0)] if block.stride in (None, 1) else []
    if block.sure:
        found = [("conv", stride, cost + (0.7 if first_norm else 0.0)) for stride, cost in strides]
        return found + ([("activated", stride, cost + 0.3) for stride, cost in strides] if first_norm else [])
    likely = block.likely
    if grows:
        further = 0.0 if likely else 1.0
        pads = [("pad", stride, (0.5 if cost < 0.5 else 1.5) + further) for stride, cost in strides]
        return pads + [("none", stride, cost + (2.0 if likely else 0.5)) for stride, cost in strides]
    found = [
        ("same", 1, 0.0 if likely else 0.5),
        ("none", 1, 3.0 if likely else 0.5),
        ("none", 2, 5.0 if likely else 2.5),
    ]
    if block.stride is None:
        return found
    return found[:2] if block.stride == 1 else [("none", block.stride, 0.0)]


def ending(side: int, wanted: int) -> list[Choice]:
    """How an image of this side becomes one of the wanted side before it is flattened."""
    if side == wanted:
        return [Choice((FLATTEN,))]
    if wanted == 1:
        return [
            Choice((Layer("globalavgpool"), FLATTEN), 0.3),
            Choice((Layer("globalmaxpool"), FLATTEN), 2.0),
        ]
    # Adaptive pooling to 6 x 6 and 7 x 7 stands in AlexNet and VGG.
    adaptive = 2.0 if wanted in (6, 7) else 3.5 if side >= 2 * wanted else 7.0
    found = [Choice((Layer("adaptiveavgpool", (wanted,)), FLATTEN), adaptive)]
    if side > wanted:
        found.append(Choice((Layer("adaptivemaxpool", (wanted,)), FLATTEN), 3.5))
        window = side // wanted
        if side // window == wanted:
            found.append(Choice((Layer("avgpool", (window,)), FLATTEN), 2.0))
            found.append(Choice((Layer("maxpool", (window,)), FLATTEN), 2.2))
    return found
