"""Free trigger inversion: per class, the smallest mask with a pattern that flips images to that class.

The method is Neural Cleanse (Wang et al., IEEE S&P 2019). It minimises the cross-entropy towards the class plus a
weight times the mask's L1 norm. The weight is raised while enough images flip, and lowered while they do not. Every
class is one row of stacked tensors, so that all classes are optimised in one batch.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING, ClassVar

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
from ti_core.streams.searches.masks import InversionSearch, Inverted, invert
from ti_core.streams.searches.screening import SEARCHED, Screening, among_searched, completed, unsuspected
from ti_core.streams.searches.sparing import Halving
from ti_core.streams.statistics import as_array, best_and_lead, capped, deviations, per_class

if TYPE_CHECKING:
    from ti_core.streams.searches.shortlist import Shortlist


class Inversion(Stream):
    """Size of the smallest trigger of every class, beside the clean reference models'.

    Parameters
    ----------
    protocol : how masks and patterns are optimised. Only evidence under the same protocol is comparable.
    screening : number of classes above which only those that stand out get a full search.
    """

    name: ClassVar[str] = "inversion"
    title: ClassVar[str] = "Free trigger inversion"
    version: ClassVar[int] = 2
    seconds: ClassVar[float] = 1.5
    doing: ClassVar[str] = "Searching the smallest trigger of each class"
    heading: ClassVar[str] = "Smallest trigger of each class"
    unit: ClassVar[str] = "deviations smaller"
    measures: ClassVar[str] = "deviations smaller than in clean models"
    kinds: ClassVar[tuple[Kind, ...]] = ("patch", "blend")
    usual: ClassVar[float | None] = 0.76
    usual_spared: ClassVar[tuple[float, ...]] = (0.76, 0.87)

    def __init__(
        self,
        settings: Settings | None = None,
        protocol: InversionSearch | None = None,
        screening: Screening | None = None,
    ) -> None:
        super().__init__(settings)
        self.protocol = protocol or InversionSearch()
        self.screening = screening or Screening()

    def passes(self, classes: int, shape: tuple[int, int, int]) -> Passes:
        from ti_core.streams.searches import shortlist

        first = shortlist.passes(
            self.name, self.settings.streams, classes, shape, self.screening, self.sparing
        )
        return sum(self._work(classes, shape, first), Passes())

    def _work(self, classes: int, shape: tuple[int, int, int], first: Passes) -> tuple[Passes, Passes]:
        """The images of the shortlist, and of the search with full effort."""
        halving, p = self.sparing.halving, self.protocol
        if halving is None:
            return first, p.passes(self.screening.full(classes))
        one, two = p.rounds(halving)
        if self.screening.applies(classes):
            return first, replace(two, steps=one.steps + two.steps).passes(self.screening.full(classes))
        going_on = Screening.of_classes(halving, classes).going_on(classes)
        return first, one.passes(classes) + two.passes(going_on)

    def evidence(self, scores: torch.nn.Module, context: Context, progress: Progress = silent) -> Evidence:
        """``norms`` of the masks in pixels, and ``success`` on unseen images, both ``K``; with many classes
        ``searched`` too (``K``)."""
        count, protocol, halving = context.classes, self.protocol, self.sparing.halving

        def search(
            classes: torch.Tensor | None,
            protocol: InversionSearch,
            told: Progress,
            start: Inverted | None = None,
        ) -> Inverted:
            images, labels = context.images.float(), context.labels
            return invert(scores, images, labels, count, classes, protocol, told, context.rounded, start)

        if not self.screening.applies(count):
            if halving is None:
                return search(None, protocol, progress).figures()
            return self._halved(search, halving, count, progress) | self.sparing.marked()
        from ti_core.streams.searches.shortlist import ahead, shortlist

        channels, height, width = (int(n) for n in context.images.shape[1:])
        work = self._work(
            count, (channels, height, width), ahead(scores, context, self.screening, self.sparing)
        )
        shortly, fully = portions(progress, work)
        short = shortlist(scores, context, self.screening, shortly, self.sparing)
        own = torch.from_numpy(short.chosen).to(context.images.device)
        if halving is not None:
            one, two = protocol.rounds(halving)
            protocol = replace(two, steps=one.steps + two.steps)
        return self.complete(short, search(own, protocol, fully).figures()) | self.sparing.marked()

    def _halved(
        self, search: Callable[..., Inverted], halving: Halving, count: int, progress: Progress
    ) -> dict[str, Array]:
        """All classes' arrays by successive halving: those whose masks are small after a first round go on."""
        one, two = self.protocol.rounds(halving)
        wanted = Screening.of_classes(halving, count)
        first, further = portions(progress, (one.passes(count), two.passes(wanted.going_on(count))))
        short = search(None, one, first)
        # A mask under which few images flip is no trigger yet.
        standing = as_array(torch.log(short.success + 0.1) - torch.log(short.norms + 1e-3))
        chosen = wanted.choose(standing)
        rows = torch.from_numpy(chosen).to(short.norms.device)
        full = search(rows, two, further, short.of(rows)).figures()
        return _completed(standing, full, chosen) | {SEARCHED: wanted.searched(count, chosen)}

    def complete(self, short: Shortlist, full: Evidence) -> dict[str, Array]:
        """All classes' arrays, from those of the classes on the shortlist, which got a full search."""
        searched = self.screening.searched(len(short.standing), short.chosen)
        return _completed(short.standing, full, short.chosen) | {SEARCHED: searched}

    def features(
        self, stack: Evidence, clean: Evidence, among_clean: NDArray[np.bool_] | None = None
    ) -> Features:
        small = smallness(stack)
        z = unsuspected(deviations(small, smallness(clean), among_clean), stack)
        columns = (small.max(1), *best_and_lead(z))
        names = ("inversion: outlier", "inversion: deviations", "inversion: lead")
        return Features(names, np.stack(columns, 1).astype(np.float32))

    def class_scores(
        self, stack: Evidence, clean: Evidence, among_clean: NDArray[np.bool_] | None = None
    ) -> Array:
        return unsuspected(capped(deviations(smallness(stack), smallness(clean), among_clean)), stack)

    def standing_out(self, stack: Evidence) -> Array:
        """See :func:`smallness`."""
        return np.asarray(smallness(stack)[0])

    def read(self, evidence: Evidence, clean: Evidence, class_names: tuple[str, ...]) -> Reading:
        reference = smallness(clean)
        own = deviations(smallness(as_stack(evidence)), reference)[0]
        others = unsuspected(deviations(reference, reference, np.ones(len(reference), dtype=bool)), clean)
        suspects = among_searched(own, evidence)
        target, score = int(suspects.argmax()), float(suspects.max())
        share = float((others.max(1) >= score).mean())
        sentence = (
            f"The smallest trigger for class {class_names[target]} covers {evidence['norms'][target]:.0f} pixels and "
            f"flips {evidence['success'][target]:.0%} of unseen images; beside its other classes' that is "
            f"{score:.1f} deviations smaller than in clean models, of which {share:.0%} have one as small."
        )
        figures = per_class(own, others) | {"norms": evidence["norms"].tolist()}
        return Reading(score, share, sentence, target, figures)


def _completed(standing: Array, full: Evidence, chosen: NDArray[np.intp]) -> dict[str, Array]:
    # A smaller mask is more suspicious. No estimate is smaller than all masks that were found.
    smaller = completed(standing, -np.log(full["norms"]), chosen, steepest=np.inf)
    success = completed(standing, full["success"], chosen, steepest=np.inf)
    return {"norms": np.exp(-smaller), "success": success.clip(0, 1)}


def smallness(stack: Evidence) -> Array:
    """Log ratio of the network's median mask norm to each class's mask norm: larger for a smaller mask."""
    logs = np.log(np.maximum(stack["norms"], 1e-3))
    return np.asarray(np.median(logs, axis=1, keepdims=True) - logs, dtype=np.float32)
