"""Understanding a model on images without labels: candidates are compared by how much its answers tell of them."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

import torch

from ti_core.classifier.classifier import Classifier, Declared
from ti_core.classifier.first_pass import Gauge
from ti_core.classifier.normalisation import fitting
from ti_core.classifier.scores import Scores
from ti_core.classifier.search import Search, Settled
from ti_core.errors import ModelBehaviourError
from ti_core.reconstruction.model import Model

MINIMUM_INFORMATION = 0.25
"""Minimum mutual information of image and answer, as a share of the maximum, for a verdict without labels."""


@dataclass(frozen=True)
class Guessed(Classifier):
    """A model whose preprocessing was found without labels.

    ``accuracy`` and ``tried`` hold the mutual information of image and class instead, as a share of the maximum. It is
    0 for a model that always gives the same answer, or no clear one. It is highest for confident and varied answers, as
    a model gives on images scaled as in training.
    """

    def says(self) -> str:
        return (
            f"The images carry no labels, so the model's own answers serve as such; pixels are scaled to"
            f" {self.scaling()}, under which its answers are surest and most various. If that is not the scaling it was"
            f" trained with, declare it with --set normalisation=NAME.{self.returned()}"
        )


class Guess(Search):
    """See :func:`understand_unlabelled`."""

    made = Guessed
    sure = math.inf
    """Confident answers may be wrong, so everything is tried."""

    def __init__(
        self,
        model: Model,
        images: torch.Tensor,
        classes: int,
        declared: Declared,
        gauge: Gauge | None = None,
    ) -> None:
        if declared.normalisation == "auto" and model.declared in fitting(int(images.shape[1])):
            declared = replace(declared, normalisation=str(model.declared))
        if declared.channel_order == "auto":
            # The answers are hardly more confident in the right order than in the wrong one.
            declared = replace(declared, channel_order="rgb")
        unlabelled = torch.zeros(len(images), dtype=torch.long)
        super().__init__(model, images, unlabelled, classes, declared, MINIMUM_INFORMATION, gauge)

    def _kept(self) -> Settled:
        """The candidate with the largest mutual information, the earlier of equals: there are no labels for a loss."""
        return max(self.settled, key=lambda settled: settled.merit)

    def _merit(self, z: torch.Tensor, labels: torch.Tensor) -> float:
        """Mutual information of image and class under the model's own probabilities, in shares of ``log K``."""
        p = z.softmax(1)
        if not bool(torch.isfinite(p).all()):
            return 0.0
        entropies = torch.special.entr(torch.cat([p, p.mean(0, keepdim=True)])).sum(1)
        return float((entropies[-1] - entropies[:-1].mean()) / math.log(max(2, p.shape[1])))


def understand_unlabelled(
    model: Model,
    images: torch.Tensor,
    classes: int,
    declared: Declared | None = None,
    gauge: Gauge | None = None,
) -> Guessed:
    """Like :func:`ti_core.classifier.understand.understand`, for images ``N x C x H x W`` in [0, 1] without labels.

    The candidate whose answers tell most of the images is kept. What the user or the file declares is believed; three
    channels are taken in the order red, green, blue unless the other is declared.

    Raises
    ------
    SettingsError : what is declared names no normalisation, or no variant of this model.
    ModelBehaviourError : an output that is no ``N x K`` tensor, or NaN scores.
    """
    found = Guess(model, images, classes, declared or Declared(), gauge).best()
    assert isinstance(found, Guessed)
    return found


@torch.no_grad()
def count_classes(model: Model, images: torch.Tensor, declared: Declared | None = None) -> int:
    """K, from the file or else from the network's scores of two images ``N x C x H x W`` in [0, 1].

    Raises
    ------
    ModelBehaviourError : the network takes no such images, or returns no scores of them.
    """
    if model.classes is not None:
        return model.classes
    search, images = Guess(model, images[:2], 0, declared or Declared()), images[:2]
    problem: Exception | None = None
    for side in search.sides():
        try:
            returned = model.module(Scores(model.module, search.names()[0], side=side).prepared(images))
        except (
            RuntimeError,
            ValueError,
            IndexError,
            TypeError,
            AttributeError,
            ModelBehaviourError,
        ) as error:
            problem = problem or error
            continue
        for value in _tensors(returned):
            if value.ndim >= 2 and len(value) == len(images) and value.shape[2:] in ((), (1, 1)):
                return int(value.shape[1])
        raise ModelBehaviourError(f"{model.file} returns no class scores: no tensor of images x classes.")
    reason = (str(problem).strip().splitlines() or [type(problem).__name__])[0][:200]
    shape = tuple(images.shape[1:])
    raise ModelBehaviourError(f"{model.file} does not accept images of {shape}: {reason}") from problem


def _tensors(returned: Any) -> Iterator[torch.Tensor]:
    """The tensors among what a network returned."""
    if isinstance(returned, dict):
        returned = list(returned.values())
    for value in returned if isinstance(returned, (tuple, list)) else [returned]:
        if isinstance(value, torch.Tensor):
            yield value
