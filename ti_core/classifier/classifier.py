"""A model that is understood: its class scores on images in [0, 1], and how they are reached."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch
import torch.nn.functional as F
from torch import nn

from ti_core.classifier.normalisation import NORMALISATIONS, Normalise
from ti_core.errors import ModelBehaviourError
from ti_core.loading.model import Model

if TYPE_CHECKING:
    from ti_core.reference.pack import Pack
    from ti_core.settings import Settings

MINIMUM_ACCURACY = 0.6
"""Below this clean accuracy a model is not understood, and there is no verdict, where no pack says what is usual."""

SURE_ACCURACY = 0.9
"""From this clean accuracy on, no further variant of the network is tried."""

Place = int | str | None
"""Where the class scores are in what a network returns: an index, a key, or None where it returns them alone."""


class Scores(nn.Module):
    """Images ``N x C x H x W`` in [0, 1] to class scores ``N x K`` whose mean over the classes is 0.

    Centring makes logits and log-probabilities the same numbers, so that a network that ends in a softmax is
    seen like one that does not.

    Parameters
    ----------
    network : takes images after :meth:`prepared`.
    normalisation : a name of :data:`~ti_core.classifier.normalisation.NORMALISATIONS`.
    output : "logits", or "probabilities", whose logarithm is taken.
    side : images are scaled to ``side x side``; None for as they are.
    order : "rgb", or "bgr" where the network wants blue first.
    place : where the scores are in what the network returns.
    """

    def __init__(
        self,
        network: nn.Module,
        normalisation: str,
        output: str = "logits",
        side: int | None = None,
        order: str = "rgb",
        place: Place = None,
    ) -> None:
        super().__init__()
        self.normalise = Normalise(normalisation)
        self.network = network
        self.output = output
        self.side = side
        self.order = order
        self.place = place
        self.eval()
        self.requires_grad_(False)

    def prepared(self, x: torch.Tensor) -> torch.Tensor:
        """Images as the network takes them: scaled to its size, normalised, channels in its order."""
        if self.side is not None:
            x = F.interpolate(x, size=(self.side, self.side), mode="bilinear", antialias=True)
        x = self.normalise(x)
        return x.flip(1) if self.order == "bgr" else x

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        z = scores_in(self.network(self.prepared(x)), self.place)
        if self.output == "probabilities":
            z = z.clamp_min(1e-12).log()
        return z - z.mean(dim=1, keepdim=True)


def scores_in(returned: Any, place: Place) -> torch.Tensor:
    """The class scores ``N x K`` among what a network returned; scores of one-pixel maps count too."""
    z: torch.Tensor = returned if place is None else returned[place]
    return z if z.ndim == 2 else z.flatten(1)


@dataclass(frozen=True)
class Declared:
    """What the user declares of a model; "auto" (and 0) is found out by trying on labelled images.

    Parameters
    ----------
    normalisation : a name of :data:`~ti_core.classifier.normalisation.NORMALISATIONS`.
    channel_order : "rgb" or "bgr".
    output : "logits" or "probabilities".
    input_size : side that the images are scaled to.
    variant : one of the model's variants, or "" for the network as it is.
    """

    normalisation: str = "auto"
    channel_order: str = "auto"
    output: str = "auto"
    input_size: int = 0
    variant: str = "auto"

    @classmethod
    def of(cls, settings: Settings) -> Declared:
        return cls(
            settings.normalisation,
            settings.channel_order,
            settings.output,
            settings.input_size,
            settings.variant,
        )


@dataclass(frozen=True)
class Classifier:
    """A model that is understood: its class scores, and how they were reached.

    ``accuracy`` is the share of the pack's labelled images it classifies as labelled; ``tried`` has the accuracy
    of every candidate, on all of them or on a sample; ``variant`` names options of the network that were told apart
    by accuracy; ``resized`` is the side the images are scaled to, if the network wants another than the pack's;
    ``place`` says which of several outputs holds the scores; ``needed`` is the accuracy below which the model is not
    understood, and no verdict is given.
    """

    scores: Scores
    normalisation: str
    output: str
    accuracy: float
    tried: Mapping[str, float]
    variant: str = ""
    resized: int | None = None
    channel_order: str = "rgb"
    place: Place = None
    needed: float = MINIMUM_ACCURACY

    @property
    def understood(self) -> bool:
        return self.accuracy >= self.needed

    @property
    def key(self) -> str:
        """Everything that the scores depend on but for the file, for cache keys."""
        parts = [self.normalisation, self.output, self.variant, self.resized]
        # Only what differs from the ordinary is told, so that keys of ordinary models stay as they were.
        parts += [self.channel_order] if self.channel_order != "rgb" else []
        parts += [f"output {self.place!r}"] if self.place is not None else []
        return "/".join(map(str, parts))

    def as_dict(self) -> dict[str, Any]:
        """For the report."""
        return {
            "normalisation": self.normalisation,
            "channel_order": self.channel_order,
            "output": self.output,
            "output_used": None if self.place is None else str(self.place),
            "variant": self.variant,
            "resized_to": self.resized,
            "tried": {k: round(v, 4) for k, v in self.tried.items()},
        }

    def says(self) -> str:
        """Sentences for the report."""
        right = f"{self.accuracy:.1%} of the labelled images are classified correctly"
        return f"Pixels are scaled to {self.scaling()}; {right}.{self.returned()}"

    def scaling(self) -> str:
        """How images are made for the network."""
        how = NORMALISATIONS[self.normalisation].says
        extra = ", blue channel first" if self.channel_order == "bgr" else ""
        extra += f", images resized to {self.resized} x {self.resized}" if self.resized else ""
        return how + extra

    def returned(self) -> str:
        """Sentences on what is unusual about what the network returns, each after a space; mostly none."""
        of_several = ""
        if self.place is not None:
            of_several = f" Of several outputs, {_shown(self.place)} holds the class scores."
        ends = (
            " The network returns probabilities; their logarithms are used."
            if self.output != "logits"
            else ""
        )
        return of_several + ends


def _shown(place: Place) -> str:
    return f"number {place + 1}" if isinstance(place, int) else f"“{str(place)[:40]}”"


def understand(
    model: Model,
    images: torch.Tensor,
    labels: torch.Tensor,
    classes: int,
    declared: Declared | None = None,
    needed: float = MINIMUM_ACCURACY,
) -> Classifier:
    """Try the candidates on labelled images and keep the most accurate; of those about as accurate, the likeliest.

    Candidates are every :data:`~ti_core.classifier.normalisation.NORMALISATIONS` entry of these channels, or the one that the
    user or the file declares, in either order of three channels, for the network and, if none of them does well, for
    its variants and for images of other sizes.

    Parameters
    ----------
    images, labels : ``N x C x H x W`` in [0, 1] and their classes ``N``.
    classes : K of the reference pack.
    declared : what the user says of the model.
    needed : the accuracy below which it counts as not understood.

    Raises
    ------
    ModelBehaviourError : wrong channels or class count, an output that is no ``N x K`` tensor, or NaN scores.
    SettingsError : what is declared names no normalisation, or no variant of this model.
    """
    from ti_core.classifier.search import Search

    channels = int(images.shape[1])
    if model.classes is not None and model.classes != classes:
        raise ModelBehaviourError(
            f"{model.file} tells {model.classes} classes apart, the reference pack has {classes}."
        )
    if model.input_shape is not None and model.input_shape[0] != channels:
        raise ModelBehaviourError(
            f"{model.file} takes images of {model.input_shape[0]} channels, the reference pack's have {channels}."
        )
    return Search(model, images, labels, classes, declared or Declared(), needed).best()


def understand_with(model: Model, pack: Pack, declared: Declared | None = None) -> Classifier:
    """:func:`understand` on a pack's images; understood is what classifies them about as its reference models do."""
    return understand(model, pack.images, pack.labels, len(pack.class_names), declared, pack.needed_accuracy)
