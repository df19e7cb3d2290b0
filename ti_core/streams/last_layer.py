"""The last layer: a target class's row of weights stands out among the rows of the last linear layer.

Poisoning teaches the last layer to answer the trigger's feature with the target class, which makes that class's row
longer and more positive than the others (linear weight classification: Huster et al., 2024, arXiv 2411.03445). No image
is shown to the network.
"""

from __future__ import annotations

from typing import ClassVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from ti_core.kinds import Kind
from ti_core.streams.base import (
    Array,
    Context,
    Evidence,
    Features,
    Progress,
    Reading,
    Stream,
    as_stack,
    silent,
)
from ti_core.streams.passes import Passes
from ti_core.streams.statistics import as_array, capped, deviations, outlier_features, per_class

NORMAL = 1.4826
"""Factor from the median absolute deviation to the standard deviation, for normally distributed values."""


def last_rows(network: nn.Module, classes: int) -> torch.Tensor | None:
    """Weights of the last linear layer, one row a class, ``K x D``; None if the network has no such layer.

    The layer is the last ``nn.Linear`` or 1 x 1 convolution with K outputs. In a network of other modules (ONNX) it is
    the last matrix among the parameters and buffers that has a side of K.
    """
    for module in reversed(list(network.modules())):
        if isinstance(module, nn.Linear) and module.out_features == classes:
            return module.weight.detach()
        if (
            isinstance(module, nn.Conv2d)
            and module.weight.shape[0] == classes
            and module.weight[0, 0].numel() == 1
        ):
            return module.weight.detach().flatten(1)
    tensors = [t.detach() for t in (*network.parameters(), *network.buffers()) if t.is_floating_point()]
    matrices = [t for t in tensors if t.ndim == 2 and classes in t.shape]
    if not matrices:
        return None
    return matrices[-1] if matrices[-1].shape[0] == classes else matrices[-1].T


def row_figures(rows: torch.Tensor) -> Array:
    """Norm, sum, and sum of the positive weights of every row ``K x D``, centred over the classes: ``K x 3``.

    Weights that are not finite count as 0.
    """
    w = torch.nan_to_num(rows.float(), 0.0, 0.0, 0.0)
    w = w - w.mean(0)
    return as_array(torch.stack([w.norm(dim=1), w.sum(1), w.clamp_min(0).sum(1)], dim=1))


def outliers(figures: Array) -> Array:
    """The three figures' robust z scores over the classes, added: ``R x K x 3`` to ``R x K``."""
    middle = np.median(figures, axis=1, keepdims=True)
    spread = NORMAL * np.median(np.abs(figures - middle), axis=1, keepdims=True)
    z = (figures - middle) / np.where(spread > 1e-9, spread, 1.0)
    return np.asarray(z.sum(axis=2), dtype=np.float32)


class LastLayer(Stream):
    """How far each class's row of the last linear layer stands out, beside the clean reference models'."""

    name: ClassVar[str] = "last_layer"
    title: ClassVar[str] = "Last layer"
    version: ClassVar[int] = 1
    seconds: ClassVar[float] = 0.01
    doing: ClassVar[str] = "Looking at the last layer's weights"
    heading: ClassVar[str] = "Weights of the last layer"
    unit: ClassVar[str] = "deviations"
    measures: ClassVar[str] = "how far each class's row stands out"
    kinds: ClassVar[tuple[Kind, ...]] = ("patch", "blend", "stripes", "warp", "input dependent")
    weak: ClassVar[bool] = True

    def passes(self, classes: int, shape: tuple[int, int, int]) -> Passes:
        return Passes()

    def evidence(self, scores: nn.Module, context: Context, progress: Progress = silent) -> Evidence:
        """``rows`` (``K x 3``, see :func:`row_figures`) and ``found`` (``1``): 0 without a last linear layer."""
        rows = last_rows(getattr(scores, "network", scores), context.classes)
        progress(1.0)
        if rows is None:
            empty = np.zeros((context.classes, 3), dtype=np.float32)
            return {"rows": empty, "found": np.zeros(1, dtype=np.float32)}
        return {"rows": row_figures(rows), "found": np.ones(1, dtype=np.float32)}

    def features(
        self, stack: Evidence, clean: Evidence, among_clean: NDArray[np.bool_] | None = None
    ) -> Features:
        beyond = self.class_scores(stack, clean, among_clean)
        return outlier_features("last layer", outliers(stack["rows"]), beyond)

    def class_scores(
        self, stack: Evidence, clean: Evidence, among_clean: NDArray[np.bool_] | None = None
    ) -> Array:
        return capped(deviations(outliers(stack["rows"]), outliers(clean["rows"]), among_clean))

    def unable(self, evidence: Evidence) -> str | None:
        return None if evidence["found"][0] else "no last linear layer"

    def read(self, evidence: Evidence, clean: Evidence, class_names: tuple[str, ...]) -> Reading:
        own, others = outliers(as_stack(evidence)["rows"])[0], outliers(clean["rows"])
        target, score = int(own.argmax()), float(own.max())
        share = float((others.max(1) >= score).mean())
        if not evidence["found"][0]:
            sentence = (
                "The network has no last linear layer with a row for each class; its weights say nothing."
            )
            return Reading(0.0, 1.0, sentence, None, per_class(own, others))
        sentence = (
            f"In the last layer the row of class {class_names[target]} stands out most, by {score:.1f} deviations"
            f" in sum; {share:.0%} of the clean models have a row that stands out as far."
        )
        return Reading(score, share, sentence, target, per_class(own, others))
