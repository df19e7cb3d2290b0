"""The orders that a file's layers may have: the file's own, and the natural order of their names."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from ti_core.reconstruction.layers.file_layers import FileLayer

_RANKS = (
    (re.compile(r"norm(alize|alise|alizer|alization)?$|preprocess|mean", re.IGNORECASE), 0),
    (re.compile(r"down_?sample|short_?cut|skip|proj|identity|bypass", re.IGNORECASE), 4),
    (
        re.compile(r"(fc|linear|lin|dense|classifier|head|out(put)?|logits?|last|final|pred)", re.IGNORECASE),
        3,
    ),
    (re.compile(r"(layer|block|stage|group|unit|res|trans)", re.IGNORECASE), 2),
)
"""Where a part stands by its name. All others, such as ``conv1``, ``bn1``, ``stem`` and ``features``, have rank 1."""


@dataclass
class Part:
    """A part of a network, by its name: the layers and parts below it."""

    name: str = ""
    children: dict[str, Part | FileLayer] = field(default_factory=dict)

    def leaves(self, child: str | None = None) -> Iterator[FileLayer]:
        """The layers below it, or below one child."""
        for name, part in self.children.items():
            if child is not None and name != child:
                continue
            if isinstance(part, FileLayer):
                yield part
            else:
                yield from part.leaves()


def tree(layers: Sequence[FileLayer]) -> Part:
    """The tree of the layers' names. A part stands where its first layer stands."""
    top = Part()
    for layer in layers:
        at, names = top, layer.name.split(".")
        for depth, name in enumerate(names[:-1], 1):
            below = at.children.get(name)
            if not isinstance(below, Part):
                # A layer and a part of one name: the part gets a name that no layer has.
                key = name if below is None else f"{name}/"
                below = at.children.setdefault(key, Part(".".join(names[:depth])))
                assert isinstance(below, Part)
            at = below
        last = names[-1]
        at.children[last if last not in at.children else f"{last}//"] = layer
    return top


def orders(layers: Sequence[FileLayer]) -> list[tuple[float, list[FileLayer]]]:
    """Orders of the layers, each with its cost; the usual first.

    Where the file's names are sorted by the alphabet, as safetensors writes them, its order says nothing.
    """
    own = list(layers)
    names = [layer.name for layer in own]
    alphabetical = names == sorted(names) and len(names) > 2
    natural, norms_first = (list(_sorted(tree(own), first)) for first in (False, True))
    found = [(0.0, own), (1.0, natural), (1.5, norms_first)]
    if alphabetical:
        found = [(0.0, natural), (0.5, norms_first), (0.7, own)]
    found += [(cost + 0.3, _repaired(ordered)) for cost, ordered in found]
    return [*found, *((cost + 0.6, _followed(ordered)) for cost, ordered in found[:3])]


def _sorted(part: Part, norms_first: bool) -> Iterator[FileLayer]:
    def key(item: tuple[str, Part | FileLayer]) -> tuple[int, int, int, str]:
        name, child = item
        rank = next((rank for pattern, rank in _RANKS if pattern.match(name)), 1)
        kind = 0
        if isinstance(child, FileLayer):
            rank = 3 if child.kind == "linear" else rank
            kind = {"batchnorm": -1 if norms_first else 1, "norm": -1 if norms_first else 1, "prelu": 2}.get(
                child.kind, 0
            )
        elif sum(leaf.kind == "conv" for leaf in child.leaves()) > 1 and not name.isdecimal():
            rank = max(rank, 2)
        numbers = re.findall(r"\d+", name)
        return rank, int(numbers[-1]) if numbers else 0, kind, name

    for _, child in sorted(part.children.items(), key=key):
        if isinstance(child, FileLayer):
            yield child
        else:
            yield from _sorted(child, norms_first)


def _followed(layers: Sequence[FileLayer]) -> list[FileLayer]:
    """The same with the outermost parts in an order that their channels allow; those that keep them come first."""
    whole = tree(layers)
    waiting = [list(whole.leaves(name)) for name in whole.children]
    found: list[FileLayer] = []
    channels: int | None = None

    def ends(part: list[FileLayer]) -> tuple[int | None, int | None]:
        wide = [layer for layer in part if layer.kind in ("conv", "linear")]
        if not wide:
            return part[0].shape[0], part[0].shape[0]
        # The first norm of a block that begins with one has the block's own channels, too.
        return wide[0].shape[1], wide[-1].out

    while waiting:
        fitting = [part for part in waiting if channels is not None and ends(part)[0] == channels]
        keeping = [part for part in fitting if ends(part)[1] == channels]
        part = (keeping or fitting or waiting)[0]
        waiting.remove(part)
        found += part
        channels = ends(part)[1]
    return found


def _repaired(layers: Sequence[FileLayer]) -> list[FileLayer]:
    """The same with every norm that finds other channels, and every second prelu, moved behind the next that fits."""
    found: list[FileLayer] = []
    waiting: list[FileLayer] = []
    channels: int | None = None
    for layer in layers:
        twice = layer.kind == "prelu" and bool(found) and found[-1].kind == "prelu"
        if twice or (layer.kind in ("batchnorm", "norm") and layer.shape[0] != channels):
            waiting.append(layer)
            continue
        found.append(layer)
        if layer.kind in ("conv", "linear"):
            channels = layer.out
            fitting = next((norm for norm in waiting if norm.shape[0] in (1, channels)), None)
            if fitting is not None:
                waiting.remove(fitting)
                found.append(fitting)
    return [*found, *waiting]
