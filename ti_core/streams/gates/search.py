"""The search for gates: conditions that never change on clean images, reversed by force and then by pixels.

A forced condition is an intervention (do-calculus: Pearl, 2009): the graph runs with the other value in the condition's
place. What counts as a gate found is stricter. Pixels must be found that reverse the condition, the answers of unseen
images must follow, and they must return when the condition alone is held at its clean value.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from itertools import islice

import torch
from torch import Tensor

from ti_core.errors import ModelBehaviourError
from ti_core.streams.base import Progress, silent
from ti_core.streams.gates.conditions import (
    MOVING,
    Condition,
    Reversal,
    continuous,
    reversals,
    survey,
    together,
)
from ti_core.streams.gates.solve import PATCH, Stamp, solve
from ti_core.streams.gates.trace import AT_ONCE, Graph

CLEAN, UNSEEN = 64, 48
"""Clean images that triggers are made on, and those that they are tried on. A gate's condition changes on none."""
MOST = 0.5
"""Share of images whose answers a gate changes."""
TRIED = 256
"""Reversals that are forced. Those of the fewest values come first."""
SOLVED = 6
"""Reversals that are solved for pixels."""
SURE = 0.9
"""Flip share from which no further one is solved."""


@dataclass(frozen=True)
class Effect:
    """What a forced reversal does to clean images.

    Parameters
    ----------
    reached : share of the images of other answers that get each class, ``K``.
    moved : share of images whose answer changes.
    """

    reversal: Reversal
    reached: Tensor
    moved: float

    @property
    def target(self) -> int | None:
        """The class that most images get, if any."""
        best = int(self.reached.argmax())
        return best if float(self.reached[best]) >= MOST else None


@dataclass(frozen=True)
class Solved:
    """A gate with its trigger, and the share of unseen images whose answer hangs on it."""

    effect: Effect
    stamp: Stamp
    flipped: float


@dataclass(frozen=True)
class Gates:
    """What was found in one graph.

    Parameters
    ----------
    conditions : how many conditions and whole numbers depend on pixels.
    gates : effects of conditions with one value an image, and of solved ones. Of several that are made of each other
        it is the last. The strongest comes first.
    solved : the gate whose trigger flips most, if pixels were found.
    left : reversals that were not tried for their number.
    """

    conditions: int = 0
    gates: list[Effect] = field(default_factory=list)
    solved: Solved | None = None
    left: int = 0


def find_gates(graph: Graph, images: Tensor, classes: int, progress: Progress = silent) -> Gates:
    """Search a graph's gates on clean images ``N x C x H x W``."""
    few = images[: max(1, min(CLEAN, len(images) // 2))]
    unseen = images[len(few) :][:UNSEEN] if len(images) > 1 else images
    conditions = survey(graph, images[: CLEAN + UNSEEN])
    tried, left = _reversals(graph, few[:1], conditions)
    progress(0.2)
    answers = graph.answers(few[:AT_ONCE])
    effects: list[Effect] = []
    for i, reversal in enumerate([*tried, *islice(together(conditions), TRIED)]):
        if i >= len(tried) and effects:
            break
        effect = _forced(graph, reversal, few[:AT_ONCE], answers, classes)
        effects += [effect] if effect is not None and effect.moved >= MOST else []
        progress(0.2 + 0.4 * min(1.0, (i + 1) / len(tried)) if tried else 0.6)
    effects = sorted(effects, key=lambda e: (_depth(e, effects), -e.moved))
    solved = _solved(graph, effects, few, unseen, progress)
    last = [e for e in effects if _depth(e, effects) == 0]
    gates = [e for e in last if e.reversal.single]
    if solved is not None and not any(
        solved.effect.reversal.last.index in e.reversal.last.behind for e in gates
    ):
        gates.insert(0, solved.effect)
    return Gates(sum(c.kind != "product" for c in conditions), gates, solved, left)


def _reversals(graph: Graph, image: Tensor, conditions: list[Condition]) -> tuple[list[Reversal], int]:
    """The reversals to force, and how many are left out for their number."""
    found: list[Reversal] = []
    for condition in conditions:
        ways = list(reversals(graph, condition))
        if ways and not continuous(graph, image, condition):
            found += ways
    found.sort(key=lambda r: r.size)
    return found[:TRIED], max(0, len(found) - TRIED)


def _forced(graph: Graph, reversal: Reversal, images: Tensor, answers: Tensor, classes: int) -> Effect | None:
    try:
        forced = graph.answers(images, reversal.forced())
    except ModelBehaviourError:
        return None
    moved = (forced != answers) & (forced >= 0) & (answers >= 0)
    reached = torch.stack(
        [(moved & (forced == k)).sum() / (answers != k).sum().clamp_min(1) for k in range(classes)]
    )
    return Effect(reversal, reached.float(), float(moved.float().mean()))


def _depth(effect: Effect, effects: list[Effect]) -> int:
    """How many of the other effects' conditions are made of this one's."""
    own = effect.reversal.last.index
    return sum(own in e.reversal.last.behind and own != e.reversal.last.index for e in effects)


def _solved(
    graph: Graph, effects: list[Effect], few: Tensor, unseen: Tensor, progress: Progress
) -> Solved | None:
    best: Solved | None = None
    for i, effect in enumerate(effects[:SOLVED]):
        try:
            stamp = solve(graph, effect.reversal, few)
            if stamp is not None and stamp.share <= PATCH:
                found = Solved(effect, stamp, _flipped(graph, effect, stamp, unseen))
                if found.flipped > (best.flipped if best is not None else 0.0):
                    best = found
        except ModelBehaviourError:
            continue
        finally:
            progress(0.6 + 0.4 * (i + 1) / min(len(effects), SOLVED))
        if best is not None and best.flipped >= SURE:
            break
    return best


def _flipped(graph: Graph, effect: Effect, stamp: Stamp, unseen: Tensor) -> float:
    """Share of unseen images that the trigger moves, and that return when the condition is held at its clean value."""
    target, before = effect.target, graph.answers(unseen)
    stamped = stamp.on(unseen)
    after, held = graph.answers(stamped), graph.answers(stamped, effect.reversal.withheld())
    others = (before != target) if target is not None else (before >= 0)
    moved = (after == target) if target is not None else (after != before) & (after >= 0)
    back = (held >= 0) & (held != after)
    return float((others & moved & back).sum() / others.sum().clamp_min(1))


def user_of(graph: Graph, condition: Condition) -> int | None:
    """The action that a condition decides on, beyond those that only move or convert it."""
    place = condition.place
    for i, action in enumerate(graph.actions[condition.index + 1 :], condition.index + 1):
        if place in action.arguments:
            if action.operator not in MOVING | {"Not", "Cast"}:
                return i
            place = action.results[0]
    return None
