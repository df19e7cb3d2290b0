"""Runs graphs that were exported for a fixed number of images with another number."""

from __future__ import annotations

from typing import Any

import torch

from ti_core.loading.onnx.plan import Shapes
from ti_core.loading.onnx.program import Step


class Rebatch:
    """Replaces the batch size where a graph holds it as a constant and the replacement is provably right.

    There are two such places. The first is a Reshape whose input has the images along axis 0 and whose target
    shape begins with the exported batch size. Elements are stored image by image, so each image is reshaped by
    itself. The second is a constant that is joined to every image, such as a class token. It is repeated.

    Parameters
    ----------
    shapes : shapes of the values for the exported number of images.
    exported, wanted : the exported and the new number of images.
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
        """Whether axis 0 counts the images. It does if it alone changed with their number."""
        before = self.shapes.get(number)
        if not before or value.shape[0] != self.wanted:
            return False
        return before[0] == self.exported and before[1:] == value.shape[1:]
