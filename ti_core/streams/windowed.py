"""Windowed trigger inversion: the class that a small patch at one place commands.

For every class and every window of a grid, one pattern shared by all images is searched inside the window. It raises
the margin of the class, which is measured on images that took no part. On any network a free patch over the object can
draw another object, so a margin alone says little. A place that commands a class in the suspect, and in no clean
network, is suspicious.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import ClassVar

import numpy as np
import torch
from numpy.typing import NDArray

from ti_core.classifier.fast.copying import fast_copy
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
from ti_core.streams.searches.flat_patches import passes as flat_passes
from ti_core.streams.searches.flat_patches import under_colours
from ti_core.streams.searches.patches import (
    WindowSearch,
    find_patterns,
    halve_patterns,
    shared_by,
    standing_out,
)
from ti_core.streams.searches.screening import SEARCHED, Screening, completed, unsuspected
from ti_core.streams.searches.search import pools
from ti_core.streams.searches.window_scores import FLAT, command, of_flat_patches, places
from ti_core.streams.statistics import (
    best_and_lead,
    capped,
    per_class,
    scale_free,
)


class Windowed(Stream):
    """Margin of every class under the best pattern in every window, beside the clean reference models'.

    Parameters
    ----------
    screening : number of classes above which only those that stand out get a full search, after a short search in every
        window. With very many classes the short search uses fewer, larger windows.
    """

    name: ClassVar[str] = "windowed"
    title: ClassVar[str] = "Windowed trigger inversion"
    version: ClassVar[int] = 3
    seconds: ClassVar[float] = 0.9
    doing: ClassVar[str] = "Searching patches, place by place"
    heading: ClassVar[str] = "Patches, place by place"
    unit: ClassVar[str] = "deviations"
    measures: ClassVar[str] = "deviations by class"
    kinds: ClassVar[tuple[Kind, ...]] = ("patch",)
    usual: ClassVar[float] = 3.2
    usual_spared: ClassVar[tuple[float, ...]] = (3.2, 3.8)

    def __init__(self, settings: Settings | None = None, screening: Screening | None = None) -> None:
        super().__init__(settings)
        self.screening = screening or Screening()

    def passes(self, classes: int, shape: tuple[int, int, int]) -> Passes:
        from ti_core.streams.searches import shortlist

        first = shortlist.passes(
            self.name, self.settings.streams, classes, shape, self.screening, self.sparing
        )
        return sum(self._work(classes, shape, first), Passes())

    def _work(
        self, classes: int, shape: tuple[int, int, int], first: Passes
    ) -> tuple[Passes, Passes, Passes]:
        """The images of the flat patches, of the shortlist, and of the search with full effort."""
        channels, height, width = shape
        p = WindowSearch.for_images(height, width, classes)
        full = p.closer() if self.screening.applies(classes) else p
        halving = self.sparing.halving
        if halving is not None and not self.screening.applies(classes):
            return Passes(), first, full.halved(classes, height, width, halving)
        if halving is not None:
            full = replace(full, effort=full.effort.further(halving))
        if self.sparing.alone:
            return Passes(), first, full.passes(self.screening.full(classes), height, width)
        flat = flat_passes(channels, len(p.windows(height, width)))
        return flat, first, full.passes(self.screening.full(classes), height, width)

    def evidence(self, scores: torch.nn.Module, context: Context, progress: Progress = silent) -> Evidence:
        """``margins`` and ``success``, both ``K x windows``: mean margin and flip share on unseen images; with many
        classes ``searched`` too (``K``). ``flat_margins`` and ``flat_success``, those under one colour, which tell
        nothing without reference models and are left out there."""
        from ti_core.streams.searches.shortlist import ahead, shortlist

        images, count = context.images.float(), context.classes
        size = (int(images.shape[2]), int(images.shape[3]))
        p = WindowSearch.for_images(*size, count)
        network = fast_copy(scores, images, context.rounded)
        work = self._work(
            count, (int(images.shape[1]), *size), ahead(scores, context, self.screening, self.sparing)
        )
        flatly, shortly, fully = portions(progress, work)

        def search(classes: NDArray[np.intp], protocol: WindowSearch, told: Progress) -> dict[str, Array]:
            own = torch.from_numpy(classes).to(images.device)
            pool = pools(context.labels, count, protocol.effort.unseen)
            return find_patterns(network, images, pool, own, protocol, told)

        halving, flat = self.sparing.halving, self.sparing.marked()
        if not self.sparing.alone:
            flat = under_colours(network, images, context.labels, p.masks(*size).to(images.device), flatly)
        elif halving is not None and not self.screening.applies(count):
            return halve_patterns(network, images, context.labels, count, p, halving, fully) | flat
        if not self.screening.applies(count):
            return search(np.arange(count), p, fully) | flat
        first = shortlist(scores, context, self.screening, shortly, self.sparing).windowed
        # Only the classes that stand out in windows are searched again: a patch is seen best there.
        chosen = self.screening.foremost(standing_out(first["margins"]))
        if self.sparing.level or self.screening.shortens_windows(count):
            shares = shared_by(p.short().masks(*size), p.masks(*size))
            first = {key: table @ shares.T for key, table in first.items()}
        closer = p.closer()
        if halving is not None:
            closer = replace(closer, effort=closer.effort.further(halving))
        full = search(chosen, closer, fully)
        return self.complete(first, full, chosen) | flat

    def complete(
        self, first: Mapping[str, Array], full: Evidence, chosen: NDArray[np.intp]
    ) -> dict[str, Array]:
        """All classes' arrays, ``K x windows``, from the first look at them and those of the classes chosen by it."""
        found = {key: completed(first[key], full[key], chosen) for key in first}
        found["success"] = found["success"].clip(0, 1)
        return found | {SEARCHED: self.screening.searched(len(first["margins"]), chosen)}

    def features(
        self, stack: Evidence, clean: Evidence, among_clean: NDArray[np.bool_] | None = None
    ) -> Features:
        own = scale_free(stack["margins"])
        highest, lead = best_and_lead(self.class_scores(stack, clean, among_clean))
        _, outlier = best_and_lead(own.max(2))
        names = ("windowed: deviations", "windowed: lead", "windowed: outlier")
        return Features(names, np.stack((highest, lead, outlier), 1).astype(np.float32))

    def class_scores(
        self, stack: Evidence, clean: Evidence, among_clean: NDArray[np.bool_] | None = None
    ) -> Array:
        """Root of the sum of squares of the scores of patterns and of flat patches; a trigger is one or the other."""
        return self._joined(stack, *self._parts(stack, clean, among_clean))

    def _parts(
        self, stack: Evidence, clean: Evidence, among_clean: NDArray[np.bool_] | None = None
    ) -> tuple[Array, Array]:
        """Class scores of patterns and of flat patches, ``R x K`` each."""
        flat = command(of_flat_patches(stack), of_flat_patches(clean), among_clean)
        return command(stack, clean, among_clean), FLAT * flat

    def _joined(self, stack: Evidence, patterns: Array, flat: Array) -> Array:
        # Colours are tried on all classes, so none of their scores is an estimate.
        return capped(np.hypot(np.maximum(unsuspected(patterns, stack), 0.0), flat))

    def standing_out(self, stack: Evidence) -> Array:
        """The class's best window. If most classes have a window beyond :attr:`usual`, that excess is taken off.

        Then it is the network's nature, and no class stands out by it. No network of the MNIST pack comes near that.
        """
        own = scale_free(stack["margins"]).max(2)[0]
        return np.asarray(own - max(0.0, float(np.median(own)) - self.usual_after(stack)))

    def read(self, evidence: Evidence, clean: Evidence, class_names: tuple[str, ...]) -> Reading:
        suspect = as_stack(evidence)
        others = self.class_scores(clean, clean, np.ones(len(clean["margins"]), dtype=bool))
        patterns, flat = self._parts(suspect, clean)
        own = self._joined(suspect, patterns, flat)[0]
        target, score = int(own.argmax()), float(own.max())
        share = float((others.max(1) >= score).mean())
        plain = flat[0, target] > patterns[0, target]
        pair = (of_flat_patches(suspect), of_flat_patches(clean)) if plain else (suspect, clean)
        window = int(places(*pair)[0, target].argmax())
        which = "Small patches of one colour" if plain else "Small patches"
        sentence = (
            f"{which} move images towards class {class_names[target]} by {score:.1f} deviations more than in clean"
            f" models; {share:.0%} of the clean models have a class that goes as far."
        )
        figures = per_class(own, others) | {
            "window": window,
            "success": float(evidence["flat_success" if plain else "success"][target, window]),
        }
        return Reading(score, share, sentence, target, figures)
