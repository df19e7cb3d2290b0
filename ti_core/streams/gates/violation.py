"""How far a condition is from being true and from being false, as differentiable functions of the pixels.

Every condition has two violations, each 0 or more: of being true and of being false (the robustness of signal temporal
logic, Donze and Maler, 2010, split into its two sides). Those of a conjunction's parts add up. Of a disjunction's parts
the least counts. A number that is made of conditions keeps its value and takes its gradient from the violations.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor

from ti_core.loading.onnx.plan import Action, Plan
from ti_core.streams.gates.conditions import CHOICES, COMPARISONS, LOGIC, MOVING, ROUNDING

SLACK = 1e-4
"""How far beyond a bound a value must be, relative to the bound where that is above 1."""


@dataclass(frozen=True)
class Pair:
    """Violations of a condition's being true and of its being false."""

    true: Tensor
    false: Tensor

    def each(self, function: Callable[[Tensor], Tensor]) -> Pair:
        return Pair(function(self.true), function(self.false))

    @property
    def lean(self) -> Tensor:
        """Positive where the condition is true, by how far."""
        return self.false - self.true


@dataclass
class Softened:
    """Values of a run, by place: as they are, and how conditions and whole numbers depend on pixels."""

    values: list[Any]
    pairs: dict[int, Pair] = field(default_factory=dict)
    numbers: dict[int, Tensor] = field(default_factory=dict)

    def number(self, place: int) -> Tensor:
        """A value as a floating number with a gradient, where it has one."""
        if place in self.numbers:
            return self.numbers[place]
        value: Tensor = self.values[place]
        return value if value.is_floating_point() else value.float()

    def pair(self, place: int) -> Pair | None:
        """A condition's violations; those of a constant are 0 and 1."""
        value = self.values[place]
        if place in self.pairs or not isinstance(value, Tensor) or value.dtype != torch.bool:
            return self.pairs.get(place)
        return Pair((~value).float(), value.float())

    def soft(self, place: int) -> bool:
        return place in self.pairs or place in self.numbers


def needed(plan: Plan, wanted: list[int]) -> list[int]:
    """The actions that some actions' results are made of, themselves included, in order."""
    places: set[int] = set()
    found = []
    for i in range(max(wanted), -1, -1):
        if i in wanted or places.intersection(plan.actions[i].results):
            found.append(i)
            places.update(plan.actions[i].arguments)
    return found[::-1]


def soften(plan: Plan, x: Tensor, actions: list[int]) -> Softened:
    """Run a plan's input through some of its actions."""
    state = Softened(list(plan.values))
    state.values[plan.inputs[0]] = x
    for i in actions:
        action = plan.actions[i]
        result = action.function(*[state.values[p] for p in action.arguments], **action.keywords)
        parts = result if isinstance(result, tuple) else (result,)
        for place, part in zip(action.results, parts, strict=False):
            state.values[place] = part
        if len(parts) == 1:
            _attach(state, action, parts[0])
    return state


def _attach(state: Softened, action: Action, value: Tensor) -> None:
    """Say how the result of an action depends on pixels, where torch's own gradient does not."""
    place, arguments = action.results[0], action.arguments
    if action.operator in COMPARISONS | LOGIC or (value.dtype == torch.bool and action.operator in LOGICAL):
        pair = _logic(state, action)
        if pair is not None:
            state.pairs[place] = pair
    elif action.operator == "Cast":
        _cast(state, place, arguments[0], value)
    elif action.operator in ROUNDING:
        state.values[place] = straight(value, state.number(arguments[0]))
    elif action.operator in CHOICES:
        state.numbers[place] = straight(value.float(), _choice(state.number(arguments[0]), action))
    elif action.operator == "Where" and value.dtype != torch.bool:
        state.numbers[place] = _where(state, arguments, value)
    elif any(state.soft(p) for p in arguments) or (action.operator in PRODUCTS and value.requires_grad):
        _apply(state, action, value)
    if value.is_floating_point() and place in state.numbers:
        state.values[place] = state.numbers.pop(place)


LOGICAL = frozenset({"ReduceMin", "ReduceMax", "Where"})
"""Further operators that may give conditions made of conditions."""
PRODUCTS = frozenset({"Mul", "ReduceProd"})


def straight(value: Tensor, slope: Tensor) -> Tensor:
    """A value with another one's gradient."""
    return value.detach() + torch.nan_to_num(slope - slope.detach(), 0.0, 0.0, 0.0)


def _logic(state: Softened, action: Action) -> Pair | None:
    pairs = [state.pair(p) for p in action.arguments]
    known = [p for p in pairs if p is not None]
    if action.operator in COMPARISONS and len(known) < 2:
        return _compared(
            action.operator, state.number(action.arguments[0]), state.number(action.arguments[1])
        )
    if action.operator in ("ReduceMin", "ReduceMax") and known:
        return _reduced(state, action, known[0])
    if len(known) < len(pairs):
        return None
    return _joined(action.operator, known)


def _joined(operator: str, pairs: list[Pair]) -> Pair | None:
    a, b = pairs[0], pairs[-1]
    if operator == "Not":
        return Pair(a.false, a.true)
    if operator == "And":
        return Pair(a.true + b.true, torch.minimum(a.false, b.false))
    if operator == "Or":
        return Pair(torch.minimum(a.true, b.true), a.false + b.false)
    unlike = torch.minimum(a.true + b.false, a.false + b.true)
    alike = torch.minimum(a.true + b.true, a.false + b.false)
    if operator == "Xor":
        return Pair(unlike, alike)
    if operator == "Equal":
        return Pair(alike, unlike)
    if operator == "Where":
        condition, yes, no = pairs
        return Pair(
            torch.minimum(condition.true + yes.true, condition.false + no.true),
            torch.minimum(condition.true + yes.false, condition.false + no.false),
        )
    return None


def _compared(operator: str, a: Tensor, b: Tensor) -> Pair:
    slack = SLACK * torch.maximum(b.detach().abs(), a.detach().abs()).clamp_min(1.0)
    if operator == "Equal":
        apart = (a - b).abs()
        return Pair(apart, torch.relu(slack - apart))
    above, below = torch.relu(a - b + slack), torch.relu(b - a + slack)
    return Pair(below, above) if operator.startswith("Greater") else Pair(above, below)


def _reduced(state: Softened, action: Action, pair: Pair) -> Pair:
    """All of several conditions (the least), or any of them (the largest)."""

    def over(value: Tensor, operator: str) -> Tensor:
        axes = state.values[action.arguments[1]] if len(action.arguments) > 1 else action.keywords.get("axes")
        dims = [axes] if isinstance(axes, int) else list(axes) if axes else list(range(value.ndim))
        keep = bool(action.keywords.get("keepdims", 1))
        return value.sum(dims, keepdim=keep) if operator == "sum" else value.amin(dims, keepdim=keep)

    if action.operator == "ReduceMin":
        return Pair(over(pair.true, "sum"), over(pair.false, "least"))
    return Pair(over(pair.true, "least"), over(pair.false, "sum"))


def _cast(state: Softened, place: int, source: int, value: Tensor) -> None:
    pair = state.pair(source)
    if value.dtype == torch.bool:
        if pair is None:
            number = state.number(source)
            pair = Pair(torch.where(number == 0, 0.5 - number, torch.zeros_like(number)), number.abs())
        state.pairs[place] = pair
    elif pair is not None:
        state.numbers[place] = straight(value.float(), pair.lean)
    elif not value.is_floating_point() or source in state.numbers:
        state.numbers[place] = straight(value.float(), state.number(source))


def _choice(x: Tensor, action: Action) -> Tensor:
    """The place of the largest (or smallest) value as a smooth mean over the places."""
    axis, keep = int(action.keywords.get("axis", 0)), bool(action.keywords.get("keepdims", 1))
    shares = (x if action.operator == "ArgMax" else -x).softmax(axis).movedim(axis, -1)
    mean = shares @ torch.arange(shares.shape[-1], dtype=shares.dtype, device=shares.device)
    return mean.unsqueeze(axis) if keep else mean


def _where(state: Softened, arguments: tuple[int, ...], value: Tensor) -> Tensor:
    pair = state.pair(arguments[0])
    yes, no = state.number(arguments[1]), state.number(arguments[2])
    chosen = torch.where(state.values[arguments[0]], yes, no)
    if pair is None:
        return chosen
    step = torch.nan_to_num((yes - no).detach(), 0.0, 0.0, 0.0)
    return chosen + (pair.lean - pair.lean.detach()) * step


def _apply(state: Softened, action: Action, value: Tensor) -> None:
    """Let an action's own function work on violations, or on numbers with a gradient."""
    place, arguments = action.results[0], action.arguments
    try:
        if value.dtype == torch.bool and action.operator in MOVING:
            pairs = [state.pair(p) for p in arguments]

            def moved(side: str) -> Tensor:
                given = [
                    getattr(p, side) if p else state.values[a] for p, a in zip(pairs, arguments, strict=True)
                ]
                found: Tensor = action.function(*given, **action.keywords)
                return found

            state.pairs[place] = Pair(moved("true"), moved("false"))
            return
        given = [state.numbers.get(p, state.values[p]) for p in arguments]
        state.numbers[place] = straight(value.float(), _arithmetic(action, given))
    except (RuntimeError, IndexError, ValueError, TypeError, AttributeError):
        return  # the gradient ends here


def _arithmetic(action: Action, given: list[Any]) -> Tensor:
    """The action's function on numbers. A product of zeros and ones is their least, which has a gradient at 0."""
    tensors = [g for g in given if isinstance(g, Tensor)]
    if action.operator == "ReduceProd" and _bits(tensors[0]):
        least: Tensor = 1 - torch.relu(1 - tensors[0])
        axes = given[1] if len(given) > 1 else action.keywords.get("axes")
        dims = [axes] if isinstance(axes, int) else list(axes) if axes else list(range(least.ndim))
        return least.amin(dims, keepdim=bool(action.keywords.get("keepdims", 1)))
    if action.operator == "Mul" and all(t.requires_grad and _bits(t) for t in tensors):
        return torch.minimum(*tensors)
    found: Tensor = action.function(*given, **action.keywords)
    return found


def _bits(value: Tensor) -> bool:
    return bool(((value == 0) | (value == 1)).all())
