"""The facts of a whole module: layers without weights, what runs in a row, and which parts may add or branch."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from ti_core.reconstruction.sketch import Layer


@dataclass(frozen=True)
class Gap:
    """What a module registers between two layers with weights.

    Parameters
    ----------
    layers : each with its name, in order of registration.
    exact : whether these layers and no others run there, in this order.
    sure : whether all of these layers run there, perhaps with others.
    """

    layers: tuple[tuple[str, Layer], ...] = ()
    exact: bool = False
    sure: bool = False

    def within(self, part: str, wanted: bool = True) -> Gap:
        """The share of the gap that lies inside of a part, or outside."""
        kept = tuple(one for one in self.layers if one[0].startswith(f"{part}.") is wanted)
        return self if kept == self.layers else Gap(kept, False, self.sure)


@dataclass(frozen=True)
class Stated:
    """The facts of a whole module.

    Parameters
    ----------
    gaps : by the names of the layers before and behind; "" for the network's beginning and end.
    acts, pools : the activations and poolings that the module registers, the most frequent first.
    own : names of the parts whose classes are not known, so that they may add or branch.
    sums : names of the parts that hold an empty way, as a shortcut that hands its input on.
    """

    gaps: Mapping[tuple[str, str], Gap] = field(default_factory=dict)
    acts: tuple[Layer, ...] = ()
    pools: tuple[Layer, ...] = ()
    own: frozenset[str] = frozenset()
    sums: frozenset[str] = frozenset()

    @property
    def act(self) -> Layer | None:
        """The network's activation, if the module registers one."""
        return self.acts[0] if self.acts else None

    @property
    def few_acts(self) -> bool:
        """Whether activations are registered at less than half of the places, so that they may be used anywhere."""
        places = sum(layer in self.acts for gap in self.gaps.values() for _, layer in gap.layers)
        return 2 * places < len(self.gaps)


NOTHING = Stated()
"""A bare state dict says nothing beside its tensors."""
