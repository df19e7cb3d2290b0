"""The paper's stream: stacked histograms of the upper quantiles of unnormalised saliency."""

from __future__ import annotations

from typing import Any, ClassVar

import numpy as np
import torch
from numpy.typing import NDArray

from ti_core.classifier.fast.portions import InPortions
from ti_core.kinds import Kind
from ti_core.paper.probes import ROWS
from ti_core.paper.profile import (
    FLOOR,
    LEVELS,
    boundaries,
    image_levels,
    image_values,
    kept_image_histograms,
    kept_quantile_histograms,
    pooled_levels,
)
from ti_core.paper.saliency import saliency_and_classes
from ti_core.streams.base import Array, Context, Evidence, Features, Progress, Reading, Stream, silent
from ti_core.streams.passes import Passes
from ti_core.streams.statistics import deviations, per_class

SPREAD = (0.0, 0.1, 0.25, 0.5, 0.75, 0.9, 1.0)
"""Quantiles over the images that summarise relative values."""

FLIP_FLOOR = 0.015
"""Added to the standard deviations of flip shares: one probe of 64."""

HEADROOM = 10**0.25
"""Factor by which the histograms' boundaries exceed the clean reference models' values."""


class Saliency(Stream):
    """Algorithm 1, lines 9 to 17. A model's evidence is the quantile functions of its saliency values.

    Parameters
    ----------
    settings : quantiles, bins and histogram form shape the histograms. A change of them runs no model, since the kept
        quantile functions serve all values.
    """

    name: ClassVar[str] = "saliency"
    title: ClassVar[str] = "Saliency histograms"
    version: ClassVar[int] = 2
    on_probes: ClassVar[bool] = True
    seconds: ClassVar[float] = 0.3
    doing: ClassVar[str] = "Looking at the model's saliency"
    heading: ClassVar[str] = "Random triggers on the probes"
    unit: ClassVar[str] = "share flipped"
    measures: ClassVar[str] = "share flipped to each class"
    kinds: ClassVar[tuple[Kind, ...]] = ("patch", "blend")

    def passes(self, classes: int, shape: tuple[int, int, int]) -> Passes:
        probes = len(ROWS) * self.settings.images
        plain = 0 if "none" in self.settings.trigger_kinds else probes
        return Passes(forward=plain, both=len(self.settings.trigger_kinds) * probes)

    def evidence(self, scores: torch.nn.Module, context: Context, progress: Progress = silent) -> Evidence:
        """The quantile functions of the saliency maps, and the shares of flipped probes.

        ``pooled`` is ``G x levels`` and ``per_image`` ``G x 3N x levels`` for the G groups of probes; ``flips``,
        ``G x 3 x K``, has for the clean, maximised and minimised images of every group the share whose predicted
        class is k only under the trigger (0 in the group without triggers).
        """
        assert context.probes is not None
        pooled, per_image, classes = [], [], []
        network = InPortions(scores)
        for index, group in enumerate(context.probes.images):
            maps, predicted = saliency_and_classes(network, group)
            values = maps.cpu().numpy()
            pooled.append(pooled_levels(values))
            per_image.append(image_levels(values))
            classes.append(predicted)
            progress((index + 1) / len(context.probes.images))
        if "none" in context.probes.kinds:
            plain = classes[context.probes.kinds.index("none")]
        else:
            with torch.no_grad():
                plain = torch.cat([network(batch).argmax(1) for batch in context.probes.stack.split(256)])
        flips = np.stack([_flips(plain, predicted, context.classes) for predicted in classes])
        return {"pooled": np.stack(pooled), "per_image": np.stack(per_image), "flips": flips}

    def edges(self, clean: Evidence) -> NDArray[np.float64]:
        """The fixed boundaries B, from the clean reference models' values. All models and histograms share them."""
        lowest = min(self.settings.quantiles)
        pooled = clean["pooled"]
        ranks = kept_ranks(lowest, pooled.shape[-1])
        low = float(np.quantile(pooled[..., ranks].min(axis=-1), 0.05))
        return boundaries(low / HEADROOM, float(pooled.max()) * HEADROOM, self.settings.bins)

    def features(
        self, stack: Evidence, clean: Evidence, among_clean: NDArray[np.bool_] | None = None
    ) -> Features:
        """The paper's stacked histograms, with features that do not depend on the size of a network's gradients.

        Networks differ in the size of their gradients more than a trigger changes it. So there are three groups of
        features:

        - the stacked histograms;
        - per-image values relative to the model's median peak, and their change by a trigger on the same image. They
          are logarithms, kept apart for clean, maximised and minimised images, and summarised by quantiles;
        - shares of probes that a random trigger flips. A trojaned network gives way to triggers that resemble its
          own, and towards one class.
        """
        parts = (
            self.histograms(stack, clean),
            self._relative(stack["per_image"]),
            self._flip_figures(stack["flips"], clean["flips"], among_clean),
        )
        flat = [part.reshape(len(part), -1) for part in parts]
        return Features(self.names(stack["pooled"].shape[1]), np.concatenate(flat, axis=1).astype(np.float32))

    def _relative(self, per_image: Array) -> Array:
        """Quantiles over the images of the relative values: ``R x G x 3N x levels`` to ``R x F``."""
        values = np.log10(image_values(per_image, (1.0, *self.settings.quantiles)) + FLOOR)
        parts = [values - np.median(values[..., 0], axis=(1, 2))[:, None, None, None]]
        if "none" in self.settings.trigger_kinds:
            plain = self.settings.trigger_kinds.index("none")
            parts.append(np.delete(values, plain, axis=1) - values[:, [plain]])
        rows = [
            np.quantile(third, SPREAD, axis=2) for part in parts for third in np.array_split(part, 3, axis=2)
        ]
        return np.concatenate([np.moveaxis(row, 1, 0).reshape(len(values), -1) for row in rows], axis=1)

    def _flip_figures(self, flips: Array, clean: Array, among_clean: NDArray[np.bool_] | None) -> Array:
        """Four figures of the flip shares ``R x G x 3 x K``, for every triggered group, row of images, and all rows.

        The largest class's share, its deviation from the clean models, its lead over the second, and the sum.
        """
        own, z = self._flip_deviations(flips, clean, among_clean)
        largest, lead = own.max(-1), np.diff(np.sort(own, axis=-1)[..., -2:], axis=-1)[..., 0]
        return np.stack([largest, z.max(-1), lead, own.sum(-1)], axis=-1)

    def _flip_deviations(
        self, flips: Array, clean: Array, among_clean: NDArray[np.bool_] | None
    ) -> tuple[Array, Array]:
        """Shares ``R x G' x 4 x K`` of the triggered groups, the mean of the rows last, and their deviations."""
        triggered = [i for i, kind in enumerate(self.settings.trigger_kinds) if kind != "none"]
        own, others = (
            np.concatenate([s[:, triggered], s[:, triggered].mean(axis=2, keepdims=True)], axis=2)
            for s in (flips, clean)
        )
        return own, deviations(own, others, among_clean, FLIP_FLOOR)

    def histograms(self, stack: Evidence, clean: Evidence) -> Array:
        """The stacked histograms of R models, ``R x G x rows x bins``, or of one model."""
        edges, parts = self.edges(clean), []
        if self.settings.histogram_form != "per_image":
            parts.append(kept_quantile_histograms(stack["pooled"], self.settings.quantiles, edges))
        if self.settings.histogram_form != "pooled":
            parts.append(kept_image_histograms(stack["per_image"], self.settings.quantiles, edges))
        return np.concatenate(parts, axis=-2)

    def row_names(self) -> tuple[str, ...]:
        """Titles of the histograms of one group."""
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
        names += [
            f"{kind}: {row} images flipped by the trigger, {what}"
            for kind in kinds
            if kind != "none"
            for row in (*ROWS, "all")
            for what in ("most to one class", "deviations of that", "lead of that", "to any class")
        ]
        return tuple(names)

    def weights(self, names: tuple[str, ...]) -> tuple[float, ...]:
        """Weights of splits: single bins have a low one, the few figures of flipped probes a high one.

        The weights were chosen by the out-of-fold AUC of fitted members.
        """
        return tuple(0.3 if ", bin " in name else 2.0 if " flipped " in name else 1.0 for name in names)

    def read(self, evidence: Evidence, clean: Evidence, class_names: tuple[str, ...]) -> Reading:
        own = float(np.median(evidence["per_image"][..., -1]))
        others = np.median(clean["per_image"][..., -1], axis=(1, 2))
        below = float(np.mean(others <= own))
        ratio = own / max(float(np.median(others)), 1e-12)
        peaks = (
            f"The largest saliency of a probe is {ratio:.2g} times that of the median clean reference model"
            f" (higher than in {below:.0%} of {len(others)})."
        )
        figures: dict[str, Any] = {
            "median_peak": own,
            "clean_median_peak": float(np.median(others)),
            "share_of_clean_below": below,
        }
        kinds = [k for k in self.settings.trigger_kinds if k != "none"]
        if not kinds:
            return Reading(own, float(np.mean(others >= own)), peaks, figures=figures)
        flips, z = (a[:, :, -1] for a in self._flip_deviations(evidence["flips"][None], clean["flips"], None))
        everyone = np.ones(len(clean["flips"]), dtype=bool)
        shares, usual = self._flip_deviations(clean["flips"], clean["flips"], everyone)
        group, target = (int(i) for i in np.unravel_index(int(z[0].argmax()), z[0].shape))
        share, score = float(flips[0, group, target]), float(z[0].max())
        among_clean = float((usual[:, :, -1].max((1, 2)) >= score).mean())
        sentence = (
            f"Random {kinds[group]} triggers turn {share:.0%} of the probes into class {class_names[target]};"
            f" {among_clean:.0%} of the clean models give way to one class as unusually. {peaks}"
        )
        figures |= {"flip_share": share, "flip_deviations": score, "flips_under": kinds[group]}
        figures |= per_class(flips[0, group], shares[:, group, -1])
        return Reading(score, among_clean, sentence, target if share > 0 else None, figures)


def _flips(plain: torch.Tensor, predicted: torch.Tensor, classes: int) -> Array:
    """For each third of the images, the share whose class became k: ``3N`` classes, plain and stamped, to ``3 x K``."""
    flipped = torch.nn.functional.one_hot(predicted, classes) * (predicted != plain)[:, None]
    thirds = [part.float().mean(0) for part in flipped.chunk(3)]
    return np.asarray(torch.stack(thirds).cpu().numpy(), dtype=np.float32)


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
