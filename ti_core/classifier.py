"""From an opened network to class scores: preprocessing found on labelled images, outputs made comparable."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import nn

from ti_core.errors import ModelBehaviourError
from ti_core.loading.model import Model
from ti_core.normalisation import NORMALISATIONS, Normalise, fitting

MINIMUM_ACCURACY = 0.6
"""Below this clean accuracy the model is not understood, and no verdict is given."""

MINIMUM_INFORMATION = 0.25
"""Below this share of the most possible information in its answers, a model is not understood without labels."""

SURE_ACCURACY = 0.9
"""From this clean accuracy on, no further variant of the network is tried."""


class Scores(nn.Module):
    """Images ``N x C x H x W`` in [0, 1] to class scores ``N x K`` whose mean over the classes is 0.

    Centring makes logits and log-probabilities the same numbers, so that a network that ends in a softmax is
    seen like one that does not.
    """

    def __init__(
        self, network: nn.Module, normalisation: str, output: str = "logits", side: int | None = None
    ) -> None:
        super().__init__()
        self.normalise = Normalise(normalisation)
        self.network = network
        self.output = output
        self.side = side
        self.eval()
        self.requires_grad_(False)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        if self.side is not None:
            x = F.interpolate(x, size=(self.side, self.side), mode="bilinear", antialias=True)
        z: torch.Tensor = self.network(self.normalise(x))
        if self.output == "probabilities":
            z = z.clamp_min(1e-12).log()
        return z - z.mean(dim=1, keepdim=True)


@dataclass(frozen=True)
class Classifier:
    """A model that is understood: its class scores, and how they were reached.

    ``accuracy`` is the share of the pack's labelled images it classifies as labelled; ``tried`` has the accuracy
    of every candidate; ``variant`` names options of the network that were told apart by accuracy; ``resized`` is
    the side the images are scaled to, if the network wants another than the pack's.
    """

    scores: Scores
    normalisation: str
    output: str
    accuracy: float
    tried: dict[str, float]
    variant: str = ""
    resized: int | None = None

    @property
    def understood(self) -> bool:
        return self.accuracy >= MINIMUM_ACCURACY

    def says(self) -> str:
        """One sentence for the report."""
        how = NORMALISATIONS[self.normalisation].says
        extra = f", images resized to {self.resized} x {self.resized}" if self.resized else ""
        right = f"{self.accuracy:.1%} of the labelled images are classified correctly"
        return f"Pixels are scaled to {how}{extra}; {right}."


@dataclass(frozen=True)
class Guessed(Classifier):
    """A model whose preprocessing was found without labels.

    ``accuracy`` and ``tried`` hold how much the answers tell of the image instead: the mutual information of image and
    class, in shares of the most possible. It is 0 for a model that answers the same always, or nothing clearly, and
    highest where answers are sure and various, as they are on images scaled as in training.
    """

    @property
    def understood(self) -> bool:
        return self.accuracy >= MINIMUM_INFORMATION

    def says(self) -> str:
        how = NORMALISATIONS[self.normalisation].says
        extra = f", images resized to {self.resized} x {self.resized}" if self.resized else ""
        return (
            f"The images carry no labels, so the model's own answers serve as such; pixels are scaled to {how}{extra},"
            " under which its answers are surest and most various. If that is not the scaling it was trained with,"
            " declare it with --set normalisation=NAME."
        )


def understand(
    model: Model, images: torch.Tensor, labels: torch.Tensor, classes: int, normalisation: str = "auto"
) -> Classifier:
    """Try the candidates on labelled images and keep the most accurate.

    Candidates are every :data:`~ti_core.normalisation.NORMALISATIONS` entry of these channels, or the one that the
    user or the file declares, for the network and, if none of them does well, for its variants.

    Parameters
    ----------
    images, labels : ``N x C x H x W`` in [0, 1] and their classes ``N``.
    classes : K of the reference pack.

    Raises
    ------
    ModelBehaviourError : wrong channels or class count, an output that is no ``N x K`` tensor, or NaN scores.
    """
    channels, side = int(images.shape[1]), int(images.shape[2])
    if model.classes is not None and model.classes != classes:
        raise ModelBehaviourError(
            f"{model.file} tells {model.classes} classes apart, the reference pack has {classes}."
        )
    resized = None
    if model.input_shape is not None:
        if model.input_shape[0] != channels:
            raise ModelBehaviourError(
                f"{model.file} takes images of {model.input_shape[0]} channels, the reference pack's have {channels}."
            )
        wanted = model.input_shape[1]
        resized = wanted if wanted not in (0, side) else None
    if normalisation == "auto":
        # What the file declares goes first, and is believed only if it works.
        names = sorted(fitting(channels), key=lambda n: n != model.declared)
    else:
        names = [Normalise(normalisation).name]
    best: Classifier | None = None
    tried: dict[str, float] = {}
    for variant, network in _networks(model):
        for name in names:
            scores = Scores(network, name, side=resized)
            output = (
                _examine(scores, images[:8], classes, model.file)
                if not tried
                else best.output
                if best
                else "logits"
            )
            scores.output = output
            accuracy = _accuracy(scores, images, labels)
            tried[f"{variant} {name}".strip()] = accuracy
            if best is None or accuracy > best.accuracy:
                best = Classifier(scores, name, output, accuracy, tried, variant, resized)
            if name == model.declared and accuracy >= SURE_ACCURACY:
                return best
        if best is not None and best.accuracy >= SURE_ACCURACY:
            break
    assert best is not None
    return best


def understand_unlabelled(
    model: Model, images: torch.Tensor, classes: int, normalisation: str = "auto"
) -> Guessed:
    """Like :func:`understand`, for images ``N x C x H x W`` in [0, 1] without labels.

    The candidate whose answers tell most of the images is kept; one that the user or the file declares is believed.

    Raises
    ------
    SettingsError : ``normalisation`` is no known name.
    ModelBehaviourError : an output that is no ``N x K`` tensor, or NaN scores.
    """
    if normalisation != "auto":
        names = [Normalise(normalisation).name]
    elif model.declared in fitting(int(images.shape[1])):
        names = [str(model.declared)]
    else:
        names = fitting(int(images.shape[1]))
    output = _examine(Scores(model.module, names[0]), images[:8], classes, model.file)
    best: Guessed | None = None
    tried: dict[str, float] = {}
    for variant, network in _networks(model):
        for name in names:
            scores = Scores(network, name, output)
            tried[f"{variant} {name}".strip()] = told = _information(scores, images)
            if best is None or told > best.accuracy:
                best = Guessed(scores, name, output, told, tried, variant)
    assert best is not None
    return best


@torch.no_grad()
def _information(scores: Scores, images: torch.Tensor) -> float:
    """Mutual information of image and class under the model's own probabilities, in shares of ``log K``."""
    p = torch.cat([scores(x) for x in images.split(256)]).softmax(1)
    if not bool(torch.isfinite(p).all()):
        return 0.0
    entropies = torch.special.entr(torch.cat([p, p.mean(0, keepdim=True)])).sum(1)
    return float((entropies[-1] - entropies[:-1].mean()) / math.log(max(2, p.shape[1])))


def _networks(model: Model) -> Iterator[tuple[str, nn.Module]]:
    yield "", model.module
    for name, make in model.variants.items():
        yield name, make()


@torch.no_grad()
def _examine(scores: Scores, images: torch.Tensor, classes: int, file: str) -> str:
    """Whether the network returns "logits" or "probabilities"; an error if it returns no class scores."""
    try:
        z = scores.network(scores.normalise(images))
    except (RuntimeError, ValueError, IndexError, TypeError) as error:
        reason = str(error).strip().splitlines()[0][:200]
        raise ModelBehaviourError(
            f"{file} does not accept images of {tuple(images.shape[1:])}: {reason}"
        ) from error
    if not isinstance(z, torch.Tensor):
        raise ModelBehaviourError(
            f"{file} returns a {type(z).__name__} where one tensor of class scores is expected."
        )
    if z.ndim != 2 or z.shape[0] != len(images):
        raise ModelBehaviourError(
            f"{file} returns scores of shape {tuple(z.shape)}; {len(images)} x {classes} is expected."
        )
    if z.shape[1] != classes:
        raise ModelBehaviourError(
            f"{file} tells {z.shape[1]} classes apart, the reference pack has {classes}."
        )
    if not bool(torch.isfinite(z).all()):
        raise ModelBehaviourError(f"{file} returns scores that are not finite on clean images.")
    sums_to_one = bool(((z.sum(1) - 1).abs() < 1e-3).all())
    return "probabilities" if sums_to_one and bool((z >= 0).all()) else "logits"


@torch.no_grad()
def _accuracy(scores: Scores, images: torch.Tensor, labels: torch.Tensor) -> float:
    hits = [scores(x).argmax(1) == y for x, y in zip(images.split(256), labels.split(256), strict=True)]
    return float(torch.cat(hits).float().mean())
