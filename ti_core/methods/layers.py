"""The inner layers of a network: where they are, what they give, and what comes of putting something else there.

A place is one call of one module, since a network may use the same module, such as a ReLU, several times in a pass.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn

from ti_core.classifier.scores import Scores

ACTIVATIONS = (nn.ReLU, nn.ReLU6, nn.LeakyReLU, nn.ELU, nn.GELU, nn.SiLU, nn.Tanh)
Change = Callable[[torch.Tensor], torch.Tensor]


@dataclass(frozen=True, eq=False)
class Place:
    """One call of one module in a pass.

    Parameters
    ----------
    module : it has no modules of its own.
    call : the number of the call in the pass, from 0.
    shape : of what it gives for one image.
    """

    module: nn.Module
    call: int
    shape: tuple[int, ...]


def places(network: nn.Module, image: torch.Tensor) -> list[Place]:
    """Every call of an inner module without modules of its own, in the order of one pass of ``image``.

    Parameters
    ----------
    network : class scores (:class:`~ti_core.classifier.scores.Scores`), or a network alone.
    image : ``1 x C x H x W``.
    """
    found: list[Place] = []
    calls: Counter[int] = Counter()

    def note(module: nn.Module, given: Any, output: Any) -> None:
        if isinstance(output, torch.Tensor) and output.ndim >= 2 and len(output) == len(image):
            found.append(Place(module, calls[id(module)], tuple(output.shape[1:])))
        calls[id(module)] += 1

    whole = network.network if isinstance(network, Scores) else network
    leaves = [m for m in whole.modules() if not any(m.children()) and m is not whole]
    handles = [m.register_forward_hook(note) for m in leaves]
    try:
        with torch.no_grad():
            network(image)
    finally:
        for handle in handles:
            handle.remove()
    return found


def activations(network: nn.Module, image: torch.Tensor) -> list[Place]:
    """The places of the activation functions, in the order of one pass."""
    return [p for p in places(network, image) if isinstance(p.module, ACTIVATIONS)]


def run(network: nn.Module, images: torch.Tensor, changes: Mapping[Place, Change]) -> torch.Tensor:
    """What the network gives, where the outputs at these places are replaced by what ``changes`` make of them."""
    calls: Counter[nn.Module] = Counter()
    by_call = {(place.module, place.call): change for place, change in changes.items()}

    def replace(module: nn.Module, given: Any, output: torch.Tensor) -> torch.Tensor | None:
        change = by_call.get((module, calls[module]))
        calls[module] += 1
        return None if change is None else change(output)

    handles = [m.register_forward_hook(replace) for m in {place.module for place in changes}]
    try:
        found: torch.Tensor = network(images)
    finally:
        for handle in handles:
            handle.remove()
    return found


def outputs(
    network: nn.Module, images: torch.Tensor, at: Sequence[Place]
) -> tuple[torch.Tensor, list[torch.Tensor]]:
    """What the network gives, and what these places give in the same pass."""
    kept: dict[Place, torch.Tensor] = {}

    def keeping(place: Place) -> Change:
        def keep(output: torch.Tensor) -> torch.Tensor:
            kept[place] = output
            return output

        return keep

    scores = run(network, images, {place: keeping(place) for place in at})
    return scores, [kept[place] for place in at]


def inputs(network: nn.Module, images: torch.Tensor, place: Place) -> tuple[torch.Tensor, torch.Tensor]:
    """What the network gives, and what this place is given in the same pass.

    An activation function has no gradient where it is flat, and what it is given has one.
    """
    calls: list[torch.Tensor] = []
    handle = place.module.register_forward_pre_hook(lambda module, given: calls.append(given[0]))
    try:
        scores: torch.Tensor = network(images)
    finally:
        handle.remove()
    return scores, calls[place.call]
