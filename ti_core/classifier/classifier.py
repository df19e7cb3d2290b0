"""A model that is understood: its class scores on images in [0, 1], and how they are reached."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from ti_core.classifier.normalisation import NORMALISATIONS
from ti_core.classifier.scores import Place, Scores

if TYPE_CHECKING:
    from ti_core.settings import Settings

MINIMUM_ACCURACY = 0.6
"""Minimum clean accuracy for a verdict, without a pack that sets its own."""

SURE_ACCURACY = 0.9
"""Clean accuracy from which on no further variant of the network is tried."""


@dataclass(frozen=True)
class Declared:
    """What the user declares about a model. "auto" (and 0) is found by trial on labelled images.

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

    Parameters
    ----------
    accuracy : share of the labelled images that are classified correctly.
    tried : accuracy of every candidate, on all images or on a sample.
    variant : the network's options that were chosen by accuracy.
    resized : side that the images are scaled to; None for the pack's own.
    place : which of several outputs holds the scores.
    needed : minimum accuracy for a verdict.
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
        """Everything but the file that the scores depend on, for cache keys."""
        parts = [self.normalisation, self.output, self.variant, self.resized]
        # Defaults are left out, so that the keys of ordinary models do not change.
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
        """Sentences on unusual outputs of the network, each after a space; mostly empty."""
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
