"""What may stand between two layers of a whole module: what it registers there, and what it may call."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from ti_core.reconstruction.chain import Step
from ti_core.reconstruction.sketch import Layer
from ti_core.reconstruction.usual import (
    ACT,
    ACTIVATION_WORDS,
    ENDINGS,
    POOL,
    POOL_WORDS,
    STRIDED_POOL,
    WIDE_POOL,
    Choice,
)
from ti_core.reconstruction.whole.facts import Gap, Stated

ELSEWHERE = 2.0
"""Cost of other layers than those that are registered at this place."""
REUSED = 0.5
"""The same where the module has few activations, which it may use anywhere."""
UNREGISTERED = 1.0
"""Cost of no activation where the module registers none at all, so that it calls functions."""
FURTHER = 1.0
"""Cost of further layers beside those that surely run."""


def gap_before(steps: Sequence[Step], index: int, stated: Stated) -> Gap | None:
    """What is registered between the step and the one before it; None where they are no neighbours in the file."""
    step, last = steps[index], steps[index - 1] if index else None
    before = next((s.layer.name for s in reversed(steps[:index]) if s.layer is not None), "")
    if last is not None and last.kind == "exit" and last.block is not None and last.block.shortcut:
        before = last.block.shortcut[-1].name
    behind = next((s.layer.name for s in steps[index:] if s.layer is not None), "")
    if step.kind == "exit" and step.block is not None and step.block.shortcut:
        behind = step.block.shortcut[0].name
    found = stated.gaps.get((before, behind))
    if found is None or (before == "" and not found.sure):
        # What stands before all layers with weights is registered there to be used at other places.
        return None
    for block, wanted in (
        (step.block if step.kind == "exit" else None, True),
        (step.block if step.kind == "enter" else None, False),
        (last.block if last is not None and last.kind == "exit" else None, False),
        (last.block if last is not None and last.kind == "enter" else None, True),
    ):
        found = found.within(block.name, wanted) if block is not None else found
    return found


def gap_behind(steps: Sequence[Step], stated: Stated) -> Gap | None:
    """What is registered behind the last layer with weights."""
    last = next((s.layer.name for s in reversed(steps) if s.layer is not None), "")
    return stated.gaps.get((last, ""))


def stated_choices(usual: Iterable[Choice], gap: Gap | None, stated: Stated) -> list[Choice]:
    """The registered layers, and the usual ones with the module's own poolings."""
    layers = tuple(layer for _, layer in gap.layers if layer.word != "flatten") if gap is not None else ()
    if gap is not None and gap.exact:
        return [Choice(layers)]
    found = list(_with_own_pools(usual, stated.pools))
    likely = tuple(ACT if layer == stated.act else layer for layer in layers)
    if gap is not None and gap.sure:
        return _with_sure(found, likely, bool(stated.acts))
    likely = tuple(layer for layer in likely if layer.word not in ENDINGS)
    if not likely:
        return found
    acted = any(layer == ACT or layer.word in ACTIVATION_WORDS for layer in likely)
    dearer = REUSED if acted and len(likely) == 1 and stated.few_acts else ELSEWHERE
    found = [Choice(c.layers, c.cost + dearer) for c in found]
    if acted:
        return _distinct([*found, Choice(likely)])
    with_act, without = (0.3, REUSED) if stated.acts else (0.0, UNREGISTERED)
    return _distinct(
        [*found, Choice((ACT, *likely), with_act), Choice((*likely, ACT), 0.7), Choice(likely, without)]
    )


def _with_sure(found: list[Choice], sure: tuple[Layer, ...], registered: bool) -> list[Choice]:
    """The choices that hold these layers, in this order."""
    if not sure:
        return found
    more = [Choice(c.layers, c.cost + FURTHER) for c in found if _holds(c.layers, sure)]
    if registered:
        return _distinct([Choice(sure), *more])
    # No activation is registered anywhere, so that the network calls one.
    return _distinct([Choice(sure, UNREGISTERED), Choice((ACT, *sure)), *more])


def _with_own_pools(usual: Iterable[Choice], pools: Sequence[Layer]) -> Iterator[Choice]:
    for choice in usual:
        pool = next((layer for layer in choice.layers if layer in (POOL, STRIDED_POOL, WIDE_POOL)), None)
        if pool is None or not pools:
            yield choice
        elif pool == POOL:
            for own in pools:
                yield Choice(tuple(own if layer == pool else layer for layer in choice.layers), choice.cost)
            # The network may call a function that pools otherwise.
            yield Choice(choice.layers, choice.cost + ELSEWHERE)


def _holds(layers: tuple[Layer, ...], sure: tuple[Layer, ...]) -> bool:
    """Whether the layers are the sure ones with others before, among or behind them."""
    rest = iter(layers)
    return len(layers) > len(sure) and all(layer in rest for layer in sure)


def _distinct(choices: Iterable[Choice]) -> list[Choice]:
    """Each row of layers once, at its least cost."""
    least: dict[tuple[Layer, ...], float] = {}
    for choice in choices:
        least[choice.layers] = min(choice.cost, least.get(choice.layers, choice.cost))
    return [Choice(layers, cost) for layers, cost in least.items()]


def pools_of(layers: Iterable[Layer]) -> tuple[Layer, ...]:
    """The poolings with a window among the layers, the most frequent first."""
    return _frequent(layer for layer in layers if layer.word in POOL_WORDS)


def acts_of(layers: Iterable[Layer]) -> tuple[Layer, ...]:
    """The activations among the layers, the most frequent first."""
    return _frequent(layer for layer in layers if layer.word in ACTIVATION_WORDS)


def _frequent(layers: Iterable[Layer]) -> tuple[Layer, ...]:
    counts: dict[Layer, int] = {}
    for layer in layers:
        counts[layer] = counts.get(layer, 0) + 1
    return tuple(sorted(counts, key=lambda layer: -counts[layer]))
