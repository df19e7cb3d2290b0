"""Understanding a model on labelled images: which preparation of the images makes it most accurate."""

from __future__ import annotations

import torch

from ti_core.classifier.classifier import MINIMUM_ACCURACY, Classifier, Declared
from ti_core.classifier.first_pass import Gauge
from ti_core.classifier.search import Search
from ti_core.errors import ModelBehaviourError
from ti_core.reconstruction.model import Model


def understand(
    model: Model,
    images: torch.Tensor,
    labels: torch.Tensor,
    classes: int,
    declared: Declared | None = None,
    needed: float = MINIMUM_ACCURACY,
    gauge: Gauge | None = None,
) -> Classifier:
    """Try the candidates on labelled images and keep the most accurate.

    Of candidates that are about as accurate, the likeliest is kept.

    A candidate is a normalisation (:data:`~ti_core.classifier.normalisation.NORMALISATIONS`) with an order of the
    channels. What the user or the file declares is not varied. If no candidate does well, the network's variants and
    other image sizes are tried too.

    Parameters
    ----------
    images, labels : ``N x C x H x W`` in [0, 1] and their classes ``N``.
    classes : K of the reference pack.
    declared : what the user declares about the model.
    needed : minimum accuracy. Below it the model counts as not understood.
    gauge : is told what a first pass takes, before the search; it may raise.

    Raises
    ------
    ModelBehaviourError : wrong channels or class count, an output that is no ``N x K`` tensor, or NaN scores.
    SettingsError : what is declared names no normalisation, or no variant of this model.
    """
    channels = int(images.shape[1])
    if model.classes is not None and model.classes != classes:
        raise ModelBehaviourError(
            f"{model.file} tells {model.classes} classes apart, the reference pack has {classes}."
        )
    if model.input_shape is not None and model.input_shape[0] != channels:
        raise ModelBehaviourError(
            f"{model.file} takes images of {model.input_shape[0]} channels, the reference pack's have {channels}."
        )
    return Search(model, images, labels, classes, declared or Declared(), needed, gauge).best()
