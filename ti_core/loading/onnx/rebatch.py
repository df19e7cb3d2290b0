"""Graphs exported for a fixed number of images: letting another number through."""

from __future__ import annotations

from typing import Any

import torch

from ti_core.loading.onnx.plan import Shapes
from ti_core.loading.onnx.program import Step


class Rebatch:
    """Replaces the batch size where a graph holds it as a constant, and only where that is provably right.

    Two places: a Reshape whose input is the batch along axis 0 and whose target begins with the exported
    batch size (elements are stored image by image, so image by image is how they are reshaped), and a
    constant that is joined to every image, such as a class token, which is repeated.

    Parameters
    ----------
    shapes : of the values when the exported number of images goes through.
    exported, wanted : numbers of images.
    """

    def __init__(self, shapes: Shapes, exported: int, wanted: int) -> None:
        self.shapes = shapes
        self.exported = exported
        self.wanted = wanted

    def __call__(self, step: Step, values: list[Any], constant: list[bool]) -> None:
        name = step.operator.name
        if (
            name == "Reshape"
            and not constant[0]
            and constant[1]
            and self._is_batch(step.inputs[0], values[0])
        ):
            after = self.shapes.get(step.outputs[0])
            if after and after[0] == self.exported:
                values[1] = torch.tensor([self.wanted, *after[1:]], device=values[1].device)
        if name == "Concat" and self.exported == 1 and step.attributes.get("axis") != 0:
            batches = [
                self._is_batch(n, v) for n, v, c in zip(step.inputs, values, constant, strict=True) if not c
            ]
            if batches and all(batches):
                for i, known in enumerate(constant):
                    if known and values[i].ndim and values[i].shape[0] == 1:
                        values[i] = values[i].expand(self.wanted, *values[i].shape[1:])

    def _is_batch(self, number: int, value: torch.Tensor) -> bool:
        """Whether axis 0 counts the images: it alone changed with their number."""
        before = self.shapes.get(number)
        if not before or value.shape[0] != self.wanted:
            return False
        return before[0] == self.exported and before[1:] == value.shape[1:]
