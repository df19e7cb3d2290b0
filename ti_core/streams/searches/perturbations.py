"""Universal perturbations: per class one small change, shared by all images, that raises the class's margin."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch

from ti_core.streams.base import (
    Array,
    Progress,
    silent,
)
from ti_core.streams.passes import Passes, portions
from ti_core.streams.searches.screening import SEARCHED, Screening, completed
from ti_core.streams.searches.search import (
    MOMENTUM,
    Effort,
    Pools,
    ascent,
    chunks,
    measure,
    pools,
    seek,
    shifted,
    smoothed,
    unseen_margins,
)
from ti_core.streams.searches.sparing import Halving
from ti_core.streams.statistics import (
    as_array,
    mean_margins,
    scale_free,
)

BLENDING = Effort(steps=12, images_a_step=16, unseen=48)


@dataclass(frozen=True)
class PerturbationSearch:
    """How universal perturbations are made.

    Parameters
    ----------
    radii : L2 radii of the balls, in pixel units of [0, 1], growing.
    effort : steps at each radius, starting from the perturbation of the radius before; images.
    ratio, blending : the blend ratio of eq. (2) at which patterns are sought, and the effort for each.
    soft_ratio, coarseness : the blend ratio of soft patterns, and how many pixels of the grid there are for each of
        theirs, along a side.
    """

    radii: tuple[float, ...]
    effort: Effort
    ratio: float = 0.2
    blending: Effort = BLENDING
    soft_ratio: float = 0.2
    coarseness: int = 2

    @classmethod
    def for_images(cls, channels: int, height: int, width: int, classes: int) -> PerturbationSearch:
        """Radii of equal change per pixel for every image size; half of that, and half the blend ratio, for colour
        images, whose classes give way sooner."""
        base = (height * width / 784) ** 0.5 * (1.0 if channels == 1 else 0.5)
        few = classes <= 12
        return cls(
            radii=tuple(round(base * r, 4) for r in (0.5, 1.0, 2.0)),
            effort=Effort(steps=5, images_a_step=24 if few else 12, unseen=48),
            ratio=0.2 if channels == 1 else 0.1,
            blending=Effort(steps=12, images_a_step=16 if few else 8, unseen=48),
        )

    def passes(self, classes: int) -> tuple[Passes, Passes]:
        """The images that go through the network in the balls, and for each of the two blended patterns."""
        return self.effort.passes(classes * len(self.radii)), self.blending.passes(classes)

    def rounds(self, halving: Halving) -> tuple[Effort, Effort]:
        """The efforts in the balls of both rounds of :func:`halve_perturbations`."""
        return self.effort.first(halving), self.effort.further(halving)

    def halved(self, classes: int, halving: Halving) -> Passes:
        """The images that :func:`halve_perturbations` sends through the network for this many classes."""
        one, two = (replace(self, effort=effort) for effort in self.rounds(halving))
        return (
            one.passes(classes)[0] + two.passes(Screening.of_classes(halving, classes).going_on(classes))[0]
        )

    def short(self) -> PerturbationSearch:
        """The same with a tenth of the work: enough to tell which classes stand out."""
        return replace(
            self,
            effort=Effort(steps=2, images_a_step=3, unseen=6),
            blending=Effort(steps=3, images_a_step=3, unseen=6),
        )


def maximise(
    scores: torch.nn.Module,
    images: torch.Tensor,
    pool: Pools,
    classes: torch.Tensor,
    protocol: PerturbationSearch,
    progress: Progress = silent,
) -> list[tuple[torch.Tensor, torch.Tensor]]:
    """Perturbations ``J x C x H x W`` of J classes and their margins ``J x n`` on unseen images, at every radius.

    Each step goes to the point of the sphere in the direction of the averaged gradients: for a linear classifier
    that is the maximum itself.
    """
    e = protocol.effort
    delta = torch.zeros(len(classes), *images.shape[1:], device=images.device)
    speed = torch.zeros_like(delta)
    found = []
    for level, radius in enumerate(protocol.radii):
        for step in range(level * e.steps, (level + 1) * e.steps):
            chosen = pool.draw(classes, e.images_a_step, step)
            for part in chunks(len(classes), e.images_a_step, e.batch):
                gradient = ascent(scores, shifted(images[chosen[part]], delta[part]), classes[part]).mean(1)
                speed[part] = MOMENTUM * speed[part] + unit(smoothed(gradient))
            delta = radius * unit(speed)
            progress((step + 1) / (len(protocol.radii) * e.steps + 1))
        chosen = pool.test(classes, e.unseen)
        margins = [
            measure(scores, shifted(images[chosen[part]], delta[part]), classes[part])
            for part in chunks(len(classes), e.unseen, 2 * e.batch)
        ]
        found.append((delta, torch.cat(margins)))
    return found


def blended(
    scores: torch.nn.Module,
    images: torch.Tensor,
    pool: Pools,
    classes: torch.Tensor,
    ratio: float,
    effort: Effort,
    progress: Progress = silent,
    coarseness: int = 1,
) -> torch.Tensor:
    """Margins ``J x n`` on unseen images under the pattern that, blended in by eq. (2), raises each class's most."""
    weights = torch.full((len(classes), *images.shape[2:]), ratio, device=images.device)
    patterns = seek(scores, images, pool, classes, weights, effort, progress, coarseness)
    return unseen_margins(scores, images, pool, classes, weights, patterns, effort)


def find_perturbations(
    scores: torch.nn.Module,
    images: torch.Tensor,
    pool: Pools,
    classes: torch.Tensor,
    protocol: PerturbationSearch,
    progress: Progress,
    only_balls: bool = False,
) -> dict[str, Array]:
    """``margins`` and ``success`` (``radii x J``), ``blended`` and ``soft`` (``J``) of J classes.

    With ``only_balls`` the last two are left out.
    """
    p = protocol
    if only_balls:
        found = maximise(scores, images, pool, classes, p, progress)
        progress(1.0)
        return measured([margins for _, margins in found])
    balls, blends = p.passes(len(classes))
    in_balls, in_blend, in_soft = portions(progress, (balls, blends, blends))
    found = maximise(scores, images, pool, classes, p, in_balls)
    under_blend = blended(scores, images, pool, classes, p.ratio, p.blending, in_blend)
    under_soft = blended(scores, images, pool, classes, p.soft_ratio, p.blending, in_soft, p.coarseness)
    progress(1.0)
    return measured([margins for _, margins in found]) | {
        "blended": as_array(mean_margins(under_blend)),
        "soft": as_array(mean_margins(under_soft)),
    }


def measured(searches: Sequence[torch.Tensor]) -> dict[str, Array]:
    """``margins`` and ``success``, ``S x J`` each, from the margins ``J x n`` on unseen images of S searches."""
    return {
        "margins": as_array(torch.stack([mean_margins(m) for m in searches])),
        "success": as_array(torch.stack([(m > 0).float().mean(1) for m in searches])),
    }


def halve_perturbations(
    scores: torch.nn.Module,
    images: torch.Tensor,
    labels: torch.Tensor,
    count: int,
    protocol: PerturbationSearch,
    halving: Halving,
    progress: Progress,
) -> dict[str, Array]:
    """``margins`` and ``success``, both ``radii x K``, by successive halving over the K classes.

    The classes that did not go on get an estimate; ``searched`` (``K``) is 0 for them.
    """
    one, two = (replace(protocol, effort=e) for e in protocol.rounds(halving))
    wanted = Screening.of_classes(halving, count)
    parts = portions(progress, (one.passes(count)[0], two.passes(wanted.going_on(count))[0]))

    def look(classes: torch.Tensor, p: PerturbationSearch, told: Progress) -> dict[str, Array]:
        pool = pools(labels, count, p.effort.unseen)
        return find_perturbations(scores, images, pool, classes, p, told, only_balls=True)

    everyone = torch.arange(count, device=images.device)
    short = look(everyone, one, parts[0])
    chosen = wanted.choose(scale_free(short["margins"][-2:]).mean(0))
    full = look(everyone[torch.from_numpy(chosen).to(images.device)], two, parts[1])
    found = {key: completed(short[key].T, full[key].T, chosen).T for key in full}
    found["success"] = found["success"].clip(0, 1)
    return found | {SEARCHED: wanted.searched(count, chosen)}


def unit(x: torch.Tensor) -> torch.Tensor:
    """Rows of ``J x C x H x W`` at L2 length 1; a row of zeros stays."""
    length = x.flatten(1).norm(dim=1).view(-1, 1, 1, 1)
    return x / torch.where(length > 0, length, torch.ones_like(length))
