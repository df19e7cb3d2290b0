"""What a gate could hang on: conditions and whole numbers that come from pixels and never change on clean images."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

from ti_core.errors import ModelBehaviourError
from ti_core.loading.onnx.plan import Action
from ti_core.streams.gates.trace import AT_ONCE, Change, Graph

COMPARISONS = frozenset({"Equal", "Greater", "GreaterOrEqual", "Less", "LessOrEqual"})
LOGIC = frozenset({"And", "Or", "Xor", "Not"})
QUANTISING = "QuantizeLinear"
ROUNDING = frozenset({"Sign", "Floor", "Ceil", "Round", QUANTISING})
CHOICES = frozenset({"ArgMax", "ArgMin"})
GUARDS = frozenset({"IsNaN", "IsInf"})
"""Exporters write them to keep broken numbers out. They are no gates."""
PRODUCTS = frozenset({"Mul", "Min", "Max", "Sum", "Add"})
MOVING = frozenset(
    {
        "Identity",
        "Reshape",
        "Flatten",
        "Squeeze",
        "Unsqueeze",
        "Transpose",
        "Expand",
        "Tile",
        "Concat",
        "Split",
    }
    | {"Slice", "Gather", "GatherElements", "GatherND"}
)
"""Operators that only move values."""
MOST_VALUES = 16
"""How many values of an image a gate may hang on at once. The many that an activation leaves alone are no gate."""
MOST_OPTIONS = 8
"""How many places of a largest value are tried."""
LEVEL = 1e-4
"""How little scores may differ, relative to the largest, where a function counts as continuous."""


@dataclass(frozen=True)
class Condition:
    """A step whose result is a condition or a whole number, and its values on clean images.

    Parameters
    ----------
    index : of the step among the plan's actions.
    place : of its result.
    kind : "condition" (true or false), "rounding", "choice" (the place of a largest or smallest value), or "product" of
        numbers that are made of conditions, which is never reversed by itself.
    usual, same : the value on a clean image, and where it is the same on all of them.
    behind : indices of the conditions that it is made of, through conditions and whole numbers only.
    """

    index: int
    place: int
    kind: str
    usual: Tensor
    same: Tensor
    behind: frozenset[int]


@dataclass(frozen=True)
class Part:
    """Some values of one condition that never change on clean images, and what is put in their place."""

    condition: Condition
    where: Tensor
    to: Tensor

    def put(self, new: Tensor) -> Change:
        """Puts new values in the place of the condition's."""
        return lambda value: torch.where(self.where, new.to(value.dtype), value)

    def there(self, value: Tensor, images: int) -> Tensor:
        """Which of the images have all the wanted values, ``N``."""
        if self.condition.kind != "rounding":
            hit = value == self.to
        else:
            hit = torch.where(self.to > self.condition.usual, value >= self.to, value <= self.to)
        hit = hit | ~self.where
        return hit.reshape(images, -1).all(1) if value.ndim > self.where.ndim else hit.all().expand(images)


@dataclass(frozen=True)
class Reversal:
    """Conditions that are reversed together; mostly one."""

    parts: tuple[Part, ...]

    @property
    def single(self) -> bool:
        """Whether every condition has one value an image."""
        return all(part.where.numel() == 1 for part in self.parts)

    @property
    def size(self) -> int:
        """How many values of an image it changes."""
        return sum(int(part.where.sum()) for part in self.parts)

    @property
    def last(self) -> Condition:
        """The condition that is computed last."""
        return self.parts[-1].condition

    def forced(self) -> dict[int, Change]:
        """Puts the other values in place."""
        return {part.condition.place: part.put(part.to) for part in self.parts}

    def withheld(self) -> dict[int, Change]:
        """Puts the clean images' values in place."""
        return {part.condition.place: part.put(part.condition.usual) for part in self.parts}


def survey(graph: Graph, images: Tensor) -> list[Condition]:
    """Every condition of the graph that depends on pixels, in order, with its values on clean images."""
    drafts = _Drafts(graph, images[:2])
    seen: dict[int, tuple[Tensor, Tensor]] = {}
    for start in range(0, len(images), AT_ONCE):
        for run in graph.run(images[start : start + AT_ONCE], drafts.kinds):
            for place, value in run.values.items():
                batched = value.ndim > 0 and value.shape[0] == run.images
                usual = value[0] if batched else value
                same = (value == usual).all(0) if batched else value == value
                if place in seen and seen[place][0].shape == usual.shape:
                    usual, same = seen[place][0], seen[place][1] & same & (usual == seen[place][0])
                seen[place] = (usual.clone(), same)
    return [
        Condition(drafts.made_by[place], place, kind, *seen[place], frozenset(drafts.behind[place]))
        for place, kind in drafts.kinds.items()
        if place in seen
    ]


class _Drafts:
    """The kinds of conditions by place, and what each is made of.

    Attributes
    ----------
    kinds : the kind of every condition, by place.
    made_by : the action that makes each value, by place.
    behind : the conditions that a value is made of, as indices of actions, by place.
    """

    def __init__(self, graph: Graph, images: Tensor) -> None:
        self.kinds: dict[int, str] = {}
        self.made_by = {place: i for i, a in enumerate(graph.actions) for place in a.results}
        self.behind: dict[int, set[int]] = {}
        every = {*self.made_by, *graph.plan.inputs}
        values = graph.run(images, every)[0].values
        whole: dict[int, bool] = {place: not values[place].is_floating_point() for place in values}
        guards: set[int] = set()
        for i, action in enumerate(graph.actions):
            moving = [p for p in action.arguments if p in every]
            guard = action.operator in GUARDS or (
                action.operator == "Equal" and len(set(moving)) < len(moving)
            )
            if guard or (moving and guards.issuperset(moving)):
                guards.update(action.results)
                continue
            place = action.results[0]
            steps = all(whole.get(p, False) for p in moving)
            kind = _kind(
                action, values[place], values.get(action.arguments[0]) if action.arguments else None, steps
            )
            earlier = {j for p in moving if whole.get(p) for j in self.behind.get(p, ())}
            if kind is not None:
                self.kinds[place] = kind
            own = {i} if kind is not None else set()
            for p in action.results:
                if steps or kind is not None:
                    whole[p] = True
                if whole.get(p):
                    self.behind[p] = earlier | own


def _kind(action: Action, value: Tensor, first: Tensor | None, of_steps: bool) -> str | None:
    """The kind of condition that an action's result is, or None."""
    if action.operator in MOVING:
        return None
    if action.operator in CHOICES:
        return "choice"
    if value.dtype == torch.bool:
        same = first is not None and first.dtype == torch.bool
        return None if action.operator == "Cast" and same else "condition"
    if action.operator == QUANTISING:
        # In a quantised network every value is a step of the one before, and each is rounded again.
        return "rounding"
    if of_steps:
        return "product" if action.operator in PRODUCTS else None
    rounds = action.operator in ROUNDING or (action.operator == "Cast" and not value.is_floating_point())
    return "rounding" if rounds else None


def reversals(graph: Graph, condition: Condition) -> Iterator[Reversal]:
    """Every way to reverse a condition where it never changes."""
    usual, same = condition.usual, condition.same
    if condition.kind == "condition":
        ways = [(same & (usual != value), torch.full_like(usual, value)) for value in (True, False)]
    elif condition.kind == "choice":
        ways = [
            (same & (usual != j), torch.full_like(usual, j))
            for j in range(min(_options(graph, condition), MOST_OPTIONS))
        ]
    elif condition.kind == "product":
        return
    else:
        signs = [torch.full_like(usual, value) for value in (-1, 0, 1)]
        sign = graph.actions[condition.index].operator == "Sign"
        ways = [(same & (usual != to), to) for to in (signs if sign else (usual + 1, usual - 1))]
    for where, to in ways:
        if 0 < int(where.sum()) <= MOST_VALUES:
            yield Reversal((Part(condition, where, to),))


def together(conditions: list[Condition]) -> Iterator[Reversal]:
    """Conditions that are made true at once, for gates that are the product of several.

    First those that meet in one step, then all of the graph.
    """
    parts = [
        Part(c, c.same & ~c.usual, torch.ones_like(c.usual))
        for c in conditions
        if c.kind == "condition" and 0 < int((c.same & ~c.usual).sum()) <= MOST_VALUES
    ]
    groups = {
        tuple(p for p in parts if p.condition.index in c.behind) for c in conditions if c.kind == "product"
    }
    for group in sorted({*groups, tuple(parts)}, key=len):
        if len(group) > 1:
            yield Reversal(group)


def _options(graph: Graph, condition: Condition) -> int:
    action = graph.actions[condition.index]
    shape = graph.plan.shapes[action.arguments[0]]
    return int(shape[int(action.keywords.get("axis", 0))])


def continuous(graph: Graph, image: Tensor, condition: Condition) -> bool:
    """Whether the scores go on without a step where the comparison behind a condition changes its answer.

    One side of the comparison is put in the other's place, so that they are equal. If the answers "true" and "false"
    then give the same scores, the comparison belongs to an activation, such as ``Where(x > 0, x, 0.1 x)``. Scores that
    are not finite count as no step: a comparison that keeps a divisor from 0 is no gate.
    """
    made_by = {place: a for a in graph.actions for place in a.results}
    action = graph.actions[condition.index]
    while action.operator not in COMPARISONS:
        moving = [p for p in action.arguments if p in made_by]
        if action.operator not in MOVING | {"Not", "Cast"} or len(moving) != 1:
            return False
        action = made_by[moving[0]]
    places = {*made_by, *graph.plan.inputs}
    plan = graph.pieces(image)[0][0]
    left, right = action.arguments
    watched = graph.run(image, {left, right} & places)[0].values
    values = {p: watched.get(p, plan.values[p]) for p in (left, right)}
    for changed, other in ((left, right), (right, left)):
        if (
            changed in places
            and torch.broadcast_shapes(values[left].shape, values[right].shape) == values[changed].shape
        ):
            level = values[other].to(values[changed].dtype).expand_as(values[changed])
            return _no_step(graph, image, {changed: _constant(level)}, action.results[0])
    return False


def _constant(new: Tensor) -> Change:
    """Puts one value in place of any."""
    return lambda _: new


def _no_step(graph: Graph, image: Tensor, level: dict[int, Change], place: int) -> bool:
    try:
        with_true, with_false = (
            graph.run(image, (), {**level, place: change})[0].scores
            for change in (torch.ones_like, torch.zeros_like)
        )
    except ModelBehaviourError:
        return False
    if not bool(with_true.isfinite().all() and with_false.isfinite().all()):
        return True
    return float((with_true - with_false).abs().max()) <= LEVEL * max(1.0, float(with_true.abs().max()))
