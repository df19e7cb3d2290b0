"""The order of a file's layers, and the blocks with a shortcut among them, from names and shapes alone."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass, field, replace

from ti_core.reconstruction.blocks import BlockInfo, holds_block, joined, named, shaped, takes, through
from ti_core.reconstruction.layers.file_layers import FileLayer
from ti_core.reconstruction.layers.orders import Part, orders, tree
from ti_core.reconstruction.whole.facts import NOTHING, Stated

_RESIDUAL = re.compile(r"res|block|layer|stage|unit|bottleneck|group|basic", re.IGNORECASE)
_NAMED_RESIDUAL = re.compile(r"res", re.IGNORECASE)


@dataclass(frozen=True)
class Step:
    """One step of a chain.

    Parameters
    ----------
    kind : the kind of the file's layer, or "enter" and "exit" of a block.
    gap : number of layers without weights between the last layer and this one, where their numbers show it.
    channels : that arrive here; of a linear layer behind convolutions, the channels of the image.
    flat : whether features arrive, and no image.
    """

    kind: str
    layer: FileLayer | None = None
    block: BlockInfo | None = None
    gap: int | None = None
    channels: int = 0
    flat: bool = False


@dataclass(frozen=True)
class Chain:
    """The steps of a network in order.

    Parameters
    ----------
    channels : of the images; 0 where the first layer is linear.
    usual : cost of the order: 0 for the file's own.
    """

    steps: tuple[Step, ...]
    channels: int
    usual: float = 0.0

    @property
    def classes(self) -> int:
        """The width of the last layer that has one."""
        wide = [s.layer.out for s in self.steps if s.layer is not None and s.kind in ("conv", "linear")]
        return wide[-1]


class BrokenError(Exception):
    """The layers are no chain in this order; the text names the first that does not fit."""


def chains(layers: Sequence[FileLayer], stated: Stated = NOTHING) -> list[Chain]:
    """Every order of the layers in which their channels follow from one another; the usual ones first.

    Parameters
    ----------
    stated : what a whole module says beside its layers.

    Raises
    ------
    BrokenError : there is none.
    """
    found: list[Chain] = []
    first: BrokenError | None = None
    for cost, ordered in orders(layers):
        try:
            chain = _chain(ordered, cost, stated)
        except BrokenError as error:
            first = first or error
            continue
        if all(chain.steps != other.steps for other in found):
            found.append(chain)
    if not found:
        raise first or BrokenError("there are no layers")
    return found


def _chain(layers: Sequence[FileLayer], cost: float, stated: Stated) -> Chain:
    others = [layer for layer in layers if layer.kind == "other"]
    if others:
        raise BrokenError(f"{others[0].says()} is no layer of a plain network")
    if not any(layer.kind in ("conv", "linear") for layer in layers):
        raise BrokenError("there is no convolution and no linear layer")
    whole = tree(layers)
    known = _Walk(frozenset(), stated)
    known.order = list(whole.leaves())
    with_sure = known.steps(whole)
    signatures = frozenset(
        _signature(s.block) for s in with_sure if s.kind == "enter" and s.block and s.block.sure
    )
    walk = _Walk(signatures, stated)
    walk.order = known.order
    steps = walk.steps(whole)
    return Chain(tuple(steps), walk.first or 0, cost)


def _signature(block: BlockInfo) -> tuple[str, ...]:
    """How the main way is built: the layers' names without what the blocks' own names have in common."""
    common = _common([layer.name for layer in block.main])
    return tuple(layer.name[common:] for layer in block.main)


def _common(names: Sequence[str]) -> int:
    """Number of letters that all names begin with, up to a full stop."""
    shared = names[0]
    for name in names[1:]:
        while not name.startswith(shared):
            shared = shared[:-1]
    return shared.rfind(".") + 1


@dataclass
class _Walk:
    """Follows the channels through the tree of names."""

    signatures: frozenset[tuple[str, ...]]
    stated: Stated
    channels: int | None = None
    first: int | None = None
    flat: bool = False
    order: list[FileLayer] = field(default_factory=list)
    _last: FileLayer | None = field(default=None)

    def steps(self, part: Part) -> list[Step]:
        found: list[Step] = []
        for child in part.children.values():
            if isinstance(child, FileLayer):
                found.append(self._layer(child))
                continue
            block = self._block(child) if self.channels is not None and not self.flat else None
            if block is None:
                found += self.steps(child)
                continue
            block = replace(block, name=child.name)
            entered = self.channels or 0
            found.append(Step("enter", None, block, self._gap(block.main[0]), entered))
            found += [self._layer(layer) for layer in block.main]
            if block.joins:
                self.channels = block.out
            found.append(Step("exit", None, block, None, self.channels or 0))
        return found

    def _gap(self, layer: FileLayer) -> int | None:
        if self._last is None:
            return None
        (a, _, i), (b, _, j) = self._last.name.rpartition("."), layer.name.rpartition(".")
        if a != b or not (i.isdecimal() and j.isdecimal()):
            return None
        return max(0, int(j) - int(i) - 1)

    def _layer(self, layer: FileLayer) -> Step:
        gap, arriving, flat = self._gap(layer), self.channels, self.flat
        if layer.kind != "normalise":
            self._last = layer
        if layer.kind == "conv":
            self._convolution(layer)
        elif layer.kind == "linear":
            self._linear(layer)
        elif layer.kind in ("batchnorm", "norm", "prelu"):
            fits = layer.shape[0] == arriving or (layer.kind == "prelu" and layer.shape[0] == 1)
            if arriving is None or not fits:
                raise BrokenError(f"{layer.says()} finds {arriving or 'no'} channels")
        return Step(layer.kind, layer, None, gap, arriving or self.first or 0, flat)

    def _convolution(self, layer: FileLayer) -> None:
        inner = layer.shape[1]
        if self.channels is None:
            self.channels = self.first = inner
        if self.flat or not takes(layer, self.channels):
            raise BrokenError(f"{layer.says()} finds {self.channels} channels")
        self.channels = layer.out

    def _linear(self, layer: FileLayer) -> None:
        inner = layer.shape[1]
        if self.channels is not None and not self.flat:
            pixels = inner // self.channels
            if inner % self.channels or math.isqrt(pixels) ** 2 != pixels:
                raise BrokenError(f"{layer.says()} finds {self.channels} channels")
        elif self.flat and inner != self.channels:
            raise BrokenError(f"{layer.says()} finds {self.channels} features")
        self.flat, self.channels = True, layer.out

    def _block(self, part: Part) -> BlockInfo | None:
        leaves = list(part.leaves())
        joins = joined(leaves, self.channels or 0, self._behind(leaves))
        if joins is not None:
            return joins
        if sum(leaf.kind == "conv" for leaf in leaves) < 2 or any(leaf.kind == "linear" for leaf in leaves):
            return None
        channels = self.channels or 0
        found = named(part, channels)
        if found is None and not any(
            isinstance(child, Part) and holds_block(child) for child in part.children.values()
        ):
            found = shaped(leaves, channels)
        if found is not None:
            return found
        for child in part.children.values():
            if isinstance(child, Part) and (named(child, None) or self._inner(child)):
                return None
        out = through(leaves, channels)
        if out is None:
            return None
        block = BlockInfo(tuple(leaves), (), channels, out)
        likely = _signature(block) in self.signatures or bool(
            _NAMED_RESIDUAL.search(part.name.rpartition(".")[2])
        )
        likely = likely or part.name in self.stated.sums
        numbered = all(name.isdecimal() for name in part.children)
        adds = _RESIDUAL.search(part.name) or part.name in self.stated.own
        if not likely and (numbered or not adds):
            return None
        return BlockInfo(block.main, (), channels, out, False, likely)

    def _behind(self, leaves: list[FileLayer]) -> FileLayer | None:
        """The layer that follows these."""
        at = next(i for i, layer in enumerate(self.order, 1) if layer is leaves[-1])
        return self.order[at] if at < len(self.order) else None

    def _inner(self, part: Part) -> bool:
        """Whether blocks may stand inside a part."""
        convs = sum(leaf.kind == "conv" for leaf in part.leaves())
        return convs >= 2 and any(
            isinstance(child, Part) or not key.isdecimal() for key, child in part.children.items()
        )
