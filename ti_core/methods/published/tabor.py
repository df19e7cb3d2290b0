"""TABOR: Neural Cleanse with further terms, against triggers that are large, scattered, or hide the image.

The terms are those of the publication, Sec. 4: (1) elastic nets of the mask and of the pattern outside it, (2) squared
differences of neighbours in both, (3) the image without what the mask covers keeps its class, (4) the trigger alone is
of the wanted class.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import torch
import torch.nn.functional as F

from ti_core.methods.base import Method, Need, Source, Subject
from ti_core.methods.inversions import Objective, TriggerSearch, smallest_triggers
from ti_core.methods.opinion import Opinion
from ti_core.methods.outliers import anomaly_indices
from ti_core.streams.searches.search import stamp
from ti_core.system.progress import ShareProgress, silent_share


@dataclass(frozen=True)
class TaborTerms:
    """The search, and the weights of TABOR's terms.

    Parameters
    ----------
    search : of the variables. Its weight multiplies terms 1 and 2.
    outside : weight of the pattern outside the mask, beside the mask's own of 1.
    scattered, scattered_outside : weights of the neighbours' differences in the mask and in the pattern outside it.
    blocking, overlaying : weights of terms 3 and 4, beside the 1 of the flipped images.
    """

    search: TriggerSearch = field(default_factory=TriggerSearch)
    outside: float = 0.1
    scattered: float = 0.1
    scattered_outside: float = 0.01
    blocking: float = 0.01
    overlaying: float = 0.01


class TaborObjective(Objective):
    """Variables ``J x (1 + C) x H x W``: logits of a mask, and of a pattern."""

    def __init__(self, terms: TaborTerms) -> None:
        self.terms = terms

    def fresh(self, classes: int, shape: tuple[int, int, int]) -> torch.Tensor:
        channels, height, width = shape
        raw = torch.zeros(classes, 1 + channels, height, width)
        raw[:, 0] = -1.0
        return raw

    def changed(self, raw: torch.Tensor, x: torch.Tensor) -> torch.Tensor:
        return stamp(x, raw[:, 0].sigmoid(), raw[:, 1:].sigmoid())

    def cost(self, raw: torch.Tensor) -> torch.Tensor:
        mask = raw[:, :1].sigmoid()
        outside = (1 - mask) * raw[:, 1:].sigmoid()
        t = self.terms
        return (
            elastic(mask)
            + t.outside * elastic(outside)
            + t.scattered * scatter(mask)
            + t.scattered_outside * scatter(outside)
        )

    def size(self, raw: torch.Tensor) -> torch.Tensor:
        return raw[:, 0].sigmoid().flatten(1).sum(1)

    def further(
        self,
        network: torch.nn.Module,
        raw: torch.Tensor,
        x: torch.Tensor,
        labels: torch.Tensor,
        wanted: torch.Tensor,
    ) -> torch.Tensor:
        mask, pattern = raw[:, :1].sigmoid(), raw[:, 1:].sigmoid()
        blocked = network(((1 - mask)[:, None] * x).flatten(0, 1))
        kept = F.cross_entropy(blocked, labels.flatten(), reduction="none").view(len(raw), -1).mean(1)
        alone = F.cross_entropy(network(mask * pattern), wanted, reduction="none")
        return self.terms.blocking * kept + self.terms.overlaying * alone


def elastic(parts: torch.Tensor) -> torch.Tensor:
    """Elastic net of each row ``J x C x H x W``: sum of absolute values and of squares, ``J``."""
    flat = parts.flatten(1)
    return flat.abs().sum(1) + flat.square().sum(1)


def scatter(parts: torch.Tensor) -> torch.Tensor:
    """Sum of the squared differences of neighbouring pixels, ``J``."""
    down = (parts[:, :, 1:] - parts[:, :, :-1]).square().flatten(1).sum(1)
    return down + (parts[..., 1:] - parts[..., :-1]).square().flatten(1).sum(1)


class Tabor(Method):
    """TABOR."""

    name = "tabor"
    title = "TABOR"
    source = Source(
        "W. Guo, L. Wang, X. Xing, M. Du, D. Song",
        2019,
        "arXiv",
        "https://arxiv.org/abs/1908.01763",
        "fewer false alarms than Neural Cleanse, and triggers closer to the true ones",
    )
    needs = (Need.IMAGES, Need.CLASSES)
    sees = "a small patch of one piece that leads all images to one class, alone too"
    measures = "anomaly index of the smallest mask"
    threshold = 2.0
    differs = (
        "The decision is Neural Cleanse's anomaly index of the masks. The publication's index also weighs how scattered"
        " a trigger is and what it does alone. The weights of the terms were set by hand, since the publication"
        " adapts them as it searches. All classes are searched in one batch with 40 steps of 12 images."
    )

    def __init__(self, protocol: TaborTerms | None = None) -> None:
        self.protocol = protocol or TaborTerms()

    def opinion(self, subject: Subject, progress: ShareProgress = silent_share) -> Opinion:
        objective = TaborObjective(self.protocol)
        raw = smallest_triggers(objective, subject, self.protocol.search, progress)
        return self._smallest(objective.size(raw), subject)

    def _smallest(self, sizes: torch.Tensor, subject: Subject) -> Opinion:
        """The opinion by the smallest of the masks, whose sizes are in pixels."""
        pixels = sizes.double().cpu().numpy()
        indices = anomaly_indices(-pixels)
        target = int(pixels.argmin())
        sentence = (
            f"The smallest mask covers {pixels[target]:.0f} pixels and leads to class {subject.class_names[target]};"
            f" the median of the classes is {np.median(pixels):.0f}. Its anomaly index is {indices[target]:.2f}."
        )
        return self.said(float(indices[target]), sentence, target, tuple(float(n) for n in pixels))
