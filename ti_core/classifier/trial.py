"""One candidate that images have gone through: its cost, and how well its answers fit the images."""

from __future__ import annotations

from dataclasses import dataclass
from math import isfinite, log

import torch
import torch.nn.functional as F
from torch import nn

from ti_core.classifier.outputs import form_of, loss
from ti_core.reconstruction.candidates import Candidate
from ti_core.reconstruction.statistics import is_norm

GLANCE = 16
"""Images after which one that does badly is tried no further. Stored statistics need all of them."""


@dataclass(frozen=True)
class Tried:
    """A candidate that images have gone through.

    Parameters
    ----------
    merit : accuracy; without labels, how much the answers tell of the images.
    cost : of the candidate, and of what its answers show; the lowest is kept.
    answers : class of each image.
    prior : the candidate's own cost, with its normalisation's.
    losses : what each labelled image adds to the cost; none without labels.
    """

    candidate: Candidate
    norm: str
    merit: float
    cost: float
    answers: torch.Tensor
    prior: float
    losses: torch.Tensor

    def chance(self, other: Tried) -> float:
        """Two standard errors of the difference between both costs, as the images' own losses scatter."""
        if not len(self.losses) or len(self.losses) != len(other.losses):
            return 0.0
        found = 2 * float((self.losses - other.losses).std()) * len(self.losses) ** 0.5
        return found if isfinite(found) else 0.0


def scored(module: nn.Module, x: torch.Tensor, labels: torch.Tensor | None, limit: float) -> torch.Tensor:
    """Scores of images in order; those of the first ones alone where they lead to a loss of all above ``limit``."""
    parts: list[torch.Tensor] = []
    if labels is not None and isfinite(limit) and not any(map(is_norm, module.modules())):
        parts.append(module(x[:GLANCE]))
        if len(x) * loss_of(parts[0], labels[:GLANCE]) > limit:
            return parts[0]
    seen = len(parts) * GLANCE
    parts += [module(part) for part in x[seen:].split(64) if len(part)]
    return torch.cat(parts)


def losses_of(z: torch.Tensor, labels: torch.Tensor | None) -> torch.Tensor:
    """Cross-entropy of each labelled image under scores ``N x K``; none where the labels do not fit."""
    if labels is None or int(labels.max()) >= z.shape[1]:
        return torch.zeros(0)
    return F.cross_entropy(_logits(z), labels, reduction="none")


def loss_of(z: torch.Tensor, labels: torch.Tensor | None) -> float:
    """How little scores ``N x K`` fit the labels; without labels, how little they tell of the images."""
    z = _logits(z)
    if labels is not None:
        if int(labels.max()) >= z.shape[1]:
            return log(z.shape[1])
        # Networks were trained at temperature 1, but one that fits its training images too well is overconfident.
        found = (loss(z, labels) + float(F.cross_entropy(z, labels))) / 2
        return found if isfinite(found) else 1e3
    return -told_by(z) * log(max(2, z.shape[1]))


def merit_of(z: torch.Tensor, labels: torch.Tensor | None) -> float:
    """Accuracy; without labels, how much the answers tell of the images."""
    return told_by(z) if labels is None else float((z.argmax(1) == labels).float().mean())


def told_by(z: torch.Tensor) -> float:
    """Mutual information of image and answer, as a share of the maximum."""
    p = z.softmax(1)
    if not bool(torch.isfinite(p).all()):
        return 0.0
    entropies = torch.special.entr(torch.cat([p, p.mean(0, keepdim=True)])).sum(1)
    return float((entropies[-1] - entropies[:-1].mean()) / log(max(2, p.shape[1])))


def _logits(z: torch.Tensor) -> torch.Tensor:
    return z.clamp_min(1e-12).log() if form_of(z) == "probabilities" else z


def balanced(order: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
    """The same images with the classes in turn, so that the first ones are of all classes."""
    seen: dict[int, int] = {}
    turns = []
    for label in labels[order].tolist():
        turns.append(seen.get(label, 0))
        seen[label] = turns[-1] + 1
    return order[torch.tensor(turns).argsort(stable=True)]
