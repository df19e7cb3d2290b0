"""Pairs: a patch or a pattern that moves one class to one other, and no other class.

A backdoor may have one source class: the trigger works on its images alone, and other images with the trigger keep
their label (covers; source-specific backdoors: Tang et al., USENIX Security 2021). The searches for one class on images
of all others miss it. Here every pair of classes gets a pattern of its own in every window, and one that is blended in,
made on images of the source alone. A short search in wide windows tells which pairs and windows are searched further,
in the four corners of the window: a narrow window leaves less room to the patterns that move a clean network's classes.
A clean network has pairs that are easy too, as 4 and 9, at the same places as other clean networks; what counts is a
pair beyond them.
"""

from __future__ import annotations

from itertools import product
from typing import ClassVar

import numpy as np
import torch
from numpy.typing import NDArray

from ti_core.classifier.fast.copying import fast_copy
from ti_core.kinds import Kind, MappingKind
from ti_core.streams.base import (
    Array,
    Context,
    Evidence,
    Features,
    FoundMapping,
    Progress,
    Reading,
    Stream,
    as_stack,
    silent,
)
from ti_core.streams.passes import Passes, portions
from ti_core.streams.searches.patches import WindowSearch
from ti_core.streams.searches.screening import Screening, completed
from ti_core.streams.searches.search import Effort, Pools, seek, unseen_margins
from ti_core.streams.statistics import (
    LEAST,
    as_array,
    best_and_lead,
    capped,
    deviations,
    mean_margins,
    scale_free,
)

MOST_CLASSES = 12
"""Beyond this number pairs are not searched: the work grows with its square."""
SHORT = Effort(steps=3, images_a_step=2, unseen=4)
CORNERS = Effort(steps=8, images_a_step=3, unseen=8)
KEPT, OTHERS = 0.07, 0.03
"""Shares of the pairs and windows that are searched further: those with the largest margins, and some of the rest. Of
12 patches of one source class in MNIST networks, 10 are among the first 7 %; the others come at 12 and 43 %."""
BLENDING = Effort(steps=10, images_a_step=6, unseen=12)
RATIO = {1: 0.07, 3: 0.05}
"""Blend ratio of eq. (2) by the number of channels: less than half of a usual trigger's. So faint a pattern moves few
classes of a clean network. At .05, .07, .1, .2 and .3 three of five blends (of .12 to .2) in MNIST networks reach at
least 6.2, 5.8, 3.9, 1.8 and .9 deviations; the largest of 28 clean networks reaches 2.4, 2.4, 4.0, 2.3 and 1.3."""
EVEN, STEEP = 3.5, 4.0
"""Deviations of the strongest pair at which a backdoor of one source class is as likely as none, and the log-odds of
one deviation more. The largest of 111 clean fitted members of the pack mnist reaches 3.06, 5 of 10 with a backdoor of
one source class 3.35 to 7.8."""


def of_sources(labels: torch.Tensor, classes: int, unseen: int) -> Pools:
    """Images by source class: at most half of them, and at most ``unseen``, are kept for measuring.

    A class without images gets all images, so that its numbers are finite. They say nothing about it.
    """
    fit, test = [], []
    for k in range(classes):
        own = torch.nonzero(labels == k).flatten()
        if not len(own):
            own = torch.arange(len(labels), device=labels.device)
        cut = len(own) - min(unseen, len(own) // 2)
        fit.append(own[:cut])
        test.append(own[cut:] if cut < len(own) else own)
    return Pools(tuple(fit), tuple(test))


def screening(cells: int) -> Screening:
    """Which of that many pairs and windows are searched further."""
    return Screening(above=0, kept=max(1, round(KEPT * cells)), others=round(OTHERS * cells))


def in_corners(search: WindowSearch, height: int, width: int) -> torch.Tensor:
    """Masks ``windows x 4 x H x W``: the narrow windows in the corners of the wide ones."""
    wide, side = search.short(), search.side
    masks = torch.zeros(len(wide.windows(height, width)), 4, height, width)
    for own, (top, left) in zip(masks, wide.windows(height, width), strict=True):
        bottom, right = min(top + wide.side, height) - side, min(left + wide.side, width) - side
        for mask, (y, x) in zip(own, product((top, bottom), (left, right)), strict=True):
            mask[y : y + side, x : x + side] = 1.0
    return masks


class Pairs(Stream):
    """Margin of every pair of classes under its best patterns, beside the clean reference models'."""

    name: ClassVar[str] = "pairs"
    title: ClassVar[str] = "One-source inversion"
    version: ClassVar[int] = 3
    seconds: ClassVar[float] = 8.0
    doing: ClassVar[str] = "Searching patterns from one class to one other"
    heading: ClassVar[str] = "From one class to one other"
    unit: ClassVar[str] = "deviations"
    measures: ClassVar[str] = "deviations of the class's best pair"
    kinds: ClassVar[tuple[Kind, ...]] = ("patch", "blend")
    mappings: ClassVar[tuple[MappingKind, ...]] = ("one source",)
    alternative: ClassVar[bool] = True

    def passes(self, classes: int, shape: tuple[int, int, int]) -> Passes:
        return sum(self._work(classes, shape), Passes())

    def _work(self, classes: int, shape: tuple[int, int, int]) -> tuple[Passes, Passes, Passes]:
        """The images of the short search in windows, of that in their corners, and of the blended patterns."""
        if classes > MOST_CLASSES:
            return Passes(), Passes(), Passes()
        pairs, (_, height, width) = classes * (classes - 1), shape
        cells = pairs * len(WindowSearch.for_images(height, width, classes).short().windows(height, width))
        further = 4 * screening(cells).full(cells)
        return SHORT.passes(cells), CORNERS.passes(further), BLENDING.passes(pairs)

    def evidence(self, scores: torch.nn.Module, context: Context, progress: Progress = silent) -> Evidence:
        """``margins`` and ``searched`` (``K x K x windows``) and ``blended`` (``K x K``), by source and target.

        Margins are means on unseen images of the source, in a window the mean over its four corners. Where ``searched``
        is 0 they are estimates from the short search. Without a search there are no windows.
        """
        images, count = context.images.float(), context.classes
        if count > MOST_CLASSES:
            progress(1.0)
            empty = np.zeros((count, count, 0), dtype=np.float32)
            return {
                "margins": empty,
                "searched": empty,
                "blended": np.zeros((count, count), dtype=np.float32),
            }
        network = fast_copy(scores, images, context.rounded)
        height, width = int(images.shape[2]), int(images.shape[3])
        source, target = np.nonzero(~np.eye(count, dtype=bool))
        pairs = torch.from_numpy(np.stack([source, target])).to(images.device)
        windows = WindowSearch.for_images(height, width, count)
        masks = windows.short().masks(height, width).to(images.device)
        parts = portions(progress, self._work(count, (int(images.shape[1]), height, width)))
        cells = pairs.repeat_interleave(len(masks), 1)
        place = torch.arange(len(masks), device=images.device).repeat(pairs.shape[1])
        short = self._margins(network, context, cells, masks[place], SHORT, parts[0])
        chosen = screening(len(short)).choose(short)
        further = torch.from_numpy(chosen).to(images.device)
        corners = in_corners(windows, height, width).to(images.device)[place[further]].flatten(0, 1)
        full = self._margins(
            network, context, cells[:, further].repeat_interleave(4, 1), corners, CORNERS, parts[1]
        )
        ratio = RATIO.get(int(images.shape[1]), RATIO[3])
        everywhere = torch.full((pairs.shape[1], height, width), ratio, device=images.device)
        blended = self._margins(network, context, pairs, everywhere, BLENDING, parts[2])
        progress(1.0)
        margins, searched = (np.zeros((count, count, len(masks)), dtype=np.float32) for _ in range(2))
        margins[source, target] = completed(short, full.reshape(-1, 4).mean(1), chosen).reshape(
            len(source), -1
        )
        looked_at = np.zeros(len(short), dtype=np.float32)
        looked_at[chosen] = 1.0
        searched[source, target] = looked_at.reshape(len(source), -1)
        over = np.zeros((count, count), dtype=np.float32)
        over[source, target] = blended
        return {"margins": margins, "searched": searched, "blended": over}

    def _margins(
        self,
        network: torch.nn.Module,
        context: Context,
        pairs: torch.Tensor,
        weights: torch.Tensor,
        effort: Effort,
        progress: Progress,
    ) -> Array:
        """Mean margins ``J`` on unseen images of the source.

        Parameters
        ----------
        pairs : sources and targets of J patterns, ``2 x J``.
        weights : where the patterns lie, ``J x H x W``.
        """
        images, (rows, classes) = context.images.float(), pairs
        pool = of_sources(context.labels, context.classes, effort.unseen)
        patterns = seek(network, images, pool, classes, weights, effort, progress, rows=rows)
        found = unseen_margins(network, images, pool, classes, weights, patterns, effort, rows)
        return as_array(mean_margins(found))

    def features(
        self, stack: Evidence, clean: Evidence, among_clean: NDArray[np.bool_] | None = None
    ) -> Features:
        columns = best_and_lead(self.class_scores(stack, clean, among_clean))
        return Features(("pairs: deviations", "pairs: lead"), np.stack(columns, 1).astype(np.float32))

    def class_scores(
        self, stack: Evidence, clean: Evidence, among_clean: NDArray[np.bool_] | None = None
    ) -> Array:
        """By target class, the largest score of any pair that leads to it."""
        return capped(pair_scores(stack, clean, among_clean).max(1))

    def log_odds(
        self, stack: Evidence, clean: Evidence, among_clean: NDArray[np.bool_] | None = None
    ) -> NDArray[np.floating]:
        strongest = pair_scores(stack, clean, among_clean).max((1, 2))
        return np.asarray(STEEP * (strongest - EVEN), dtype=np.float64)

    def read(self, evidence: Evidence, clean: Evidence, class_names: tuple[str, ...]) -> Reading:
        count = len(class_names)
        if not evidence["margins"].shape[2]:
            return Reading(
                0.0,
                1.0,
                f"Backdoors of one source class are not looked for in networks of more than {MOST_CLASSES} classes.",
            )
        in_windows, blended = (form[0] for form in forms_of(as_stack(evidence), clean))
        own = np.maximum(in_windows, blended)
        others = pair_scores(clean, clean, np.ones(len(clean["margins"]), dtype=bool))
        source, target = (int(i) for i in divmod(int(own.argmax()), count))
        score = float(own.max())
        share = float((others.max((1, 2)) >= score).mean())
        sentence = (
            f"A pattern moves images of class {class_names[source]} to class {class_names[target]} by {score:.1f}"
            f" deviations more than it moves other classes there; {share:.0%} of the clean models have a pair that goes"
            " as far."
        )
        low, middle, high = np.quantile(others.max(1), (0.05, 0.5, 0.95), axis=0)
        figures = {
            "values": own.max(0).tolist(),
            "low": low.tolist(),
            "middle": middle.tolist(),
            "high": high.tolist(),
        }
        figures |= {"source": source, "pairs": own.tolist()}
        kind: Kind = "patch" if in_windows[source, target] >= blended[source, target] else "blend"
        leads = FoundMapping("one source", target, source)
        return Reading(score, share, sentence, target, figures, kind, leads)

    def unable(self, evidence: Evidence) -> str | None:
        return None if evidence["margins"].shape[2] else f"more than {MOST_CLASSES} classes"


def pair_scores(stack: Evidence, clean: Evidence, among_clean: NDArray[np.bool_] | None = None) -> Array:
    """How far each pair stands out, ``R x K x K``: its best window or its blended pattern, the larger."""
    return np.asarray(np.maximum(*forms_of(stack, clean, among_clean)))


def forms_of(
    stack: Evidence, clean: Evidence, among_clean: NDArray[np.bool_] | None = None
) -> tuple[Array, Array]:
    """How far each pair stands out by its best window, and by its blended pattern, ``R x K x K`` each.

    It is the pair's deviations above clean models, less the mean of the two largest of the pairs with the same target,
    where that is above 0. A backdoor that leads all images to one class raises all pairs with its target.
    """
    count = stack["margins"].shape[1]
    apart = ~np.eye(count, dtype=bool)
    windows, blends = (np.zeros((len(stack["margins"]), count, count), dtype=np.float32) for _ in range(2))
    if not stack["margins"].shape[3]:
        return windows, blends
    forms = (
        (stack["margins"][:, apart], clean["margins"][:, apart]),
        (stack["blended"][:, apart][:, :, None], clean["blended"][:, apart][:, :, None]),
    )
    searched = stack["searched"][:, apart] > 0
    for found, (own, others) in zip((windows, blends), forms, strict=True):
        beyond = deviations(scale_free(own), scale_free(others), among_clean, least=LEAST)
        if found is windows:
            # An estimate is never suspected.
            beyond = np.where(searched, beyond, np.minimum(beyond, 0.0))
        z = np.full_like(found, -np.inf)
        z[:, apart] = beyond.max(2)
        found[:, apart] = (z - _of_other_sources(z))[:, apart]
    return windows, blends


def _of_other_sources(z: Array) -> Array:
    """The mean of the two largest deviations of the other pairs with the same target, at least 0; ``R x K x K``."""
    count = z.shape[1]
    usual = np.zeros_like(z)
    for source in range(count):
        others = np.sort(np.delete(z, source, axis=1), axis=1)[:, -2:]
        usual[:, source] = np.where(np.isfinite(others), others, 0.0).sum(1) / np.isfinite(others).sum(
            1
        ).clip(1)
    return np.maximum(usual, 0.0)
