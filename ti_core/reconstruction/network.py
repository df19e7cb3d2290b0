"""Builds the network of a sketch: every layer that has weights takes the next layer of the file that fits."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import torch
from torch import nn

from ti_core.errors import SketchError
from ti_core.reconstruction.layers.file_layers import FileLayer
from ti_core.reconstruction.modules import Joined, PadChannels, Rescale, Sketched, Standardise, Sum
from ti_core.reconstruction.sketch import Block, Concat, Item, Items, Layer, Sketch
from ti_core.text import few, shown

_NO_EPS = 1e-5
_ACTIVATIONS: dict[str, Callable[..., nn.Module]] = {
    "relu": nn.ReLU,
    "relu6": nn.ReLU6,
    "gelu": nn.GELU,
    "silu": nn.SiLU,
    "mish": nn.Mish,
    "selu": nn.SELU,
    "tanh": nn.Tanh,
    "sigmoid": nn.Sigmoid,
    "softplus": nn.Softplus,
    "hardswish": nn.Hardswish,
    "hardtanh": nn.Hardtanh,
    "leaky_relu": lambda slope=0.01: nn.LeakyReLU(slope),
    "elu": lambda alpha=1.0: nn.ELU(alpha),
    "softmax": lambda: nn.Softmax(1),
    "log_softmax": lambda: nn.LogSoftmax(1),
    "flatten": nn.Flatten,
    "globalavgpool": lambda: nn.AdaptiveAvgPool2d(1),
    "globalmaxpool": lambda: nn.AdaptiveMaxPool2d(1),
    "dropout": lambda share=0.5: nn.Dropout(share),
    "rescale": Rescale,
}
_KINDS = {
    "conv": ("conv",),
    "linear": ("linear",),
    "batchnorm": ("batchnorm",),
    "groupnorm": ("norm",),
    "layernorm": ("norm",),
    "prelu": ("prelu",),
    "normalise": ("normalise",),
}


@dataclass
class Built:
    """A sketch with the tensors of a file.

    Attributes
    ----------
    module : the network, frozen and in evaluation mode; None if a layer found no tensors.
    used : the sketch's layers that have weights, each with its layer of the file.
    missing : the sketch's layers that found no tensors, in words.
    left : the file's layers that no layer of the sketch took.
    """

    module: nn.Module | None = None
    used: list[tuple[Layer, FileLayer]] = field(default_factory=list)
    missing: list[str] = field(default_factory=list)
    left: list[FileLayer] = field(default_factory=list)

    def problem(self) -> str:
        """One sentence on what does not fit, or ""."""
        if self.missing:
            rest = f" Left over in the file: {few(layer.says() for layer in self.left)}." if self.left else ""
            return f"The sketch has layers that no tensors of the file fit: {few(self.missing)}.{rest}"
        if self.left:
            names = few(layer.says() for layer in self.left)
            return f"The file has layers that the sketch does not name: {names}."
        return ""


def build(sketch: Sketch, layers: Sequence[FileLayer]) -> Built:
    """The network of a sketch with a file's tensors. What does not fit is told, not raised.

    A layer takes the first layer of the file that is not taken yet, of its kind and sizes, and with as many input
    channels as arrive there.
    """
    return _Builder(layers).built(sketch)


def network_of(sketch: Sketch, layers: Sequence[FileLayer]) -> nn.Module:
    """The network of a sketch that fits a file wholly.

    Raises
    ------
    SketchError : a layer of the sketch finds no tensors, or tensors are left over.
    """
    built = build(sketch, layers)
    if built.module is None or built.left:
        raise SketchError(built.problem())
    return built.module


class _MissingError(Exception):
    """A layer finds no tensors; the text is the layer in words."""


class _Builder:
    def __init__(self, layers: Sequence[FileLayer]) -> None:
        self._free = list(layers)
        self._made = Built()

    def built(self, sketch: Sketch) -> Built:
        first = sketch.input
        parts, _ = self._parts(sketch.items, first[0] if first else None)
        made = self._made
        made.left = self._free
        if not made.missing:
            with torch.no_grad():
                made.module = Sketched(parts, first).requires_grad_(False).eval()
        return made

    def _parts(self, items: Items, channels: int | None) -> tuple[list[nn.Module], int | None]:
        parts = []
        for item in items:
            part, channels = self._part(item, channels)
            parts += part
        return parts, channels

    def _part(self, item: Item, channels: int | None) -> tuple[list[nn.Module], int | None]:
        if isinstance(item, Layer):
            return self._layer(item, channels)
        if isinstance(item, Block):
            main, after = self._parts(item.main, channels)
            shortcut, _ = self._parts(item.shortcut, channels)
            return [Sum(main, shortcut)], after
        if isinstance(item, Concat):
            ways = [self._parts(way, channels) for way in item.ways]
            known = [width for _, width in ways if width is not None]
            return [Joined([way for way, _ in ways])], sum(known) if len(known) == len(ways) else None
        parts = []
        for _ in range(item.count):
            more, channels = self._parts(item.body, channels)
            parts += more
        return parts, channels

    def _layer(self, layer: Layer, channels: int | None) -> tuple[list[nn.Module], int | None]:
        if layer.word == "input":
            return [], channels
        if layer.word in _KINDS:
            taken = self._take(layer, channels)
            if taken is None:
                self._made.missing.append(f"{layer} on {channels} channels" if channels else str(layer))
                wide = layer.word in ("conv", "linear")
                return [], int(layer.sizes[0]) if wide else channels
            self._made.used.append((layer, taken))
            return [_filled(layer, taken, channels)], taken.out if layer.word in (
                "conv",
                "linear",
            ) else channels
        if layer.word == "pad":
            channels = int(layer.sizes[0])
        elif layer.word == "flatten":
            channels = None
        return [layer_module(layer, None, 0)], channels

    def _take(self, layer: Layer, channels: int | None) -> FileLayer | None:
        for index, found in enumerate(self._free):
            named = not layer.source or found.name == layer.source
            if named and found.kind in _KINDS[layer.word] and _fits(layer, found, channels):
                return self._free.pop(index)
        return None


def _fits(layer: Layer, found: FileLayer, channels: int | None) -> bool:
    shape = found.shape
    if layer.word == "normalise":
        return True
    if "nobias" in layer.flags and found.bias:
        return False
    if layer.word == "linear":
        return shape[0] == layer.sizes[0] and channels in (None, shape[1])
    if layer.word == "conv":
        width, height, *more = layer.sizes
        if shape[0] != width or shape[2:] != (height, *(more or [height])):
            return False
        groups = layer.option("groups")
        if groups and channels is not None and shape[1] * groups[0] != channels:
            return False
        return (channels is None or channels % shape[1] == 0) and shape[0] % _groups(
            layer, found, channels
        ) == 0
    if layer.word == "layernorm":
        return len(shape) == 3 or channels in (None, shape[0])
    if layer.word == "groupnorm":
        return len(shape) == 1 and channels in (None, shape[0]) and shape[0] % int(layer.sizes[0]) == 0
    return channels in (None, shape[0]) or (layer.word == "prelu" and shape[0] == 1)


def _groups(layer: Layer, found: FileLayer, channels: int | None) -> int:
    named = layer.option("groups")
    if named:
        return int(named[0])
    return 1 if channels is None else channels // found.shape[1]


def _filled(layer: Layer, found: FileLayer, channels: int | None) -> nn.Module:
    """A layer with the file's tensors themselves."""
    tensors, shape = found.tensors, found.shape
    if layer.word == "normalise":
        return Standardise(tensors["mean"], tensors["std"])
    eps = float((layer.option("eps") or (_NO_EPS,))[0])
    with torch.device("meta"):
        made: nn.Module
        if layer.word == "conv":
            made = _convolution(layer, found, channels)
        elif layer.word == "linear":
            made = nn.Linear(shape[1], shape[0], bias=found.bias)
        elif layer.word == "prelu":
            made = nn.PReLU(shape[0])
        elif layer.word == "groupnorm":
            made = nn.GroupNorm(int(layer.sizes[0]), shape[0], eps)
        elif layer.word == "layernorm":
            made = _LayerNorm(shape, eps) if len(shape) == 1 else nn.LayerNorm(shape, eps)
        else:
            made = _BatchNorm(shape[0], eps, affine="weight" in tensors)
    names = {"mean": "running_mean", "var": "running_var"}
    state = {names.get(role, role): tensor for role, tensor in tensors.items()}
    if layer.word == "batchnorm":
        state["num_batches_tracked"] = torch.zeros((), dtype=torch.long)
        if "weight" in state and "bias" not in state:
            state["bias"] = torch.zeros_like(state["weight"])
        if "bias" in state and "weight" not in state:
            state["weight"] = torch.ones_like(state["bias"])
            made = _BatchNorm(shape[0], eps, affine=True)
    made.load_state_dict(state, assign=True)
    return made


def layer_module(layer: Layer, found: FileLayer | None, channels: int) -> nn.Module:
    """One layer as a module. ``channels`` arrive at it."""
    if found is not None:
        return _filled(layer, found, channels).eval()
    if layer.word == "pad":
        stride = layer.option("stride")
        return PadChannels(int(layer.sizes[0]), int(stride[0]) if stride else 1)
    return _plain(layer)


def _convolution(layer: Layer, found: FileLayer, channels: int | None) -> nn.Conv2d:
    groups = _groups(layer, found, channels)
    stride, padding, dilation = (
        _pair(layer.option(name), least) for name, least in (("stride", 1), ("padding", 0), ("dilation", 1))
    )
    out, inner, height, width = found.shape
    return nn.Conv2d(
        inner * groups, out, (height, width), stride, padding, dilation, groups=groups, bias=found.bias
    )


class _BatchNorm(nn.modules.batchnorm._BatchNorm):
    """Batch normalisation of images or of features."""

    def _check_input_dim(self, x: torch.Tensor) -> None:
        if x.dim() not in (2, 4):
            raise ValueError(f"expected 2 or 4 dimensions, got {x.dim()}")


class _LayerNorm(nn.LayerNorm):
    """Layer normalisation over features, or over the channels of an image."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        if x.dim() == 4:
            return super().forward(x.permute(0, 2, 3, 1)).permute(0, 3, 1, 2)
        return super().forward(x)


def _plain(layer: Layer) -> nn.Module:
    if layer.word in ("maxpool", "avgpool"):
        kernel = _pair(tuple(layer.sizes), 1)
        stride = _pair(layer.option("stride"), 0) if layer.option("stride") else kernel
        padding = _pair(layer.option("padding"), 0)
        ceil = "ceil" in layer.flags
        if any(2 * p > k for p, k in zip(padding, kernel, strict=True)):
            raise SketchError(f"The padding of {layer} is more than half of its window.")
        if layer.word == "maxpool":
            return nn.MaxPool2d(kernel, stride, padding, ceil_mode=ceil)
        return nn.AvgPool2d(kernel, stride, padding, ceil_mode=ceil)
    if layer.word in ("adaptiveavgpool", "adaptivemaxpool"):
        side = _pair(tuple(layer.sizes), 1)
        return nn.AdaptiveAvgPool2d(side) if layer.word == "adaptiveavgpool" else nn.AdaptiveMaxPool2d(side)
    return _ACTIVATIONS[layer.word](*layer.sizes)


def _pair(values: tuple[int | float, ...], default: int) -> tuple[int, int]:
    first = int(values[0]) if values else default
    return first, int(values[1]) if len(values) > 1 else first


def says_fit(built: Built) -> list[str]:
    """Which layer of the sketch took which tensors of the file, a line each."""
    return [f"{shown(str(layer))}: {shown(found.says())}" for layer, found in built.used]
