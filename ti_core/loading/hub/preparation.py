"""How a model folder wants its images: scale, mean, deviation, order of the channels and size."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn

from ti_core.errors import ModelFileError

USUAL = {
    "none": ((0.0,), (1.0,)),
    "half": ((0.5,), (0.5,)),
    "imagenet": ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225)),
}
"""Mean and deviation of the scalings that :mod:`ti_core.classifier.normalisation` has a name for."""
CLOSE = 2e-3
"""Means and deviations that differ by less are the same; folders give them with three digits."""
IMAGENET_MEAN, IMAGENET_STD = USUAL["imagenet"]
_NAME = "preprocessor_config.json"


class Prepared(nn.Module):
    """The network behind a step of its own: images in [0, 1] are scaled per channel, and perhaps turned to BGR."""

    mean: torch.Tensor
    std: torch.Tensor

    def __init__(
        self, network: nn.Module, mean: tuple[float, ...], std: tuple[float, ...], turned: bool
    ) -> None:
        super().__init__()
        self.network, self.turned = network, turned
        self.register_buffer("mean", torch.tensor(mean).view(1, -1, 1, 1), persistent=False)
        self.register_buffer("std", torch.tensor(std).view(1, -1, 1, 1), persistent=False)

    def forward(self, x: torch.Tensor) -> Any:
        x = (x - self.mean) / self.std
        return self.network(x.flip(1) if self.turned else x)


@dataclass(frozen=True)
class Preparation:
    """What a folder says of its images.

    Parameters
    ----------
    mean, std : of images in [0, 1], per channel or one for all; None if the folder does not say.
    turned : blue channel first.
    side : side of the images; 0 if the folder does not say.
    """

    mean: tuple[float, ...] | None = None
    std: tuple[float, ...] | None = None
    turned: bool = False
    side: int = 0

    @property
    def name(self) -> str | None:
        """The name of the scaling, if it has one."""
        if self.mean is None or self.std is None or self.turned:
            return None
        return next((name for name, usual in USUAL.items() if self._is(*usual)), None)

    def _is(self, mean: tuple[float, ...], std: tuple[float, ...]) -> bool:
        assert self.mean is not None and self.std is not None
        wide = max(map(len, (self.mean, self.std, mean, std)))
        if any(len(values) not in (1, wide) for values in (self.mean, self.std, mean, std)):
            return False
        pairs = zip(
            (*_spread(self.mean, wide), *_spread(self.std, wide)),
            (*_spread(mean, wide), *_spread(std, wide)),
            strict=True,
        )
        return all(abs(a - b) < CLOSE for a, b in pairs)

    def around(self, network: nn.Module) -> tuple[nn.Module, str | None]:
        """The network as it takes images, and the name of the scaling that it still needs, if one is known.

        A scaling without a name becomes a part of the network.
        """
        if self.mean is None or self.std is None or self.name:
            return network, self.name
        return Prepared(network, self.mean, self.std, self.turned).eval(), "none"

    def remark(self) -> str:
        """A sentence on where the preparation comes from."""
        if self.mean is None or self.std is None:
            return "The folder does not say how images are scaled, so this was found by trial."
        turned = ", blue channel first" if self.turned else ""
        size = f", at {self.side} x {self.side} pixels" if self.side else ""
        return (
            f"Images are prepared as the folder says: pixels from 0 to 1, minus the mean {_listed(self.mean)}, divided"
            f" by {_listed(self.std)}{turned}{size}. Whole images are scaled to that size; no margin is cut off."
        )


def preparation_of(settings: Mapping[str, Any] | None, channels: int) -> Preparation:
    """What ``preprocessor_config.json`` says; nothing if there is none.

    Raises
    ------
    ModelFileError : it is damaged, or asks for images that are not square.
    """
    if settings is None:
        return Preparation()
    factor = _number(settings, "rescale_factor", 1 / 255) if _flag(settings, "do_rescale", True) else 1.0
    mean: tuple[float, ...] = (0.0,)
    std: tuple[float, ...] = (1.0,)
    if _flag(settings, "do_normalize", "image_mean" in settings):
        mean = _channels(settings, "image_mean", IMAGENET_MEAN, channels)
        std = _channels(settings, "image_std", IMAGENET_STD, channels)
    if _flag(settings, "rescale_offset", False):
        # Pixels then are scaled to -1 to 1 before the mean is taken off.
        mean = tuple(m + 1 for m in mean)
    # Pixels x in [0, 1] are 255 x in the folder's terms.
    scale = 255 * factor
    if scale <= 0 or min(std) <= 0:
        raise ModelFileError(f"The file {_NAME} is damaged: its scales must be more than 0.")
    std, mean = tuple(s / scale for s in std), tuple(m / scale for m in mean)
    if _flag(settings, "include_top", False) and _flag(settings, "do_normalize", True):
        # EfficientNet's own step divides by the deviation twice.
        std = tuple(s * s * scale for s in std)
    return Preparation(mean, std, _flag(settings, "do_flip_channel_order", False), _side(settings))


def timm_preparation(settings: Mapping[str, Any], channels: int) -> Preparation:
    """What the configuration of a folder of timm says: its "pretrained_cfg".

    Raises
    ------
    ModelFileError : it is damaged.
    """
    told = settings.get("pretrained_cfg")
    if not isinstance(told, Mapping):
        return Preparation()
    size = told.get("input_size")
    side = size[-1] if isinstance(size, list) and size and isinstance(size[-1], int) else 0
    named = {"image_mean": told.get("mean"), "image_std": told.get("std")}
    mean = _channels(named, "image_mean", IMAGENET_MEAN, channels)
    std = _channels(named, "image_std", IMAGENET_STD, channels)
    if min(std) <= 0:
        raise ModelFileError("The file config.json is damaged: a deviation must be more than 0.")
    return Preparation(mean, std, side=max(0, side))


def _side(settings: Mapping[str, Any]) -> int:
    """Side of the images that the network is given: those that are cut out, else those that are scaled."""
    cut = settings.get("crop_size") if _flag(settings, "do_center_crop", False) else None
    size = settings.get("size") if cut is None else cut
    if size is None:
        return 0
    if isinstance(size, Mapping):
        given = [size[key] for key in ("height", "width") if key in size]
        given = given or [size.get("shortest_edge", size.get("longest_edge", 0))]
    else:
        given = size if isinstance(size, list) else [size]
    if not given or not all(type(side) is int and side >= 0 for side in given):
        raise ModelFileError(f"The file {_NAME} is damaged: its size of images is no whole number.")
    sides = set(given)
    if len(sides) > 1:
        wanted = " x ".join(map(str, sorted(sides)))
        raise ModelFileError(f"The folder wants images of {wanted}; only square images can be inspected.")
    return int(sides.pop())


def _flag(settings: Mapping[str, Any], name: str, usual: bool) -> bool:
    value = settings.get(name)
    if value is None:
        return usual
    if not isinstance(value, bool):
        raise ModelFileError(f"The file {_NAME} is damaged: {name} is neither true nor false.")
    return value


def _number(settings: Mapping[str, Any], name: str, usual: float) -> float:
    value = settings.get(name, usual)
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not math.isfinite(value):
        raise ModelFileError(f"The file {_NAME} is damaged: {name} is no number.")
    return float(value)


def _channels(
    settings: Mapping[str, Any], name: str, usual: tuple[float, ...], channels: int
) -> tuple[float, ...]:
    """Numbers for each channel, or one for all."""
    value = settings.get(name)
    if value is None:
        value = usual if channels == len(usual) else [sum(usual) / len(usual)]
    values = list(value) if isinstance(value, (list, tuple)) else [value]
    for number in values:
        _number({name: number}, name, 0.0)
    if len(values) not in (1, channels):
        raise ModelFileError(
            f"The file {_NAME} gives {len(values)} numbers for {name}, and the model's images have {channels} channels."
        )
    return tuple(float(number) for number in values)


def _spread(values: tuple[float, ...], count: int) -> tuple[float, ...]:
    return values if len(values) == count else values * count


def _listed(values: tuple[float, ...]) -> str:
    return ", ".join(f"{value:.4g}" for value in values)
