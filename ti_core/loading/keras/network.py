"""A Keras graph as an ``nn.Module`` on batches of images."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import Enum

import torch
from torch import Tensor, nn

from ti_core.errors import ModelBehaviourError
from ti_core.loading.keras.graph import INPUT, Value
from ti_core.loading.keras.layers.registry import Part, Same
from ti_core.loading.onnx.limits import Budget
from ti_core.loading.onnx.program import first_line

SHAPES_KEPT = 32
"""For how many shapes of images it is remembered that their sizes were checked."""


@dataclass(frozen=True)
class Step:
    """One call of a layer: which part it is, its inputs, the values to free after it, and its name in words."""

    part: int
    inputs: tuple[Value, ...]
    free: tuple[Value, ...]
    label: str


class GraphModule(nn.Module):
    """A model's calls one after the other, on values in Keras's layout. A nested model is a part of this kind.

    Parameters
    ----------
    parts : the layers; one that is called twice stands here once.
    calls : for each call the number of its part, its inputs, and its name in words.
    outputs : the results; one is returned by itself, several as a tuple.
    """

    def __init__(
        self,
        parts: Sequence[nn.Module],
        calls: Sequence[tuple[int, tuple[Value, ...], str]],
        outputs: tuple[Value, ...],
    ) -> None:
        super().__init__()
        self.parts = nn.ModuleList(parts)
        self.outputs = outputs
        last = {value: number for number, (_, inputs, _) in enumerate(calls) for value in inputs}
        self.steps = [
            Step(part, inputs, tuple(v for v in set(inputs) if last[v] == number and v not in outputs), label)
            for number, (part, inputs, label) in enumerate(calls)
        ]

    def forward(self, *inputs: Tensor, budget: Budget | None = None) -> Tensor | tuple[Tensor, ...]:
        """The outputs. With a budget, every call is first asked how many numbers it makes.

        Raises
        ------
        ModelBehaviourError : a layer does not fit its inputs.
        RefusedFileError : the numbers are beyond the budget.
        """
        values: dict[Value, Tensor] = {(INPUT, place): value for place, value in enumerate(inputs)}
        step = None
        try:
            for number, step in enumerate(self.steps):
                result = self._called(step, [values[value] for value in step.inputs], budget)
                results = result if isinstance(result, tuple) else (result,)
                values.update({(number, place): one for place, one in enumerate(results)})
                for value in step.free:
                    values.pop(value, None)
            found = tuple(values[value] for value in self.outputs)
        except torch.OutOfMemoryError:
            raise
        except (RuntimeError, ValueError, IndexError, TypeError, KeyError) as error:
            label = step.label if step else "The model"
            raise ModelBehaviourError(f"{label} cannot be computed: {first_line(error)}") from error
        return found[0] if len(found) == 1 else found

    def _called(self, step: Step, inputs: list[Tensor], budget: Budget | None) -> Tensor | tuple[Tensor, ...]:
        part = self.parts[step.part]
        if isinstance(part, GraphModule):
            return part(*inputs, budget=budget)  # type: ignore[no-any-return]
        if budget is not None:
            assert isinstance(part, Part)
            budget.take(part.numbers(*[value.shape for value in inputs]), step.label)
        return part(*inputs)  # type: ignore[no-any-return]

    def without(self, ending: Callable[[nn.Module], bool], place: int = 0) -> bool:
        """Leave out the activation at the end of an output, if it is such an ``ending`` and nothing else uses it."""
        value = self.outputs[place]
        if self.outputs.count(value) > 1:
            return False
        while value[0] != INPUT:
            step = self.steps[value[0]]
            used = sum(value in other.inputs for other in self.steps) + (value in self.outputs)
            if used > 1 or sum(other.part == step.part for other in self.steps) > 1:
                return False
            part = self.parts[step.part]
            if isinstance(part, GraphModule):
                return part.without(ending, value[1])
            if ending(part):
                self.parts[step.part] = Same()
                return True
            inner = getattr(part, "activation", None)
            if isinstance(inner, nn.Module) and ending(inner):
                part.activation = Same()
                return True
            if not isinstance(part, Same):
                return False
            value = step.inputs[0]
        return False


class Layout(Enum):
    """How images ``N x C x H x W`` become a model's input. The value says it to users."""

    LAST = "The Keras model takes images with the channels last; they are moved there."
    FIRST = "The Keras model takes images with the channels first."
    GREY = "The Keras model takes images without an axis for channels; they have one channel."
    ROW = "The Keras model takes each image as one row of numbers, row by row and with the channels last."

    def adapted(self, images: Tensor) -> Tensor:
        """The model's input."""
        if self is Layout.FIRST:
            return images
        if self is Layout.GREY:
            return images.squeeze(1)
        last = images.permute(0, 2, 3, 1)
        return last if self is Layout.LAST else last.flatten(1)


class KerasNetwork(nn.Module):
    """A Keras model's output as a differentiable function of images.

    Attributes
    ----------
    layout : how images become the model's input.
    pair : whether the model's one score z an image becomes the two scores (0, z), whose softmax is (1 - p, p) for p the
        sigmoid of z.
    """

    def __init__(self, graph: GraphModule, layout: Layout) -> None:
        super().__init__()
        self.graph = graph
        self.layout = layout
        self.pair = False
        self._checked: set[torch.Size] = set()

    def forward(self, images: Tensor) -> Tensor | tuple[Tensor, ...]:
        """Scores ``N x K`` of images ``N x C x H x W``; a tuple if the model has several outputs.

        Raises
        ------
        ModelBehaviourError : the images do not fit.
        RefusedFileError : images of this size would take too much memory.
        """
        if images.shape[1:] not in self._checked:
            self._check(images[:1])
        found = self.graph(self.layout.adapted(images))
        return tuple(map(self._rows, found)) if isinstance(found, tuple) else self._rows(found)

    def _check(self, image: Tensor) -> None:
        """Add up what the calls make of one image, each before it is made."""
        with torch.no_grad():
            self.graph(self.layout.adapted(image), budget=Budget())
        if len(self._checked) < SHAPES_KEPT:
            self._checked.add(image.shape[1:])

    def _rows(self, scores: Tensor) -> Tensor:
        if scores.ndim == 4 and scores.shape[1:3] == (1, 1):
            scores = scores.flatten(1)
        return torch.cat([torch.zeros_like(scores), scores], 1) if self.pair else scores
