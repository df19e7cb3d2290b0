"""Candidates with other paddings: the same layers, and images of the same side where they are flattened.

A network may pad some of its convolutions and not others, as Keras's examples do. Names and shapes do not tell which,
and the drafts of such a network are too many to be kept. Its neighbours are few, and images tell which come closer.
"""

from __future__ import annotations

from dataclasses import replace
from itertools import combinations

from ti_core.reconstruction.candidates import Candidate
from ti_core.reconstruction.comparing.uniform import mixed
from ti_core.reconstruction.options import after
from ti_core.reconstruction.sketch import Block, Items, Layer
from ti_core.reconstruction.usual import paddings

MOST, FEW = 12, 8
"""Convolutions whose padding is changed, and those of which three are changed at once; more have too many ways."""


def otherwise_padded(candidate: Candidate) -> list[Candidate]:
    """The candidates that pad up to two convolutions otherwise, or three of few, with nothing or to the same size."""
    items, side = candidate.items, candidate.input_shape[1]
    places = [at for at, item in enumerate(items) if isinstance(item, Layer) and _open(item)][:MOST]
    wanted = _side(items, side)
    usual = candidate.cost - mixed(items)
    found = []
    for count in (3, 2, 1) if len(places) <= FEW else (2, 1):
        for chosen in combinations(places, count):
            changed, dearer = list(items), 0.0
            for at in chosen:
                item = items[at]
                assert isinstance(item, Layer)
                changed[at], more = _turned(item)
                dearer += more
            new = tuple(changed)
            if _side(new, side) == wanted:
                found.append(replace(candidate, items=new, cost=usual + dearer + mixed(new)))
    return found


def _open(layer: Layer) -> bool:
    """Whether a convolution is padded to the same size or not at all."""
    if layer.word != "conv" or len(layer.sizes) != 2 or layer.option("stride"):
        return False
    same = (int(layer.sizes[1]) - 1) // 2
    return layer.sizes[1] % 2 == 1 and same > 0 and layer.option("padding") in ((), (same,))


def _turned(layer: Layer) -> tuple[Layer, float]:
    """The convolution with its other padding, and how much less usual that is."""
    size = int(layer.sizes[1])
    same = (size - 1) // 2
    costs = {padding: cost for stride, padding, cost in paddings(size, False) if stride == 1}
    others = tuple(option for option in layer.options if option[0] != "padding")
    if layer.option("padding"):
        return replace(layer, options=others), costs[0] - costs[same]
    padded = tuple(sorted((*others, ("padding", (same,)))))
    return replace(layer, options=padded), costs[same] - costs[0]


def _side(items: Items, side: int) -> int | None:
    """The side of the image where it is flattened, 1 where its mean is taken; None where it ends before."""
    for item in items:
        if isinstance(item, Layer) and item.word.startswith("global"):
            return 1
        if isinstance(item, Layer) and item.word == "flatten":
            return side
        if isinstance(item, Block):
            inner = _side((*item.main, Layer("flatten")), side)
            side = -1 if inner is None else inner
        elif isinstance(item, Layer) and item.word == "conv":
            padding, stride = (int((item.option(name) or (default,))[0]) for name, default in _OPTIONS)
            side = (side + 2 * padding - int(item.sizes[1])) // stride + 1
        elif isinstance(item, Layer):
            side = after(item, side)
        if side < 1:
            return None
    return side


_OPTIONS = (("padding", 0), ("stride", 1))
