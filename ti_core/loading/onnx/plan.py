"""A plan is a program for one shape of input. Whatever depends on shapes alone is computed once, for the plan.

Exporters write much arithmetic on shapes (Shape, Gather, Concat, ...) in front of a Reshape. For one shape of
the input its results are constant. So a plan holds only the steps that depend on pixels, with their other
arguments already bound. A plan is made while the first images of its shape are processed.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch

from ti_core.errors import ModelBehaviourError
from ti_core.loading.onnx.joining import joined
from ti_core.loading.onnx.limits import Budget
from ti_core.loading.onnx.program import ABSENT, Draft, Program, Step, first_line

Shapes = Mapping[int, torch.Size]
Rewrite = Callable[[Step, list[Any], list[bool]], None]


@dataclass(frozen=True)
class Action:
    """One call of a plan, with the places of its arguments and results and the places to free after it.

    ``operator`` is the ONNX operator's name; ``label`` the node in words.
    """

    operator: str
    function: Callable[..., Any]
    arguments: tuple[int, ...]
    keywords: Mapping[str, Any]
    results: tuple[int, ...]
    free: tuple[int, ...]
    label: str


@dataclass(frozen=True)
class Plan:
    """The steps for one shape of input.

    Parameters
    ----------
    actions : the calls, in order.
    values : the constants in their places, None elsewhere.
    inputs, outputs : places of the inputs and outputs.
    shapes : shape of every value that depends on the inputs, by the value's number in the program.
    """

    actions: tuple[Action, ...]
    values: tuple[Any, ...]
    inputs: tuple[int, ...]
    outputs: tuple[int, ...]
    shapes: Shapes

    def run(self, *inputs: torch.Tensor) -> list[torch.Tensor]:
        """Compute the outputs. They are differentiable with respect to the inputs."""
        values = list(self.values)
        for place, tensor in zip(self.inputs, inputs, strict=True):
            values[place] = tensor
        action = None
        try:
            for action in self.actions:
                result = action.function(*[values[i] for i in action.arguments], **action.keywords)
                if type(result) is tuple:
                    for place, part in zip(action.results, result, strict=False):
                        values[place] = part
                else:
                    values[action.results[0]] = result
                for place in action.free:
                    values[place] = None
        except torch.OutOfMemoryError:
            raise
        except (RuntimeError, IndexError, ValueError) as error:
            label = action.label if action else "The graph"
            raise ModelBehaviourError(f"{label} cannot be computed: {first_line(error)}") from error
        return [values[i] for i in self.outputs]


def make_plan(
    program: Program,
    constants: Mapping[int, torch.Tensor],
    inputs: Sequence[torch.Tensor],
    budget: Budget,
    rewrite: Rewrite | None = None,
) -> tuple[Plan, list[torch.Tensor]]:
    """Compute the outputs, and make a plan for further inputs of the same shapes, types and device.

    Parameters
    ----------
    program : what to compute.
    constants : the program's constants, by number.
    inputs : one tensor for each input of the program.
    budget : how many numbers all values together may have.
    rewrite : called with each step, its arguments and which of them are constant. It may change the arguments
        in place.

    Raises
    ------
    RefusedFileError : the values would be larger than the budget.
    ModelFileError, ModelBehaviourError : the graph does not fit inputs of these shapes.
    """
    device = inputs[0].device
    known: dict[int, torch.Tensor] = dict(constants)
    moving = dict(zip(program.inputs, inputs, strict=True))
    shapes = {number: x.shape for number, x in moving.items()}
    drafts: list[Draft] = []
    for step, done in zip(program.steps, program.last_uses(), strict=True):
        constant = [i == ABSENT or i in known for i in step.inputs]
        values = [
            None if i == ABSENT else known[i].to(device) if i in known else moving[i] for i in step.inputs
        ]
        if rewrite is not None:
            rewrite(step, values, constant)
        arguments = step.arguments(values, constant)
        if all(constant) or step.operator.of_shapes:
            known.update(_named(step, step.fold(arguments, budget, device)))
        else:
            results = _named(step, step.call(arguments, budget))
            moving.update(results)
            shapes.update({number: x.shape for number, x in results.items()})
            # What depends on pixels is not kept: at 224 pixels it would take gigabytes.
            bound = [x if fixed else None for x, fixed in zip(arguments, constant, strict=True)]
            drafts.append(Draft(step, bound, constant))
        for number in done:
            moving.pop(number, None)
    outputs = [moving[n] if n in moving else known[n] for n in program.outputs]
    return _lay_out(program, joined(drafts, shapes, program.outputs), known, shapes), outputs


def _named(step: Step, results: Sequence[torch.Tensor]) -> dict[int, torch.Tensor]:
    return {n: r for n, r in zip(step.outputs, results, strict=False) if n != ABSENT}


def _lay_out(
    program: Program,
    drafts: Sequence[Draft],
    known: Mapping[int, torch.Tensor],
    shapes: Shapes,
) -> Plan:
    """Give every value a place, and free each one after its last use.

    The place of a value that depends on the inputs is its number. One further place takes the outputs without
    a name. The bound arguments come last.
    """
    nowhere = program.size
    places: list[Any] = [None] * (program.size + 1)
    last = {number: i for i, draft in enumerate(drafts) for number in draft.step.inputs if number in shapes}
    kept = set(program.outputs)
    actions = []
    for i, draft in enumerate(drafts):
        arguments = []
        for number, value, constant in zip(draft.step.inputs, draft.arguments, draft.constant, strict=True):
            if constant:
                arguments.append(len(places))
                places.append(value)
            else:
                arguments.append(number)
        used = {n for n in draft.step.inputs if last.get(n) == i}
        unused = {n for n in draft.step.outputs if n != ABSENT and n not in last}
        actions.append(
            Action(
                operator=draft.step.operator.name,
                function=draft.step.operator.function,
                arguments=tuple(arguments),
                keywords=draft.step.keywords(),
                results=tuple(nowhere if n == ABSENT else n for n in draft.step.outputs),
                free=tuple((used | unused) - kept),
                label=draft.step.label,
            )
        )
    for number in program.outputs:
        if number in known:
            places[number] = known[number]
    return Plan(
        actions=tuple(actions),
        values=tuple(places),
        inputs=program.inputs,
        outputs=program.outputs,
        shapes=shapes,
    )
