"""Candidates for a file's network: complete sketches, with what images have shown of them so far."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

from ti_core.reconstruction.chain import BrokenError, Chain, chains
from ti_core.reconstruction.comparing.ways import Look
from ti_core.reconstruction.draft import Draft
from ti_core.reconstruction.drafts import Drafting
from ti_core.reconstruction.layers.file_layers import FileLayer
from ti_core.reconstruction.network import build
from ti_core.reconstruction.options import settled_items
from ti_core.reconstruction.sketch import Block, Concat, Items, Layer, Sketch
from ti_core.reconstruction.usual import ACT, ACTIVATIONS, POOL, POOLS
from ti_core.reconstruction.whole.facts import NOTHING, Stated

SIDES = {1: (28, 32), 3: (32, 64, 224)}
"""Sides of images to try, by channels; the usual one first."""
ODD_SIDES = (28, 48, 96, 128, 160, 299)
"""Sides that are tried if no usual one leads to the size of the linear layer."""
OTHER_SIDE = 1.5
"""Cost of another side than the images have."""
MOST = 60
"""Candidates that are kept of one file."""
LACKING = 3.0
"""Cost of a missing activation."""
SHOWN = 12
"""Layers of a broken network that are shown."""
_WORDS = {"batchnorm": "batchnorm", "norm": "layernorm", "prelu": "prelu", "normalise": "normalise"}
LAYERS = 500
"""Layers of a file whose network is searched. The time grows with the square of their number."""
ORDERS = 2
"""Orders of the layers that are followed."""
FAR, FAR_ORDER = 15.0, 10.0
"""A candidate whose cost is above the least by more is not tried; the same where its layers have another order."""


@dataclass(frozen=True)
class Candidate:
    """A network that names and shapes allow.

    Parameters
    ----------
    items : its layers, with the names of the file's layers; stand-ins where a choice is open.
    input_shape : (C, H, W) of its images.
    cost : how unusual it is, with what stored statistics showed.
    act, pool, norm : the activation, the pooling and the normalisation, as far as they are known.
    """

    items: Items
    input_shape: tuple[int, int, int]
    cost: float
    act: Layer | None = None
    pool: str | None = None
    norm: str | None = None

    @property
    def pools(self) -> bool:
        """Whether it has a pooling whose kind is open."""
        return self.pool is None and _has(self.items, POOL)

    @property
    def acts(self) -> bool:
        """Whether it has an activation whose kind is open."""
        return self.act is None and _has(self.items, ACT)

    def with_(self, act: Layer | None = None, pool: str | None = None) -> Candidate:
        """The same with an open choice made, at its cost."""
        cost = self.cost
        cost += (
            ACTIVATIONS.get(act, 0.0)
            if act is not None and self.act is None and _has(self.items, ACT)
            else 0.0
        )
        cost += POOLS.get(pool, 0.0) if pool is not None and self.pools else 0.0
        return replace(self, act=act or self.act, pool=pool or self.pool, cost=cost)

    def otherwise_pooled(self) -> list[Candidate]:
        """The network with its other kind of pooling, if it has pooling whose kind nothing in the file shows."""
        if self.pool is None or not _has(self.items, POOL):
            return []
        other = next(word for word in POOLS if word != self.pool)
        return [replace(self, pool=other, cost=self.cost + POOLS[other] - POOLS[self.pool])]

    def without_one(self) -> list[Candidate]:
        """The networks that lack one of its activations."""
        places = [index for index, item in enumerate(self.items) if item == ACT]
        cost = self.cost + LACKING
        return [replace(self, items=self.items[:i] + self.items[i + 1 :], cost=cost) for i in places]

    def sketch(self) -> Sketch:
        """The whole network. An open choice is the usual one."""
        items = settled_items(self.items, self.act or Layer("relu"), self.pool or "maxpool")
        channels, height, width = self.input_shape
        return Sketch((Layer("input", (channels, height) if height == width else self.input_shape), *items))


def _has(items: Items, layer: Layer) -> bool:
    return any(
        item == layer
        or (isinstance(item, Block) and (_has(item.main, layer) or _has(item.shortcut, layer)))
        or (isinstance(item, Concat) and any(_has(way, layer) for way in item.ways))
        for item in items
    )


def candidates(
    layers: Sequence[FileLayer],
    shape: tuple[int, int, int] | None = None,
    look: Look | None = None,
    norms: dict[str, float] | None = None,
    stated: Stated = NOTHING,
) -> list[Candidate]:
    """Networks that have exactly these layers, the likeliest first.

    Parameters
    ----------
    shape : (C, H, W) of the images that there are; None for none.
    look : gives images under a normalisation and of a side.
    norms : normalisations with their costs.
    stated : what a whole module says beside its layers.

    Raises
    ------
    BrokenError : the layers are no plain or residual network, or are too many.
    """
    if len(layers) > LAYERS:
        raise BrokenError(f"the file has {len(layers):,} layers with weights; the limit is {LAYERS}")
    found: list[Candidate] = []
    most = math.inf
    for chain in chains(layers, stated)[:ORDERS]:
        stored = any(layer.kind == "normalise" for layer in layers)
        tried = {"none": 0.0} if stored else dict(norms or {})
        for sides in _sides(chain, layers, shape):
            drafting = Drafting(chain, sides, look, tried, stated, most - chain.usual)
            found += [_candidate(draft, chain, layers) for draft in drafting.drafts()[:MOST]]
            most = min((one.cost + FAR_ORDER for one in found), default=most)
            if found and not _adapted(min(found, key=lambda one: one.cost)):
                break
    if not found:
        raise BrokenError("no image size leads to the size of the linear layer")
    return sorted(found, key=lambda candidate: candidate.cost)[:MOST]


def _candidate(draft: Draft, chain: Chain, layers: Sequence[FileLayer]) -> Candidate:
    side = draft.input_side
    channels = chain.channels or _first_width(layers) // (side * side)
    cost = draft.cost + chain.usual
    return Candidate(draft.items, (channels, side, side), cost, draft.act, draft.pool, draft.norm)


def _first_width(layers: Sequence[FileLayer]) -> int:
    return next(layer.shape[1] for layer in layers if layer.kind == "linear")


def _adapted(candidate: Candidate) -> bool:
    """Whether only an adaptive pooling leads to the size of the linear layer."""
    return any(isinstance(item, Layer) and item.word.startswith("adaptive") for item in candidate.items)


def _sides(
    chain: Chain, layers: Sequence[FileLayer], shape: tuple[int, int, int] | None
) -> list[dict[int, float]]:
    """Sides of the images to try, with their costs: later ones only if earlier ones lead to nothing."""
    if not chain.channels:
        inner = _first_width([s.layer for s in chain.steps if s.layer is not None])
        roots = [math.isqrt(inner // channels) for channels in (1, 3) if inner % channels == 0]
        return [{side: 0.0 for side in roots if side and inner in (side * side, 3 * side * side)}]
    usual = SIDES.get(chain.channels, SIDES[3])
    if shape is None:
        return [{side: 0.2 * index for index, side in enumerate(usual)}, dict.fromkeys(ODD_SIDES, OTHER_SIDE)]
    own = shape[1]
    near = {side: OTHER_SIDE for side in (28, 32, 64) if side != own and side <= 2 * own}
    far = {side: OTHER_SIDE for side in (*usual, *ODD_SIDES) if side != own and side not in near}
    return [{own: 0.0}, near, far]


def distinct(found: Iterable[Candidate]) -> list[Candidate]:
    """The candidates without those that are the same network under the same normalisation."""
    kept: dict[tuple[str, str | None], Candidate] = {}
    for candidate in found:
        kept.setdefault((str(candidate.sketch()), candidate.norm), candidate)
    return list(kept.values())


def shortest(sketch: Sketch, layers: Sequence[FileLayer]) -> Sketch:
    """The same network without the names of the file's layers, if every layer takes the same tensors then."""
    plain = sketch.without_sources()
    for short in (plain.folded(), plain):
        if _takes(short, layers) == _takes(sketch, layers):
            return short
    return sketch


def _takes(sketch: Sketch, layers: Sequence[FileLayer]) -> list[str]:
    built = build(sketch, layers)
    return [found.name for _, found in built.used] if built.module is not None else []


@dataclass(frozen=True)
class Partial:
    """The beginning of a network as a sketch of its layers with weights, and the layers that are left over."""

    sketch: Sketch
    left: tuple[FileLayer, ...]

    def text(self) -> str:
        """The beginning on one line of bounded length; a comment says how many layers it leaves out."""
        parts = [str(item) for item in self.sketch.items]
        shown = parts[:SHOWN]
        more = len(parts) - len(shown)
        return "; ".join(shown) + (f" # and {more} more" if more else "")


def partial(layers: Sequence[FileLayer]) -> Partial | None:
    """The longest beginning of a file whose layers follow from one another; None if not even two do, or of too many."""
    if len(layers) > LAYERS:
        return None
    follows, breaks = 0, len(layers) + 1
    # A file that breaks at a layer breaks with every further one, so the first break is found by halving.
    while breaks - follows > 1:
        middle = (follows + breaks) // 2
        if _chained(layers[:middle]):
            follows = middle
        else:
            breaks = middle
    if follows < 2:
        return None
    items = tuple(layer.stated or _drawn(layer) for layer in layers[:follows])
    return Partial(Sketch(items), tuple(layers[follows:]))


def _chained(layers: Sequence[FileLayer]) -> bool:
    try:
        chains(layers)
    except BrokenError:
        # Norms alone are a beginning all the same.
        return not any(layer.kind in ("conv", "linear", "other") for layer in layers)
    return True


def _drawn(layer: FileLayer) -> Layer:
    if layer.kind == "conv":
        high, wide = layer.shape[2:]
        return Layer("conv", (layer.out, high) if high == wide else (layer.out, high, wide))
    return Layer("linear", (layer.out,)) if layer.kind == "linear" else Layer(_WORDS[layer.kind])
