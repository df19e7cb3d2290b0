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
"""Below this clean accuracy a model is not understood, and there is no verdict, where no pack says what is usual."""

SURE_ACCURACY = 0.9
"""From this clean accuracy on, no further variant of the network is tried."""


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
