"""Examine a network's training data class by class, by both methods."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from ti_core.classifier.classifier import Declared
from ti_core.classifier.decide import decided
from ti_core.classifier.scores import Scores
from ti_core.classifier.understand import understand
from ti_core.classifier.unlabelled import count_classes
from ti_core.errors import DataError, ModelBehaviourError
from ti_core.methods.training_data.clusters import (
    MOST_PRINCIPAL,
    Clusters,
    Reclassified,
    principal_components,
    reclassified,
    two_clusters,
)
from ti_core.methods.training_data.hidden import hidden_activations
from ti_core.methods.training_data.signatures import outlier_scores, removed
from ti_core.reconstruction.model import Model
from ti_core.reference.own_images import OwnImages
from ti_core.settings import Settings
from ti_core.system.progress import StageProgress, silent_stage

FEWEST_OF_CLASS = 50
"""Minimum number of images of a class that is examined."""
MOST_OF_CLASS = 2000
"""Maximum number of images of a class that are divided into clusters. The silhouette compares all pairs."""
SMALL = 32
"""Side of the images that the classifier of the reclassification looks at."""
TRIED = 512
"""Number of images on which the preprocessing is found."""


@dataclass(frozen=True)
class ClassFound:
    """What was found of one class.

    Parameters
    ----------
    images : indices of the images that were examined.
    clusters : the two clusters; None where all activations are alike.
    reclassified : what the smaller cluster is of, if it is small and lies apart.
    scores : spectral score of each image.
    removed : which images Spectral Signatures removes.
    """

    index: int
    images: NDArray[np.intp]
    clusters: Clusters | None
    reclassified: Reclassified | None
    scores: NDArray[np.float64]
    removed: NDArray[np.bool_]

    @property
    def suspicious(self) -> bool:
        """Whether Activation Clustering finds poison."""
        return self.reclassified is not None and self.reclassified.poison

    @property
    def clustered(self) -> NDArray[np.bool_]:
        """Which images are in a suspicious cluster."""
        if self.clusters is None or not self.suspicious:
            return np.zeros(len(self.images), dtype=bool)
        return self.clusters.smaller


@dataclass(frozen=True)
class Examined:
    """What was found of all classes.

    Parameters
    ----------
    classes : those that were examined.
    too_few : number of images of each class that has too few.
    count : number of images that were looked at.
    width : number of hidden units.
    accuracy : share of the tried images that get their label.
    """

    classes: tuple[ClassFound, ...]
    too_few: dict[int, int]
    count: int
    width: int
    accuracy: float


def examine(
    model: Model,
    own: OwnImages,
    rate: float,
    settings: Settings | None = None,
    progress: StageProgress = silent_stage,
    device: str = "cpu",
) -> Examined:
    """Look for poisoned images among labelled images that a network was trained on.

    Parameters
    ----------
    rate : share of a class's images that may be poisoned, for Spectral Signatures.
    settings : what is declared of the model; its seed.

    Raises
    ------
    DataError : the images have no labels, are of one class, or are too few of every class.
    ModelBehaviourError : the model does not classify the images, or has no hidden layer.
    """
    labels = _labels(own)
    settings = settings or Settings()
    progress("preprocessing", 0.0)
    scores, accuracy = _understood(model, own, labels, settings)
    scores.to(device)
    activations = hidden_activations(
        scores, own.pixels, model.file, lambda share: progress("activations", share)
    )
    labels = labels[: len(activations)]
    counts = {int(c): int((labels == c).sum()) for c in np.unique(labels)}
    enough = [c for c, count in counts.items() if count >= FEWEST_OF_CLASS]
    progress("classes", 0.0)
    pixels = principal_components(_small(own.pixels[: len(labels)]), MOST_PRINCIPAL, settings.seed)
    found = []
    for number, index in enumerate(enough):
        progress("classes", number / len(enough))
        found.append(_of_class(index, activations, pixels, labels, rate, settings.seed))
    progress("classes", 1.0)
    too_few = {c: count for c, count in counts.items() if count < FEWEST_OF_CLASS}
    return Examined(tuple(found), too_few, len(activations), int(activations.shape[1]), accuracy)


def _labels(own: OwnImages) -> NDArray[np.int64]:
    if own.labels is None:
        raise DataError(
            f"{own.name} has no labels. Hand in the images with the labels of the training: a folder for each class,"
            " or an .npz with an array of labels."
        )
    counts = np.bincount(own.labels)
    if (counts > 0).sum() < 2:
        raise DataError(
            f"All images of {own.name} are of one class. Hand in images of two classes or more, as the training had."
        )
    if counts.max() < FEWEST_OF_CLASS:
        raise DataError(
            f"{own.name} has at most {counts.max()} images of a class. At least {FEWEST_OF_CLASS} of a class are"
            " needed to tell two clusters apart; hand in more."
        )
    return own.labels


def _understood(
    model: Model, own: OwnImages, labels: NDArray[np.int64], settings: Settings
) -> tuple[Scores, float]:
    """The model's class scores, and the share of the images that get their label."""
    images = torch.from_numpy(own.pixels[:TRIED]).float() / 255.0
    tried = torch.from_numpy(labels[:TRIED])
    declared = Declared.of(settings)
    model = decided(model, images, tried)
    classes = count_classes(model, images, declared)
    if int(labels.max()) >= classes:
        raise ModelBehaviourError(
            f"{own.name} has labels up to {int(labels.max())}, but {model.file} tells {classes} classes apart."
        )
    found = understand(model, images, tried, classes, declared)
    if not found.understood:
        raise ModelBehaviourError(
            f"{model.file} gives {found.accuracy:.0%} of the images the label that they have, under the"
            f" {found.needed:.0%} that are needed: it was trained on other images or labels, or its preprocessing is"
            " not among those tried. Declare it with --set normalisation=NAME."
        )
    return found.scores, found.accuracy


def _small(pixels: NDArray[np.uint8]) -> NDArray[np.float32]:
    """The pixels of each image as a row in [0, 1]; larger images at :data:`SMALL` pixels a side."""
    rows = []
    for part in torch.from_numpy(pixels).split(256):
        images = part.float() / 255.0
        if max(images.shape[2:]) > SMALL:
            images = torch.nn.functional.adaptive_avg_pool2d(images, SMALL)
        rows.append(images.flatten(1).numpy())
    return np.concatenate(rows)


def _of_class(
    index: int,
    activations: NDArray[np.float32],
    pixels: NDArray[np.float32] | None,
    labels: NDArray[np.int64],
    rate: float,
    seed: int,
) -> ClassFound:
    images = np.flatnonzero(labels == index)[:MOST_OF_CLASS]
    clusters = two_clusters(activations[images], seed)
    again = None
    if clusters is not None and clusters.apart and pixels is not None:
        suspicious = np.zeros(len(labels), dtype=bool)
        suspicious[images[clusters.smaller]] = True
        again = reclassified(pixels, labels, suspicious, seed)
    scores = outlier_scores(activations[images], seed)
    return ClassFound(index, images, clusters, again, scores, removed(scores, rate))
