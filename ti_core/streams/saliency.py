"""The paper's stream: stacked histograms of the upper quantiles of unnormalised saliency."""

from __future__ import annotations

from typing import ClassVar

import numpy as np
import torch
from numpy.typing import NDArray

from ti_core.probes import ROWS
from ti_core.profile import (
    FLOOR,
    LEVELS,
    boundaries,
    image_levels,
    image_values,
    kept_image_histograms,
    kept_quantile_histograms,
    pooled_levels,
)
from ti_core.saliency import saliency_maps
from ti_core.settings import Settings
from ti_core.streams.base import Array, Context, Evidence, Features, Progress, Reading, Stream, silent

SPREAD = (0.0, 0.1, 0.25, 0.5, 0.75, 0.9, 1.0)
"""Quantiles over the images by which relative values are summed up."""

HEADROOM = 10**0.25
"""The boundaries reach this factor beyond the clean reference models' own values."""


class Saliency(Stream):
    """Algorithm 1, lines 9 to 17. A model's evidence is the quantile functions of its saliency values.

    Parameters
    ----------
    settings : their quantiles, bins and histogram form say how the histograms are made. Turning them runs no
        model, since the quantile functions serve all of them.
    """

    name: ClassVar[str] = "saliency"
    title: ClassVar[str] = "Saliency histograms"
    version: ClassVar[int] = 1

    def __init__(self, settings: Settings | None = None) -> None:
        self.settings = settings or Settings()

    def evidence(self, scores: torch.nn.Module, context: Context, progress: Progress = silent) -> Evidence:
        """``pooled``, ``G x levels``, and ``per_image``, ``G x 3N x levels``, for the G groups of probes."""
        assert context.probes is not None
        pooled, per_image = [], []
        for index, group in enumerate(context.probes.images):
            maps = saliency_maps(scores, group).cpu().numpy()
            pooled.append(pooled_levels(maps))
            per_image.append(image_levels(maps))
            progress((index + 1) / len(context.probes.images))
        return {"pooled": np.stack(pooled), "per_image": np.stack(per_image)}

    def edges(self, clean: Evidence) -> NDArray[np.float64]:
        """The fixed boundaries B: from the clean reference models' values, the same for every model and histogram."""
        lowest = min(self.settings.quantiles)
        pooled = clean["pooled"]
        ranks = kept_ranks(lowest, pooled.shape[-1])
        low = float(np.quantile(pooled[..., ranks].min(axis=-1), 0.05))
        return boundaries(low / HEADROOM, float(pooled.max()) * HEADROOM, self.settings.bins)

    def features(
        self, stack: Evidence, clean: Evidence, among_clean: NDArray[np.bool_] | None = None
    ) -> Features:
        """The paper's stacked histograms, and beside them what is free of each network's own loudness.

        Networks differ in the size of their gradients by more than a trigger changes them. So the per-image values
        are also taken relative to the model's own median peak, and as the change that a trigger makes to the same
        image; both apart for clean, maximised and minimised images, as logarithms, summed up by their quantiles.
        """
        edges = self.edges(clean)
        rows = [
            self._histograms(p, i, edges) for p, i in zip(stack["pooled"], stack["per_image"], strict=True)
        ]
        groups = len(stack["pooled"][0])
        loudness = [self._relative(per_image) for per_image in stack["per_image"]]
        matrix = np.stack(
            [
                np.concatenate([*(h.ravel() for h in r), extra])
                for r, extra in zip(rows, loudness, strict=True)
            ]
        )
        return Features(self.names(groups), matrix.astype(np.float32))

    def _relative(self, per_image: Array) -> Array:
        """Of one model's ``G x 3N x levels``: quantiles over the images of the relative values, flat."""
        values = np.log10(image_values(per_image, (1.0, *self.settings.quantiles)) + FLOOR)
        middle = np.median(values[..., 0])
        parts = [values - middle]
        if "none" in self.settings.trigger_kinds:
            plain = self.settings.trigger_kinds.index("none")
            parts.append(np.delete(values, plain, axis=0) - values[plain])
        rows = [
            np.quantile(third, SPREAD, axis=1) for part in parts for third in np.array_split(part, 3, axis=1)
        ]
        return np.concatenate([row.ravel() for row in rows]).astype(np.float32)

    def histograms(self, evidence: Evidence, clean: Evidence) -> Array:
        """The stacked histograms of one model, ``G x rows x bins``, as the figures show them."""
        return np.stack(self._histograms(evidence["pooled"], evidence["per_image"], self.edges(clean)))

    def row_names(self) -> tuple[str, ...]:
        """What each of a group's histograms is of."""
        pooled = [f"values over the {_ordinal(p)} quantile" for p in self.settings.quantiles]
        per_image = ["largest value per image"] + [
            f"{_ordinal(p)} percentile per image" for p in self.settings.quantiles
        ]
        return tuple(
            {"pooled": pooled, "per_image": per_image, "both": pooled + per_image}[
                self.settings.histogram_form
            ]
        )

    def names(self, groups: int) -> tuple[str, ...]:
        """Names of the features, in their order."""
        kinds = self.settings.trigger_kinds[:groups]
        levels = ("largest value", *(f"{_ordinal(p)} percentile" for p in self.settings.quantiles))
        names = [
            f"{kind}: {row}, bin {b}"
            for kind in kinds
            for row in self.row_names()
            for b in range(self.settings.bins)
        ]
        shown = {"relative to the model's own peak": kinds}
        if "none" in kinds:
            shown["change by the trigger"] = tuple(k for k in kinds if k != "none")
        for what, own in shown.items():
            names += [
                f"{kind}: {level} per {row} image, {what}, {_ordinal(share)} percentile of the images"
                for row in ROWS
                for share in SPREAD
                for kind in own
                for level in levels
            ]
        return tuple(names)

    def _histograms(self, pooled: Array, per_image: Array, edges: NDArray[np.float64]) -> list[Array]:
        groups = []
        for group_pooled, group_images in zip(pooled, per_image, strict=True):
            parts = []
            if self.settings.histogram_form != "per_image":
                parts.append(kept_quantile_histograms(group_pooled, self.settings.quantiles, edges))
            if self.settings.histogram_form != "pooled":
                parts.append(kept_image_histograms(group_images, self.settings.quantiles, edges))
            groups.append(np.concatenate(parts))
        return groups

    def read(self, evidence: Evidence, clean: Evidence, class_names: tuple[str, ...]) -> Reading:
        own = float(np.median(evidence["per_image"][..., -1]))
        others = np.median(clean["per_image"][..., -1], axis=(1, 2))
        below = float(np.mean(others <= own))
        ratio = own / max(float(np.median(others)), 1e-12)
        sentence = (
            f"The largest saliency of a probe is {ratio:.2g} times that of the median clean reference model"
            f" (higher than in {below:.0%} of {len(others)})."
        )
        figures = {
            "median_peak": own,
            "clean_median_peak": float(np.median(others)),
            "share_of_clean_below": below,
        }
        return Reading(
            score=own, clean_share=float(np.mean(others >= own)), sentence=sentence, figures=figures
        )


def kept_ranks(lowest: float, size: int) -> NDArray[np.intp]:
    """Indices of the kept levels at or above the lowest quantile in use."""
    chosen = np.flatnonzero(lowest <= LEVELS)
    return chosen if len(chosen) else np.array([size - 1])


def _ordinal(p: float) -> str:
    text = f"{100 * p:g}"
    ending = (
        {"1": "st", "2": "nd", "3": "rd"}.get(text[-1], "th") if text[-2:] not in ("11", "12", "13") else "th"
    )
    return f"{text}{ending}"
