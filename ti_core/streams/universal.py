"""Universal activation maximisation: the margin of each class under one small change shared by all images.

For each class one perturbation inside an L2 ball maximises the margin of the class over the best other class (the
paper's eq. 3, for all images at once; universal perturbations: Moosavi-Dezfooli et al., CVPR 2017). A backdoor is a
short cut: its target's margin is far above that of other classes and of clean models.

A second search has the form of eq. (2): one pattern blended into all images. A network trained on noisy images resists
a small step in any direction, but it still obeys the trigger as it was blended in. The pattern is searched pixel by
pixel and on a grid half as fine. In a weakly trained network some noise raises every class, but only a backdoor obeys a
soft picture. A third search lays waves of low frequency over all images (:mod:`ti_core.streams.searches.waves`), which
the gradient searches do not find.

In large images without reference models only one search is made, for a picture of 14 x 14 free places that is blended
in. Small changes, even on the grid, tell nothing there: they reach every class alike.
"""

from __future__ import annotations

import math
from dataclasses import replace
from typing import TYPE_CHECKING, ClassVar

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
from ti_core.streams.searches.perturbations import (
    PerturbationSearch,
    blended,
    find_perturbations,
    halve_perturbations,
    measured,
)
from ti_core.streams.searches.screening import SEARCHED, Screening, among_searched, completed, unsuspected
from ti_core.streams.searches.search import (
    Effort,
    pools,
    usual_margin,
)
from ti_core.streams.searches.waves import REACHED, standing, under_stripes
from ti_core.streams.searches.waves import passes as wave_passes
from ti_core.streams.statistics import (
    LEAST,
    best_and_lead,
    deviations,
    mean_deviations,
    per_class,
    scale_free,
)

if TYPE_CHECKING:
    from ti_core.streams.searches.shortlist import Shortlist

PICTURES = (Effort(12, 6, 24), Effort(12, 6, 24), Effort(8, 4, 16))
"""How pictures are searched in large images, by the level of :mod:`ti_core.streams.searches.sparing`."""
PICTURE_RATIO, PICTURE_COARSENESS = 0.2, 4
USUAL_OF_PICTURES = 3.2
"""What :meth:`Universal.standing_out` gives for such a picture of the most outstanding class of a clean network."""


class Universal(Stream):
    """Margin of every class under its best shared perturbation, at several radii, and its best blended pattern.

    Parameters
    ----------
    screening : number of classes above which only those that stand out get a full search.
    """

    name: ClassVar[str] = "universal"
    title: ClassVar[str] = "Universal activation maximisation"
    version: ClassVar[int] = 4
    seconds: ClassVar[float] = 0.4
    doing: ClassVar[str] = "Searching small changes shared by all images"
    heading: ClassVar[str] = "One small change shared by all images"
    unit: ClassVar[str] = "margin"
    measures: ClassVar[str] = "margin by class"
    kinds: ClassVar[tuple[Kind, ...]] = ("blend", "stripes")
    only_beside_others: ClassVar[tuple[Kind, ...]] = ("stripes",)
    usual: ClassVar[float | None] = 2.1
    usual_spared: ClassVar[tuple[float, ...]] = (2.1, 2.6)
    # In clean networks of GTSRB some class reaches a hundred. Of the limits that ``benchmarks.own_classes`` compared,
    # this one finds most backdoors at 3 % false alarms.
    at_most: ClassVar[float] = 1.5

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
        """The images of the shortlist, of the search with full effort, and of the waves."""
        p, halving = PerturbationSearch.for_images(*shape, classes), self.sparing.halving
        if self._of_pictures(classes):
            return Passes(), PICTURES[self.sparing.level].passes(classes), Passes()
        if self.sparing.alone:
            if self.screening.applies(classes):
                effort = p.effort if halving is None else p.effort.further(halving)
                p = replace(p, effort=effort)
            elif halving is not None:
                return first, p.halved(classes, halving), Passes()
            return first, p.passes(self.screening.full(classes))[0], Passes()
        balls, blends = p.passes(self.screening.full(classes))
        return first, balls + blends * 2, wave_passes(classes, *shape[1:], p.effort.unseen)

    def evidence(self, scores: torch.nn.Module, context: Context, progress: Progress = silent) -> Evidence:
        """``margins`` and ``success`` (``radii x K``); ``blended`` and ``soft`` (``K``), the margins under a blended
        pattern; ``stripes`` (``2 x K``), those under waves; ``scale`` (``1``), the median margin on clean images; with
        many classes ``searched`` too (``K``). Without reference models only ``margins``, ``success`` and ``scale``: the
        others tell nothing by themselves; in large images ``margins`` and ``success`` are of one picture, ``1 x K``."""
        # The shortlist is made of this stream's own search, among others.
        from ti_core.streams.searches.shortlist import ahead, shortlist

        images, count = context.images.float(), context.classes
        channels, height, width = images.shape[1:]
        p = PerturbationSearch.for_images(channels, height, width, count)
        network = fast_copy(scores, images, context.rounded)
        pool = pools(context.labels, count, p.effort.unseen)
        everyone = torch.arange(count, device=images.device)
        work = self._work(
            count, (channels, height, width), ahead(scores, context, self.screening, self.sparing)
        )
        first, searching, waving = portions(progress, work)
        if self._of_pictures(count):
            found = self._under_pictures(network, images, context.labels, count, searching)
            return found | self.sparing.marked() | {"scale": usual_margin(network, images)}
        alone, halving = self.sparing.alone, self.sparing.halving
        if self.screening.applies(count):
            short = shortlist(scores, context, self.screening, first, self.sparing)
            own = everyone[torch.from_numpy(short.chosen).to(images.device)]
            if halving is not None:
                p = replace(p, effort=p.effort.further(halving))
            full = find_perturbations(network, images, pool, own, p, searching, alone)
            found = self.complete(short, full)
        elif halving is not None:
            found = halve_perturbations(network, images, context.labels, count, p, halving, searching)
        else:
            found = find_perturbations(network, images, pool, everyone, p, searching, alone)
        if alone:
            return found | self.sparing.marked() | {"scale": usual_margin(network, images)}
        found["stripes"] = under_stripes(network, images, context.labels, pool, p.effort.unseen, waving)
        progress(1.0)
        return found | {"scale": usual_margin(network, images)}

    def _of_pictures(self, classes: int) -> bool:
        """Whether only pictures are searched. With very many classes the shortlist is made of small changes."""
        return self.sparing.large and not self.screening.applies(classes)

    def _under_pictures(
        self, network: torch.nn.Module, images: torch.Tensor, labels: torch.Tensor, count: int, told: Progress
    ) -> dict[str, Array]:
        """``margins`` and ``success``, ``1 x K`` each, under the best picture of every class, blended in."""
        effort = PICTURES[self.sparing.level]
        pool, classes = pools(labels, count, effort.unseen), torch.arange(count, device=images.device)
        found = blended(network, images, pool, classes, PICTURE_RATIO, effort, told, PICTURE_COARSENESS)
        told(1.0)
        return measured([found])

    def complete(self, short: Shortlist, full: Evidence) -> dict[str, Array]:
        """All classes' arrays, from those of the classes on the shortlist, which got a full search."""
        table = short.universal
        found = {key: completed(table[key].T, full[key].T, short.chosen).T for key in full}
        found["success"] = found["success"].clip(0, 1)
        return found | {SEARCHED: self.screening.searched(len(short.standing), short.chosen)}

    def features(
        self, stack: Evidence, clean: Evidence, among_clean: NDArray[np.bool_] | None = None
    ) -> Features:
        scaled = _scaled(stack)
        z = deviations(scaled, _scaled(clean), among_clean)
        z = unsuspected(z.swapaxes(1, 2), stack).swapaxes(1, 2)
        names, columns = [], []
        for r in range(scaled.shape[1]):
            columns += [*best_and_lead(scaled[:, r]), *best_and_lead(z[:, r])]
            names += [
                f"universal: {what}, radius {r}"
                for what in ("margin", "lead", "deviations", "lead in deviations")
            ]
        return Features(tuple(names), np.stack(columns, 1).astype(np.float32))

    def class_scores(
        self, stack: Evidence, clean: Evidence, among_clean: NDArray[np.bool_] | None = None
    ) -> Array:
        """The mean over the two larger radii and the two blended patterns. Which of them is best depends on the
        network.

        How far the class stands out under waves, beyond clean models, is added as a sum of squares.
        """
        forms = [(stack["margins"][:, r], clean["margins"][:, r]) for r in (-2, -1)]
        forms += [(stack[key], clean[key]) for key in ("blended", "soft")]
        score = unsuspected(mean_deviations(forms, among_clean, LEAST), stack)
        # Waves are tried on all classes, so nothing here is an estimate. For most clean models they add nothing.
        further = standing(stack, clean, LEAST, among_clean)
        both = np.hypot(np.maximum(score, 0.0), further)
        return np.asarray(np.where(further > 0, both, score), dtype=np.float32)

    def usual_after(self, evidence: Evidence) -> float:
        return USUAL_OF_PICTURES if _is_of_pictures(evidence) else super().usual_after(evidence)

    def most_after(self, evidence: Evidence) -> float:
        return math.inf if _is_of_pictures(evidence) else self.at_most

    def standing_out(self, stack: Evidence) -> Array:
        """The mean over the two larger radii, as in the comparison with reference models; or that of the picture."""
        radii = stack["margins"][:, -2:]
        own = np.mean([scale_free(radii[:, r])[0] for r in range(radii.shape[1])], axis=0)
        return np.asarray(own)

    def read(self, evidence: Evidence, clean: Evidence, class_names: tuple[str, ...]) -> Reading:
        own, others = _scaled(as_stack(evidence))[0, 1], _scaled(clean)[:, 1]
        suspects = among_searched(own, evidence)
        target, score = int(suspects.argmax()), float(suspects.max())
        share = float((others.max(1) >= score).mean())
        sentence = (
            f"One small change shared by all images carries class {class_names[target]} to a margin of {score:.2f} "
            f"times the usual one; {share:.0%} of the clean models have a class that goes as far."
        )
        further, figures = standing(as_stack(evidence), clean, LEAST)[0], per_class(own, others)
        if further.max() > 0:
            figures["waves"] = further.tolist()
            sentence += (
                f" Under waves laid over all images class {class_names[int(further.argmax())]} stands out by"
                f" {further.max():.1f} deviations more than all but {1 - REACHED:.1%} of the clean models do."
            )
        # The class score rests on all of these searches, and the joint verdict on the class score.
        every = self.class_scores(as_stack(evidence), clean)[0]
        reached = self.class_scores(clean, clean, np.ones(len(others), dtype=bool)).max(1)
        together = float((reached >= every.max()).mean())
        if together < share:
            share, target = together, int(every.argmax())
            sentence += (
                f" With blended patterns and waves, class {class_names[target]} is {every.max():.1f} deviations beyond"
                f" clean models; {share:.0%} of them have a class that goes as far."
            )
        return Reading(score, share, sentence, target, figures)


def _is_of_pictures(evidence: Evidence) -> bool:
    """Whether this evidence, or a stack of it, is of pictures: that is one search, and small changes are several."""
    return bool(evidence["margins"].shape[-2] == 1)


def _scaled(stack: Evidence) -> NDArray[np.float32]:
    """Margins ``R x radii x K`` in units of each network's usual margin on clean images."""
    return np.asarray(stack["margins"] / np.maximum(stack["scale"][:, :, None], 1e-6), dtype=np.float32)
