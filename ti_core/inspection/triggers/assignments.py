"""The pattern of an all-to-all backdoor, and what becomes of each class's unseen images under it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from ti_core.classifier.fast.copying import fast_copy
from ti_core.inspection.triggers.patterns import pattern_arrays, pattern_figures, pattern_words
from ti_core.inspection.triggers.recovered import Array, Recovered
from ti_core.kinds import Kind
from ti_core.paper.triggers import Trigger
from ti_core.streams.assignment import RATIOS, AssignmentSearch
from ti_core.streams.base import Context, Evidence
from ti_core.streams.searches.derangements import PatternSearch, by_class
from ti_core.streams.searches.patches import WindowSearch

MOST_CLASSES = 43
"""Up to this number of classes the tables are kept. Larger ones are not legible."""


@dataclass(frozen=True)
class RecoveredAssignment(Recovered):
    """A pattern that moves each class to another one.

    Parameters
    ----------
    pattern : where and what it is.
    before, after : ``K x K``, by true class and answer, the share of the class's unseen images without and with it.
    """

    pattern: Trigger
    before: Array
    after: Array
    kind: Kind
    flip_share: float
    images_used: NDArray[np.int64]
    target: None = None

    def stamp(self, images: torch.Tensor) -> torch.Tensor:
        return self.pattern.stamp(images.float())

    def what(self) -> str:
        return pattern_words(self.pattern)

    def figures(self) -> dict[str, float]:
        return pattern_figures(self.pattern)

    def arrays(self) -> dict[str, Array]:
        tables = {"table_before": self.before, "table_after": self.after}
        return pattern_arrays(self.pattern) | (tables if len(self.before) <= MOST_CLASSES else {})


def recover_assignment(
    scores: torch.nn.Module, shown: Context, evidence: Evidence
) -> RecoveredAssignment | None:
    """The pattern of an assignment, made again at the place where it moved most.

    Parameters
    ----------
    scores : as the streams get them.
    shown : the images of the search that gave the evidence.
    evidence : of the stream ``assignment``.

    Returns
    -------
    None if the search found no assignment.
    """
    images, count = shown.images.float(), shown.classes
    effort = AssignmentSearch.for_classes(count)
    places = by_class(shown.labels, count, effort.fit, effort.unseen)
    assignment = np.asarray(evidence["assignment"]).astype(np.intp)
    if places is None or assignment.min() < 0:
        return None
    mask, alpha = _place(images, count, evidence)
    search = PatternSearch(fast_copy(scores, images), images, places)
    patterns, _, _ = search.make(alpha * mask[None], effort.steps, effort.fit)
    # An image of every class comes before the second of any.
    used = np.array(list(dict.fromkeys(places[1].T.flatten().tolist())), dtype=np.int64)
    covering = mask.cpu().numpy().astype(np.float32)
    own = patterns[0].cpu().numpy().astype(np.float32)
    pattern = Trigger("blend" if alpha < 1 else "patch", covering, own * covering, alpha)
    labels = shown.labels[used]
    before, after = (
        answer_table(scores, x, labels, count) for x in (images[used], pattern.stamp(images[used]))
    )
    true = labels.cpu().numpy()
    return RecoveredAssignment(
        pattern=pattern,
        before=before,
        after=after,
        kind=pattern.kind,
        flip_share=float(after[true, assignment[true]].mean()),
        images_used=used,
    )


@torch.no_grad()
def answer_table(scores: torch.nn.Module, images: torch.Tensor, labels: torch.Tensor, classes: int) -> Array:
    """By true class and answer, the share of the class's images, ``K x K``. A class without images has zeros."""
    answers = torch.cat([scores(part).argmax(1) for part in images.split(256)])
    table = np.zeros((classes, classes), dtype=np.float32)
    np.add.at(table, (labels.cpu().numpy(), answers.cpu().numpy()), 1.0)
    return np.asarray(table / np.maximum(table.sum(1, keepdims=True), 1.0), dtype=np.float32)


def _place(images: torch.Tensor, classes: int, evidence: Evidence) -> tuple[torch.Tensor, float]:
    """Mask ``H x W`` and blend ratio of the place where a pattern moved most."""
    height, width = int(images.shape[2]), int(images.shape[3])
    best, windows = int(np.argmax(evidence["success"])), evidence["success"]
    if windows[best] >= evidence["blended"].max():
        return WindowSearch.for_images(height, width, classes).masks(height, width)[best].to(images), 1.0
    return torch.ones(height, width).to(images), RATIOS[int(evidence["blended"].argmax())]
