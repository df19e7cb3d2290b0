"""A graph as a program: a plain list of steps on numbered values."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch

from ti_core.errors import ModelBehaviourError, ModelFileError
from ti_core.loading.onnx import limits
from ti_core.loading.onnx.limits import Budget
from ti_core.loading.onnx.registry import Operator

ABSENT = -1
"""Stands for an optional input that is left out, or an output without a name."""


@dataclass(frozen=True)
class Step:
    """One step of a program: a node of the graph.

    Parameters
    ----------
    operator : what the step computes.
    label : the node in words, for messages.
    inputs, outputs : numbers of values, or ABSENT.
    attributes : the keywords of the operator's function.
    """

    operator: Operator
    label: str
    inputs: tuple[int, ...]
    outputs: tuple[int, ...]
    attributes: Mapping[str, Any]

    def call(self, arguments: Sequence[Any], budget: Budget) -> tuple[torch.Tensor, ...]:
        """Compute the outputs, after checking that their sizes are within the budget.

        Any error is raised with one sentence that names the node.
        """
        keywords = self.keywords()
        try:
            budget.check(self.operator.size(*arguments, **keywords), self.label)
            result = self.operator.function(*arguments, **keywords)
        except (ModelFileError, ModelBehaviourError, torch.OutOfMemoryError):
            raise
        except Exception as error:
            raise ModelBehaviourError(f"{self.label} cannot be computed: {first_line(error)}") from error
        outputs = result if isinstance(result, tuple) else (result,)
        if len(outputs) < len(self.outputs):
            raise ModelBehaviourError(
                f"{self.label} has {len(self.outputs)} outputs, of which only {len(outputs)} are supported."
            )
        budget.take(sum(o.numel() for o in outputs), self.label)
        return outputs

    def keywords(self) -> dict[str, Any]:
        """The function's keyword arguments."""
        if self.operator.wants_outputs:
            return {**self.attributes, "outputs": len(self.outputs)}
        return dict(self.attributes)

    def arguments(self, values: Sequence[Any], known: Sequence[bool]) -> list[Any]:
        """The function's positional arguments. Constant lists and scalars become Python numbers."""
        arguments = list(values)
        if self.operator.constant and not all(known):
            raise ModelFileError(
                f"{self.label} makes a number of values that depends on the pixels, which is not supported."
            )
        if self.operator.of_batch(**self.keywords()) and not known[0]:
            raise ModelFileError(
                f"{self.label} is in training mode: it normalises each image by the others of its batch, so that no "
                "image has an answer of its own. Export the network after calling eval()."
            )
        for i in self.operator.lists | self.operator.scalars | self.operator.singles:
            if i >= len(arguments) or arguments[i] is None:
                continue
            if not known[i]:
                if i in self.operator.lists:
                    raise ModelFileError(
                        f"{self.label} computes the shape of a value from the pixels, which is not supported."
                    )
            elif i in self.operator.lists:
                if arguments[i].numel() > limits.MAX_LIST:
                    raise ModelFileError(
                        f"{self.label} uses a tensor of {arguments[i].numel():,} numbers as a list; "
                        f"the limit is {limits.MAX_LIST:,}."
                    )
                arguments[i] = arguments[i].tolist()
            elif i in self.operator.singles:
                if arguments[i].numel() == 1 and arguments[i].ndim <= arguments[0].ndim:
                    arguments[i] = arguments[i].item()
            elif arguments[i].ndim == 0:
                arguments[i] = arguments[i].item()
        return arguments

    def fold(
        self, arguments: Sequence[Any], budget: Budget, device: torch.device
    ) -> tuple[torch.Tensor, ...]:
        """The outputs as constants."""
        # Tensors made in inference mode could not be used in a gradient later.
        with torch.inference_mode(False), torch.no_grad(), torch.device(device):
            return self.call(arguments, budget)


@dataclass(frozen=True)
class Draft:
    """A step of the plan. Of its arguments only the constant ones are held, None stands for the others."""

    step: Step
    arguments: list[Any]
    constant: list[bool]


def first_line(error: Exception) -> str:
    """The first line of an exception's text, ending with a full stop."""
    text = limits.shown(str(error).strip().split("\n")[0])
    return (text or type(error).__name__).rstrip(".") + "."


@dataclass(frozen=True)
class Value:
    """The declared name, element type and dimensions of an input or output. None stands for any size."""

    name: str
    kind: int
    shape: tuple[int | None, ...] | None


@dataclass(frozen=True)
class Program:
    """A graph without functions, branches and constant subgraphs.

    Parameters
    ----------
    steps : the steps that the outputs need, in the order of computation.
    constants : values that do not depend on the image, by number.
    inputs, outputs : numbers of the graph's inputs and outputs.
    declared_inputs, declared_outputs : what the file declares of the inputs and outputs.
    size : how many values are numbered.
    statistics : numbers of the running statistics of batch norm. They count as buffers, not as weights.
    quantised : whether the graph holds weights or values as whole numbers.
    """

    steps: tuple[Step, ...]
    constants: Mapping[int, torch.Tensor]
    inputs: tuple[int, ...]
    outputs: tuple[int, ...]
    declared_inputs: tuple[Value, ...]
    declared_outputs: tuple[Value, ...]
    size: int
    statistics: frozenset[int] = field(default=frozenset())
    quantised: bool = False

    def last_uses(self) -> list[list[int]]:
        """For each step, the values that no later step and no output needs."""
        last: dict[int, int] = {}
        for i, step in enumerate(self.steps):
            last.update(dict.fromkeys((*step.inputs, *step.outputs), i))
        done: list[list[int]] = [[] for _ in self.steps]
        for number, i in last.items():
            if number not in self.outputs:
                done[i].append(number)
        return done

    def only(self, outputs: Sequence[int]) -> Program:
        """The part of the program that these outputs need."""
        needed = set(outputs)
        steps: list[Step] = []
        for step in reversed(self.steps):
            if needed.intersection(step.outputs):
                steps.append(step)
                needed.update(step.inputs)
        declared = dict(zip(self.outputs, self.declared_outputs, strict=True))
        return Program(
            steps=tuple(reversed(steps)),
            constants={i: c for i, c in self.constants.items() if i in needed},
            inputs=self.inputs,
            outputs=tuple(outputs),
            declared_inputs=self.declared_inputs,
            declared_outputs=tuple(declared[i] for i in outputs),
            size=self.size,
            statistics=self.statistics & needed,
            quantised=self.quantised,
        )
