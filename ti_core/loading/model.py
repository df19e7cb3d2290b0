"""The result of opening a model file."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from hashlib import sha256

from torch import nn


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
    class_names: tuple[str, ...] = ()

    @property
    def key(self) -> str:
        """A name that no other weights or network share, for cache keys."""
        return f"{self.sha256}/{sha256(self.sketch.encode()).hexdigest()}" if self.sketch else self.sha256
