"""A program as an ``nn.Module`` on batches of images."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum
from typing import Any

import torch
from torch import Tensor, nn

from ti_core.errors import ModelBehaviourError
from ti_core.loading.onnx.batches.rebatch import Rebatch
from ti_core.loading.onnx.limits import Budget
from ti_core.loading.onnx.plan import Plan, make_plan
from ti_core.loading.onnx.program import Program

PLANS_KEPT = 8
"""How many plans are kept, one for each shape of input: a full batch, a smaller last one, single images, ..."""


class Batching(Enum):
    """How a graph processes a batch of N images. The value describes it for users."""

    WHOLE = "any batch size"
    REWRITTEN = "exported for {n} image(s) at a time; the constant batch size in its reshapes is replaced"
    MAPPED = "exported for one image at a time; mapped over the batch"
    CHUNKS = "exported for {n} image(s) at a time; larger batches go through in pieces"


@dataclass(frozen=True)
class Layout:
    """How images ``N x C x H x W`` in [0, 1] become the graph's input.

    Parameters
    ----------
    channels_last : whether the graph takes ``N x H x W x C``.
    scale : the factor by which pixels are multiplied.
    """

    channels_last: bool = False
    scale: float = 1.0


class OnnxNetwork(nn.Module):
    """The graph's output as a differentiable function of its input.

    Parameters
    ----------
    program : a program with one input and one output.
    layout : how images become the graph's input.
    exported : the batch size that the graph was exported with.
    """

    def __init__(self, program: Program, layout: Layout, exported: int) -> None:
        super().__init__()
        self.layout = layout
        self.exported = exported
        self.batching = Batching.WHOLE
        self.program = program
        self._fixed: dict[int, Tensor] = {}
        self._plans: OrderedDict[Any, Plan] = OrderedDict()
        for number, constant in program.constants.items():
            if not constant.is_floating_point():
                self._fixed[number] = constant
            elif constant.ndim and number not in program.statistics:
                self.register_parameter(f"value_{number}", nn.Parameter(constant, requires_grad=False))
            else:
                self.register_buffer(f"value_{number}", constant)

    def forward(self, images: Tensor) -> Tensor:
        """Scores ``N x K`` of images ``N x C x H x W``. ModelBehaviourError is raised if they do not fit."""
        x = self._adapted(images)
        if self.batching is Batching.CHUNKS:
            return self._in_chunks(x)
        if self.batching is Batching.MAPPED:
            each = torch.vmap(lambda image: self._run(image.unsqueeze(0)).squeeze(0))
            return self._rows(each(x), len(x))
        return self._rows(self._run(x), len(x))

    def _run(self, x: Tensor) -> Tensor:
        """The graph's output. The first input of each shape makes a plan, which later inputs reuse.

        What a gradient is asked of goes through the plan the first time too. The steps that make a plan keep other
        values for it, and a second pass for the gradient (:mod:`ti_core.classifier.fast.portions`) needs the same ones.
        """
        plan = self._plans.get(self._key(x))
        if plan is None:
            differentiated = torch.is_grad_enabled() and x.requires_grad
            plan, output = self._planned(x.detach() if differentiated else x)
            if not differentiated:
                return output
        return plan.run(x)[0]

    def _key(self, x: Tensor) -> Any:
        return (x.shape, x.dtype, x.device, self.batching is Batching.REWRITTEN)

    def _planned(self, x: Tensor) -> tuple[Plan, Tensor]:
        """A new plan, which is kept, and the output that it was made with."""
        rewrite = None
        if self.batching is Batching.REWRITTEN and len(x) != self.exported:
            shapes = self._make_plan(x[:1].detach().expand(self.exported, *x.shape[1:]))[0].shapes
            rewrite = Rebatch(shapes, self.exported, len(x))
        plan, outputs = self._make_plan(x, rewrite)
        self._plans[self._key(x)] = plan
        if len(self._plans) > PLANS_KEPT:
            self._plans.popitem(last=False)
        return plan, outputs[0]

    def pieces(self, images: Tensor, most: int) -> list[tuple[Plan, Tensor, int]]:
        """Images as the graph takes them, for what looks at its steps.

        Returns
        -------
        For each piece of at most ``most`` images, or of the number that the graph takes: the plan, the plan's input,
        and how many of its images count. A last piece may be filled up by copies.
        """
        size = {Batching.MAPPED: 1, Batching.CHUNKS: self.exported}.get(self.batching, most)
        found = []
        for part in torch.split(self._adapted(images), size):
            x = self._filled(part) if self.batching is Batching.CHUNKS else part
            plan = self._plans.get(self._key(x)) or self._planned(x.detach())[0]
            found.append((plan, x, len(part)))
        return found

    def _make_plan(self, x: Tensor, rewrite: Rebatch | None = None) -> tuple[Plan, list[Tensor]]:
        known = {n: self._fixed[n] if n in self._fixed else self._weight(n) for n in self.program.constants}
        return make_plan(self.program, known, [x], Budget(len(x)), rewrite)

    def shape_of_scores(self, images: Tensor) -> torch.Size | None:
        """Shape of the output for a batch of the exported size, or None if it does not depend on the pixels."""
        with torch.no_grad():
            plan, scores = self._make_plan(self._filled(self._adapted(images[:1])))
        return scores[0].shape if plan.outputs[0] in plan.shapes else None

    def _adapted(self, images: Tensor) -> Tensor:
        x = images if self.layout.scale == 1 else images * self.layout.scale
        return x.permute(0, 2, 3, 1) if self.layout.channels_last else x

    def _in_chunks(self, x: Tensor) -> Tensor:
        chunks = torch.split(x, self.exported)
        return torch.cat([self._rows(self._run(self._filled(c)), self.exported)[: len(c)] for c in chunks])

    def _filled(self, chunk: Tensor) -> Tensor:
        """The chunk, filled up to the exported batch size by repeating its last image."""
        missing = self.exported - len(chunk)
        return torch.cat([chunk, chunk[-1:].expand(missing, *chunk.shape[1:])]) if missing else chunk

    def _rows(self, scores: Tensor, count: int) -> Tensor:
        if scores.shape[0] != count:
            raise ModelBehaviourError(f"The graph gives {scores.shape[0]} rows of scores for {count} images.")
        return scores if scores.ndim == 2 else scores.flatten(1)

    def _weight(self, number: int) -> Tensor:
        weight: Tensor = getattr(self, f"value_{number}")
        return weight.detach()

    def _apply(self, fn: Callable[[Tensor], Tensor], recurse: bool = True) -> OnnxNetwork:
        # Plans hold the constants themselves. Moving the module to a device replaces the constants.
        self._plans.clear()
        super()._apply(fn, recurse)  # type: ignore[no-untyped-call]
        return self

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_plans": OrderedDict()}
