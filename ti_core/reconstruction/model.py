"""The result of opening a model file."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from hashlib import sha256

from torch import nn

from ti_core.reconstruction.layers.file_layers import FileLayer
from ti_core.reconstruction.whole.facts import NOTHING, Stated
from ti_core.text import few

CLOSE, ALIKE = 0.02, 0.95
"""A second network is as good if its accuracy is lower by no more, and the same if it gives so many equal answers."""


BEST_OF_MANY = 5
"""Standard errors above chance from which on the accuracy of the best of many networks is more than chance."""


@dataclass(frozen=True)
class Proposal:
    """The layers of a file whose network names and shapes do not settle, and what images decided already.

    ``stated`` is what a whole module says beside its layers.
    """

    layers: tuple[FileLayer, ...]
    stated: Stated = NOTHING
    decisions: dict[str, Model] = field(default_factory=dict)


@dataclass(frozen=True)
class Reconstructed:
    """How sure a reconstructed network is.

    Parameters
    ----------
    first, second : share of the images that the network and the next likeliest one classify as labelled; without
        labels, how much their answers tell of the images. ``second`` is None if there is no other.
    agreement : share of the images that both answer alike.
    runner_up : sketch of the next likeliest network, or "".
    images, classes : number of images, and of the network's classes.
    labelled : whether the images have labels.
    rival : whether the next likeliest network is about as likely.
    whole : whether the file is a whole module, whose layers have their options.
    equal : what differs in further networks that are as likely and give the same answers, a phrase each.
    """

    first: float
    second: float | None
    agreement: float
    runner_up: str
    images: int
    classes: int
    labelled: bool = True
    rival: bool = False
    whole: bool = False
    equal: tuple[str, ...] = ()

    @property
    def doubt(self) -> str:
        """Why no verdict can rest on this network, in one sentence, or ""."""
        chance = 1 / max(2, self.classes)
        # The network is the best of many, so that chance alone lifts it above chance.
        if (
            self.labelled
            and self.first <= chance + BEST_OF_MANY * (chance * (1 - chance) / max(1, self.images)) ** 0.5
        ):
            return (
                f"No reconstruction of the file's network classifies the {self.images} labelled images better than"
                f" chance ({self.first:.0%} correct): give a sketch of the network with --architecture."
            )
        if self.rival and self.second is not None and self.agreement < ALIKE:
            return (
                f"Two reconstructions of the file's network are about as good ({self.first:.1%} and {self.second:.1%}"
                f" of the images correct) but agree on {self.agreement:.0%} of the images only: give a sketch of the"
                " network with --architecture."
            )
        return ""

    def says(self) -> str:
        """The reconstruction in sentences."""
        what = (
            "of the labelled images are classified correctly" if self.labelled else "is what its answers tell"
        )
        source = "layers that the module registers" if self.whole else "names and shapes of the tensors"
        said = (
            f"The file's network is not registered. It was reconstructed from the {source}, and"
            f" chosen on {self.images} images: {self.first:.1%} {what}"
        )
        if self.second is None:
            return f"{said}; no other network fits the shapes."
        said = (
            f"{said}, {self.second:.1%} with the next likeliest network, which gives the same answer to"
            f" {self.agreement:.0%} of the images."
        )
        if not self.equal:
            return said
        return (
            f"{said} The images do not tell it from networks with these differences, which give the same answers to at"
            f" least {ALIKE:.0%} of the images: {few(self.equal)}."
        )


@dataclass(frozen=True)
class Model:
    """A network read from a file, before its preprocessing is known.

    Parameters
    ----------
    module : the network in float32 and evaluation mode. No parameter requires a gradient. It maps a batch
        ``N x C x H x W`` to one row of scores per image, and expects pixels scaled as in its training.
    file : the file's name without its folder.
    sha256 : hexadecimal digest of the file.
    format : "safetensors", "torch state dict", "torch module", "onnx", "keras h5", "keras archive" or
        "model folder".
    architecture : the registered name, the class name, "onnx graph", "sketch", "keras sequential" or
        "keras functional".
    parameters : number of weights.
    classes : class count K, if the file shows it.
    input_shape : (C, H, W), if the file shows it; H and W are 0 if they are unknown.
    metadata : notes in the file, beside the weights; untrusted text.
    remarks : sentences on what opening the file did beyond reading it (converted, left out, chosen among several).
    variants : networks with the same weights and other options that the shapes do not show (activation,
        pooling), by name. ``module`` is the first choice; :mod:`ti_core.classifier` tries the others on
        labelled images.
    declared : the normalisation that the file declares, if any (see
        :mod:`ti_core.classifier.normalisation`).
    class_names : names of the classes in their order, if the file gives them; untrusted text.
    sketch : the text of the sketch that the network was built from, or "".
    proposal : the file's layers, where the network is only the likeliest of several; images decide.
    reconstructed : how sure the network is, once images have decided.
    """

    module: nn.Module
    file: str
    sha256: str
    format: str
    architecture: str
    parameters: int
    classes: int | None = None
    input_shape: tuple[int, int, int] | None = None
    metadata: Mapping[str, str] = field(default_factory=dict)
    variants: Mapping[str, Callable[[], nn.Module]] = field(default_factory=dict)
    declared: str | None = None
    remarks: tuple[str, ...] = ()
    sketch: str = ""
    proposal: Proposal | None = None
    reconstructed: Reconstructed | None = None
    class_names: tuple[str, ...] = ()

    @property
    def settled(self) -> bool:
        """Whether a verdict can rest on the network."""
        return self.reconstructed is None or not self.reconstructed.doubt

    @property
    def image_shape(self) -> tuple[int, int, int] | None:
        """:attr:`input_shape`, with the size left open (0) for a network that is not settled: there it is a guess."""
        shape = self.input_shape
        return shape if self.proposal is None or shape is None else (shape[0], 0, 0)

    @property
    def key(self) -> str:
        """A name that no other weights or network share, for cache keys."""
        return f"{self.sha256}/{sha256(self.sketch.encode()).hexdigest()}" if self.sketch else self.sha256
