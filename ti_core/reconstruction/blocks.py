"""Blocks with a shortcut, by the names of their parts or by their shapes."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from math import prod

from ti_core.reconstruction.layers.file_layers import FileLayer
from ti_core.reconstruction.layers.orders import Part

_SHORTCUT = re.compile(
    r"down_?sample|short_?cut|skip|proj(ection)?|residual|identity|bypass|adjust|match|res_?conv|conv_?(res|skip|id)|short|side",
    re.IGNORECASE,
)


@dataclass(frozen=True)
class BlockInfo:
    """A block whose result may be added to its input.

    Parameters
    ----------
    main, shortcut : the layers of the two ways.
    channels, out : that enter and that leave.
    sure : whether a layer of the shortcut shows that there is one.
    likely : whether the block is built as others that surely have one, or is named after it.
    name : of the part that is the block.
    joins : whether the result stands behind the input, as in a DenseNet, and is not added to it.
    """

    main: tuple[FileLayer, ...]
    shortcut: tuple[FileLayer, ...]
    channels: int
    out: int
    sure: bool = False
    likely: bool = False
    name: str = ""
    joins: bool = False

    @property
    def stride(self) -> int | None:
        """The stride of the main way, where a whole module states it."""
        strides = [
            layer.stated.option("stride") for layer in self.main if layer.kind == "conv" and layer.stated
        ]
        return prod(int(s[0]) for s in strides if s) if strides else None


def holds_block(part: Part) -> bool:
    """Whether a part is a block with a shortcut of its own, or holds one."""
    leaves = list(part.leaves())
    first = next((leaf.shape[1] for leaf in leaves if leaf.kind == "conv"), 0)
    if not first or len(leaves) < 3:
        return False
    below = [child for child in part.children.values() if isinstance(child, Part)]
    return bool(named(part, None) or shaped(leaves, first)) or any(map(holds_block, below))


def takes(layer: FileLayer, channels: int) -> bool:
    """Whether a convolution can take so many channels, with groups if need be."""
    inner = layer.shape[1]
    return channels == inner or (channels % inner == 0 and layer.out % (channels // inner) == 0)


def through(layers: Sequence[FileLayer], channels: int) -> int | None:
    """Channels behind these layers in a row, or None if they do not follow from one another."""
    for layer in layers:
        if layer.kind == "conv":
            if not takes(layer, channels):
                return None
            channels = layer.out
        elif layer.kind != "prelu" and layer.shape[0] != channels:
            return None
    return channels


def joined(leaves: Sequence[FileLayer], channels: int, behind: FileLayer | None) -> BlockInfo | None:
    """A block whose result stands behind its input: what follows takes the channels of both, and not its own alone."""
    own = through(leaves, channels)
    if own is None or behind is None or not any(leaf.kind == "conv" for leaf in leaves):
        return None
    both = channels + own
    if behind.kind == "linear":
        fits = behind.shape[1] == both
    elif behind.kind == "conv":
        fits = behind.shape[1] == both and not takes(behind, own)
    else:
        fits = behind.kind in ("batchnorm", "norm") and behind.shape[0] == both
    return BlockInfo(tuple(leaves), (), channels, both, True, True, joins=True) if fits else None


def named(part: Part, channels: int | None) -> BlockInfo | None:
    """A block one of whose parts is called a shortcut."""
    names = [name for name in part.children if _SHORTCUT.fullmatch(name) or _SHORTCUT.match(name)]
    short = [leaf for name in names for leaf in part.leaves(name)]
    rest = [leaf for name in part.children if name not in names for leaf in part.leaves(name)]
    if not short or not rest or short[0].kind != "conv":
        return None
    return _block_of(rest, short, short[0].shape[1] if channels is None else channels)


def _block_of(main: Sequence[FileLayer], shortcut: Sequence[FileLayer], channels: int) -> BlockInfo | None:
    out = through(main, channels)
    convs = [layer for layer in shortcut if layer.kind == "conv"]
    if out is None or not convs or through(shortcut, channels) != out or shortcut[0].kind != "conv":
        return None
    return BlockInfo(tuple(main), tuple(shortcut), channels, out, True, True)


def shaped(layers: Sequence[FileLayer], channels: int) -> BlockInfo | None:
    """A block whose last or first layers fit its input, where they stand in the file, and not what is before them."""
    for at, layer in enumerate(layers):
        if not at or layer.kind != "conv":
            continue
        before = through(layers[:at], channels)
        # With groups almost any number of channels can be taken, so the weight's own number decides.
        if before is None or layer.shape[1] in (1, before) or layer.shape[1] != channels:
            continue
        # The shortcut is the shorter way.
        ways = sorted((layers[:at], layers[at:]), key=len, reverse=True)
        single = sum(layer.kind == "conv" for layer in ways[1]) == 1
        return _block_of(ways[0], ways[1], channels) if single else None
    return None
