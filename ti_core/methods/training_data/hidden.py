"""The hidden activations of a network: what its last layer with weights is given."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch.overrides import TorchFunctionMode

from ti_core.classifier.scores import Scores
from ti_core.errors import ModelBehaviourError
from ti_core.system.progress import ShareProgress

LAYERS = frozenset(
    ["linear", "conv1d", "conv2d", "conv3d", "convolution", "addmm", "matmul", "rmatmul", "mm", "bmm"]
)
"""Functions of layers with weights."""
BATCH = 64
MOST_VALUES = 2**27
"""Maximum number of activations of all images together. Of wide layers fewer images are looked at."""

Array = NDArray[np.float32]


class _LastLayer(TorchFunctionMode):
    """Keeps what the last layer with weights is given, and counts such layers."""

    def __init__(self) -> None:
        super().__init__()
        self.given: torch.Tensor | None = None
        self.layers = 0

    def __torch_function__(
        self,
        func: Callable[..., Any],
        types: Sequence[type],
        args: tuple[Any, ...] = (),
        kwargs: Any = None,
    ) -> Any:
        result = func(*args, **(kwargs or {}))
        if getattr(func, "__name__", "").strip("_") in LAYERS:
            # A product of two values that depend on the image, as in attention, has no weights.
            live = [a for a in args if isinstance(a, torch.Tensor) and a.requires_grad]
            if len(live) == 1:
                self.given = live[0]
                self.layers += 1
        return result


def hidden_activations(
    scores: Scores, pixels: NDArray[np.uint8], name: str, progress: ShareProgress
) -> Array:
    """Activations ``n x D`` of the first n of images ``N x C x H x W`` uint8; n is N unless the layer is very wide.

    They are what the last layer with weights is given. Feature maps are averaged over their places.

    Parameters
    ----------
    name : the model's file, for errors.

    Raises
    ------
    ModelBehaviourError : there is no hidden layer, or its activations cannot be read.
    """
    device = next((p.device for p in scores.network.parameters()), torch.device("cpu"))
    found: list[Array] = []
    most = len(pixels)
    for start in range(0, len(pixels), BATCH):
        if start >= most:
            break
        images = torch.from_numpy(pixels[start : start + BATCH]).to(device).float() / 255.0
        part = _of_batch(scores, images, name)
        most = min(most, max(1, MOST_VALUES // part.shape[1]))
        found.append(part)
        progress(min(1.0, (start + BATCH) / most))
    return np.concatenate(found)[:most]


def _of_batch(scores: Scores, images: torch.Tensor, name: str) -> Array:
    with torch.enable_grad(), _LastLayer() as last:
        scores(images.requires_grad_(True))
    if last.layers < 2 or last.given is None:
        raise ModelBehaviourError(
            f"{name} has no hidden layer: its class scores are a single layer on the pixels. Training data can be"
            " examined with a network of two layers or more."
        )
    given = last.given.detach()
    if len(given) != len(images) or given.ndim < 2:
        raise ModelBehaviourError(
            f"The hidden layer of {name} cannot be read: it does not hold one row an image. Save the network as a"
            " state dict and try again."
        )
    rows = given.mean((2, 3)) if given.ndim == 4 else given.flatten(1)
    found: Array = np.nan_to_num(rows.float().cpu().numpy(), posinf=0.0, neginf=0.0)
    return found
