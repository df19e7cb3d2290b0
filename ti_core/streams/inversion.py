"""Free trigger inversion: per class, the smallest mask with a pattern that flips images to that class.

The method is Neural Cleanse (Wang et al., IEEE S&P 2019). It minimises the cross-entropy towards the class plus a
weight times the mask's L1 norm. The weight is raised while enough images flip, and lowered while they do not. Every
class is one row of stacked tensors, so that all classes are optimised in one batch.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

import numpy as np
import torch
import torch.nn.functional as F
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
from ti_core.streams.searches.screening import SEARCHED, Screening, among_searched, completed, unsuspected
from ti_core.streams.searches.search import Effort, chunks, pools, stamp, unseen_margins
from ti_core.streams.statistics import as_array, best_and_lead, capped, deviations, per_class

if TYPE_CHECKING:
    from ti_core.streams.searches.shortlist import Shortlist


@dataclass(frozen=True)
class InversionSearch:
    """How masks and patterns are optimised.

    On the MNIST pack's fitted members, four times the work (120 steps of 16 images at a rate of 0.2) gives no better
    AUC. No class is stopped early, since masks still shrink in the last steps.

    Parameters
    ----------
    steps, learning_rate : of Adam, on the logits of mask and pattern.
    images_a_step, unseen, batch : images per class and step, images measured on, images at once.
    success : share of images that must flip before a mask counts, 0 to 1.
    weight, factor, patience : first weight of the mask's norm. Every ``patience`` steps it is multiplied by ``factor``
        if enough images flipped, else divided by it.
    """

    steps: int = 40
    learning_rate: float = 0.5
    images_a_step: int = 12
    unseen: int = 48
    batch: int = 256
    success: float = 0.95
    weight: float = 3e-3
    factor: float = 2.0
    patience: int = 2

    def passes(self, classes: int) -> Passes:
        """The images that a search of this many classes sends through the network."""
        return Passes(forward=self.unseen, both=self.steps * self.images_a_step) * classes


@dataclass(frozen=True)
class Inverted:
    """Triggers of J classes.

    Parameters
    ----------
    masks, patterns : ``J x H x W`` and ``J x C x H x W``, in [0, 1].
    norms : the masks' L1 norms in pixels, ``J``.
    success : share of unseen images of other classes that flip, ``J``, 0 to 1.
    """

    masks: torch.Tensor
    patterns: torch.Tensor
    norms: torch.Tensor
    success: torch.Tensor


def invert(
    scores: torch.nn.Module,
    images: torch.Tensor,
    labels: torch.Tensor,
    count: int,
    classes: torch.Tensor | None = None,
    protocol: InversionSearch | None = None,
    progress: Progress = silent,
    rounded: bool = False,
) -> Inverted:
    """Smallest triggers for ``classes`` (default: all) of a network with ``count`` classes.

    For each class the smallest mask that reached the wanted success on the images of its step is kept; without one, the
    last mask. A gradient that is not finite counts as 0. An image without finite scores counts as not flipped. With
    ``rounded``, gradients may be in bfloat16.
    """
    p = protocol or InversionSearch()
    device = images.device
    wanted = torch.arange(count, device=device) if classes is None else classes
    pool = pools(labels, count, p.unseen)
    network = fast_copy(scores, images, rounded)
    # Channel 0 holds the mask, the others hold the pattern. The search starts with a thin mask everywhere.
    raw = torch.zeros(len(wanted), 1 + images.shape[1], *images.shape[2:], device=device)
    raw[:, 0] = -1.0
    best, best_norm = raw.clone(), torch.full((len(wanted),), float("inf"), device=device)
    weight = torch.full((len(wanted),), p.weight, device=device)
    # Neural Cleanse's moments.
    adam = torch.optim.Adam([raw], lr=p.learning_rate, betas=(0.5, 0.9), eps=1e-12)
    for step in range(p.steps):
        chosen = pool.draw(wanted, p.images_a_step, step)
        gradient, flipped = torch.zeros_like(raw), torch.zeros(len(wanted), device=device)
        for part in chunks(len(wanted), p.images_a_step, p.batch):
            gradient[part], flipped[part] = _descent(
                network, images[chosen[part]], raw[part], wanted[part], weight[part]
            )
        enough = flipped >= p.success
        norm = raw[:, 0].sigmoid().flatten(1).sum(1)
        better = enough & (norm < best_norm)
        best[better], best_norm[better] = raw[better], norm[better]
        if (step + 1) % p.patience == 0:
            weight = torch.where(enough, weight * p.factor, weight / p.factor)
        raw.grad = gradient
        adam.step()
        progress((step + 1) / (p.steps + 1))
    raw = torch.where(best_norm.isfinite().view(-1, 1, 1, 1), best, raw)
    masks, patterns = raw[:, 0].sigmoid(), raw[:, 1:].sigmoid()
    margins = unseen_margins(
        network, images, pool, wanted, masks, patterns, Effort(p.steps, p.images_a_step, p.unseen, p.batch)
    )
    progress(1.0)
    return Inverted(masks, patterns, masks.flatten(1).sum(1), (margins > 0).float().mean(1))


def _descent(
    network: torch.nn.Module, x: torch.Tensor, raw: torch.Tensor, classes: torch.Tensor, weight: torch.Tensor
) -> tuple[torch.Tensor, torch.Tensor]:
    """Gradient of the objective with respect to ``raw``, and the share of images that flip to each class."""
    leaf = raw.clone().requires_grad_(True)
    goal = classes.repeat_interleave(x.shape[1])
    with torch.enable_grad():
        mask = leaf[:, 0].sigmoid()
        z = network(stamp(x, mask, leaf[:, 1:].sigmoid()).flatten(0, 1))
        entropy = F.cross_entropy(z, goal, reduction="none").view(len(classes), -1).mean(1)
        (gradient,) = torch.autograd.grad((entropy + weight * mask.flatten(1).sum(1)).sum(), leaf)
    # argmax of scores with NaN is the place of a NaN, so images without finite scores are excluded.
    hit = (z.detach().argmax(1) == goal) & z.detach().isfinite().all(1)
    flipped = hit.float().view(len(classes), -1).mean(1)
    return torch.nan_to_num(gradient, 0.0, 0.0, 0.0), flipped


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

        first = shortlist.passes(self.name, self.settings.streams, classes, shape, self.screening)
        return sum(self._work(classes, shape, first), Passes())

    def _work(self, classes: int, shape: tuple[int, int, int], first: Passes) -> tuple[Passes, Passes]:
        """The images of the shortlist, and of the search with full effort."""
        return first, self.protocol.passes(self.screening.full(classes))

    def evidence(self, scores: torch.nn.Module, context: Context, progress: Progress = silent) -> Evidence:
        """``norms`` of the masks in pixels, and ``success`` on unseen images, both ``K``; with many classes
        ``searched`` too (``K``)."""
        count = context.classes

        def search(
            classes: torch.Tensor | None, protocol: InversionSearch, told: Progress
        ) -> dict[str, Array]:
            images = context.images.float()
            found = invert(scores, images, context.labels, count, classes, protocol, told, context.rounded)
            return {"norms": as_array(found.norms), "success": as_array(found.success)}

        if not self.screening.applies(count):
            return search(None, self.protocol, progress)
        from ti_core.streams.searches.shortlist import ahead, shortlist

        channels, height, width = (int(n) for n in context.images.shape[1:])
        work = self._work(count, (channels, height, width), ahead(scores, context, self.screening))
        shortly, fully = portions(progress, work)
        short = shortlist(scores, context, self.screening, shortly)
        own = torch.from_numpy(short.chosen).to(context.images.device)
        full = search(own, self.protocol, fully)
        return self.complete(short, full)

    def complete(self, short: Shortlist, full: Evidence) -> dict[str, Array]:
        """All classes' arrays, from those of the classes on the shortlist, which got a full search."""
        # A smaller mask is more suspicious. No estimate is smaller than all masks that were found.
        smaller = completed(short.standing, -np.log(full["norms"]), short.chosen, steepest=np.inf)
        success = completed(short.standing, full["success"], short.chosen, steepest=np.inf)
        return {
            "norms": np.exp(-smaller),
            "success": success.clip(0, 1),
            SEARCHED: self.screening.searched(len(short.standing), short.chosen),
        }

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


def smallness(stack: Evidence) -> Array:
    """Log ratio of the network's median mask norm to each class's mask norm: larger for a smaller mask."""
    logs = np.log(np.maximum(stack["norms"], 1e-3))
    return np.asarray(np.median(logs, axis=1, keepdims=True) - logs, dtype=np.float32)
