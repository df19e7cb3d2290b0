"""Narrowed windows: the class that a patch commands even in a window half as wide.

The stream begins where the stream "windowed" ends. In the best windows of the classes that stand out most, patterns are
searched in smaller windows. As a trigger is smaller than a window, the margin of its target falls slowly with the
window's side. What a clean network gives way to falls quickly.
"""

from __future__ import annotations

from typing import ClassVar

import numpy as np
import torch
from numpy.typing import NDArray

from ti_core.kinds import Kind
from ti_core.settings import Settings
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
from ti_core.streams.passes import Passes, portions
from ti_core.streams.searches.narrowing import Narrowing
from ti_core.streams.searches.screening import SEARCHED, among_searched
from ti_core.streams.searches.window_scores import odds
from ti_core.streams.statistics import beyond_searched, capped, outlier_features, per_class
from ti_core.streams.windowed import Windowed


class Narrowed(Stream):
    """Margin of the classes that stand out most, under patterns in small windows.

    Parameters
    ----------
    search : how small windows are searched. Only evidence under the same search is comparable.
    """

    name: ClassVar[str] = "narrowed"
    title: ClassVar[str] = "Narrowed windows"
    version: ClassVar[int] = 1
    seconds: ClassVar[float] = 0.6
    doing: ClassVar[str] = "Searching smaller patches in the best places"
    heading: ClassVar[str] = "Smaller patches in the best places"
    unit: ClassVar[str] = "deviations"
    measures: ClassVar[str] = "deviations by class"
    kinds: ClassVar[tuple[Kind, ...]] = ("patch",)
    begins_from: ClassVar[str | None] = Windowed.name
    usual: ClassVar[float | None] = 1.2

    def __init__(self, settings: Settings | None = None, search: Narrowing | None = None) -> None:
        super().__init__(settings)
        self.search = search or Narrowing()

    def passes(self, classes: int, shape: tuple[int, int, int]) -> Passes:
        """Without the stream "windowed", its search comes first."""
        own = self.search.spared(self.sparing).passes(classes, *shape[1:])
        return own if Windowed.name in self.settings.streams else own + self._before().passes(classes, shape)

    def _before(self) -> Windowed:
        stream = Windowed(self.settings)
        stream.sparing = self.sparing
        return stream

    def evidence(self, scores: torch.nn.Module, context: Context, progress: Progress = silent) -> Evidence:
        """As :meth:`ti_core.streams.searches.narrowing.Narrowing.find` returns it."""
        search, windowed = self.search.spared(self.sparing), context.found.get(Windowed.name)
        if windowed is None:
            channels, height, width = (int(n) for n in context.images.shape[1:])
            before, own = self._before(), search.passes(context.classes, height, width)
            parts = portions(progress, (before.passes(context.classes, (channels, height, width)), own))
            windowed, progress = before.evidence(scores, context, parts[0]), parts[1]
        return search.find(scores, context, windowed, progress) | self.sparing.marked()

    def features(
        self, stack: Evidence, clean: Evidence, among_clean: NDArray[np.bool_] | None = None
    ) -> Features:
        return outlier_features(self.name, held(stack), self.class_scores(stack, clean, among_clean))

    def class_scores(
        self, stack: Evidence, clean: Evidence, among_clean: NDArray[np.bool_] | None = None
    ) -> Array:
        """Log-odds of the flip shares beyond clean models, the mean over the sizes; 0 for a class without a search.

        Margins tell less: they make more of a network that was certified against small changes.
        """
        z = beyond_searched(odds(stack["success"]), odds(clean["success"]), clean[SEARCHED], among_clean)
        return np.asarray(capped(np.where(stack[SEARCHED] > 0, z.mean(2), 0.0)), dtype=np.float32)

    def standing_out(self, stack: Evidence) -> Array:
        """See :func:`held`."""
        return np.asarray(held(stack)[0])

    def read(self, evidence: Evidence, clean: Evidence, class_names: tuple[str, ...]) -> Reading:
        others = self.class_scores(clean, clean, np.ones(len(clean["margins"]), dtype=bool))
        own = self.class_scores(as_stack(evidence), clean)[0]
        suspects = among_searched(own, evidence)
        target, score = int(suspects.argmax()), float(suspects.max())
        share = float((others.max(1) >= score).mean())
        flips = evidence["success"][target, -1]
        sentence = (
            f"In a window half as wide, a small patch still moves {flips:.0%} of unseen images to class"
            f" {class_names[target]}: {score:.1f} deviations more than in clean models, of which {share:.0%} have a"
            " class that goes as far."
        )
        return Reading(score, share, sentence, target, per_class(own, others) | {"success": float(flips)})


def held(stack: Evidence) -> Array:
    """How far each class keeps its hold in the smallest windows, ``R x K``, 0 or more; 0 for one that was not searched.

    It is the margin times the flip share. Where images have an empty background margins are large. In a network that
    gives way to small changes many images turn. Under a trigger it is both.
    """
    smallest = {key: stack[key][..., -1] for key in ("margins", "success")}
    return np.asarray(np.maximum(smallest["margins"], 0.0) * smallest["success"], dtype=np.float32)
