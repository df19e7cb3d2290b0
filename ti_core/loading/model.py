"""What opening a model file yields."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from torch import nn


@dataclass(frozen=True)
class Model:
    """A network read from a file, before its preprocessing is known.

    Parameters
    ----------
    module : the network in evaluation mode, float32, no parameter requiring a gradient. It maps a batch
        ``N x C x H x W`` to one row of scores per image, in whatever scaling of the pixels it was trained
        with.
    file : the file's name without its folder.
    sha256 : hexadecimal digest of the file.
    format : "safetensors", "torch state dict", "torch module" or "onnx".
    architecture : the registered name, the class name, or "onnx graph".
    parameters : number of weights.
    classes : K, where the file tells.
    input_shape : (C, H, W), where the file tells; H and W may be unknown (0).
    metadata : what the file says of itself; untrusted text.
    variants : the same weights under other options that leave no trace in their shapes (activation, pooling),
        by name. ``module`` is the first choice; :mod:`ti_core.classifier` tries the others on labelled
        images.
    declared : the normalisation that the file declares (see :mod:`ti_core.classifier.normalisation`), if
        any.
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
