"""Layers of torch.nn as layers of a sketch, with the options that a whole module states."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from torch import nn

from ti_core.errors import SketchError
from ti_core.reconstruction.grammar import parse_sketch
from ti_core.reconstruction.sketch import Layer, Value

Options = tuple[tuple[str, tuple[Value, ...]], ...]
_EPS = 1e-5

_PLAIN: dict[type[nn.Module], str] = {
    nn.ReLU: "relu",
    nn.ReLU6: "relu6",
    nn.SiLU: "silu",
    nn.Mish: "mish",
    nn.SELU: "selu",
    nn.Tanh: "tanh",
    nn.Sigmoid: "sigmoid",
    nn.Hardswish: "hardswish",
    nn.PReLU: "prelu",
}
EMPTY = (nn.Identity, nn.Dropout, nn.Dropout2d, nn.Dropout3d, nn.AlphaDropout, nn.FeatureAlphaDropout)
"""Layers that hand on what arrives, in evaluation mode."""


def drawn(layer: nn.Module) -> Layer | None:
    """The layer as a sketch names it, or None if a sketch cannot."""
    made = _drawn(layer)
    if made is None:
        return None
    try:
        # What the grammar reads back is within its limits, and the same layer for whoever repeats it.
        read = parse_sketch(str(made)).items[0]
    except SketchError:
        return None
    return read if isinstance(read, Layer) else None


def _drawn(layer: nn.Module) -> Layer | None:
    if type(layer) in _PLAIN:
        return Layer(_PLAIN[type(layer)])
    make = _MAKERS.get(type(layer))
    return None if make is None else make(layer)


def _convolution(layer: Any) -> Layer | None:
    padding = layer.padding
    if padding == "valid":
        padding = (0, 0)
    elif padding == "same":
        # The constructor allows it only with a stride of 1.
        reach = [(k - 1) * d for k, d in zip(layer.kernel_size, layer.dilation, strict=True)]
        if any(r % 2 for r in reach):
            return None
        padding = tuple(r // 2 for r in reach)
    if layer.padding_mode != "zeros":
        return None
    options = {
        "dilation": _short(layer.dilation, 1),
        "groups": (layer.groups,) if layer.groups > 1 else (),
        "padding": _short(padding, 0),
        "stride": _short(layer.stride, 1),
    }
    sizes = (layer.out_channels, *_once(layer.kernel_size))
    return Layer("conv", sizes, tuple((name, values) for name, values in options.items() if values))


def _once(pair: Any) -> tuple[Value, ...]:
    """Height and width, or one number for both."""
    first, second = pair if isinstance(pair, (tuple, list)) else (pair, pair)
    return (first,) if first == second else (first, second)


def _short(pair: Any, default: int) -> tuple[Value, ...]:
    values = _once(pair)
    return () if values == (default,) else values


def _eps(layer: Any) -> Options:
    return () if layer.eps == _EPS else (("eps", (float(layer.eps),)),)


def _batch_norm(layer: Any) -> Layer | None:
    return Layer("batchnorm", (), _eps(layer)) if layer.running_mean is not None else None


def _instance_norm(layer: Any) -> Layer | None:
    if not layer.affine or layer.running_mean is not None:
        return None
    return Layer("groupnorm", (layer.num_features,), _eps(layer))


def _group_norm(layer: Any) -> Layer | None:
    return Layer("groupnorm", (layer.num_groups,), _eps(layer)) if layer.affine else None


def _layer_norm(layer: Any) -> Layer | None:
    usual = layer.elementwise_affine and layer.bias is not None and len(layer.normalized_shape) in (1, 3)
    return Layer("layernorm", (), _eps(layer)) if usual else None


def _pool(word: str) -> Callable[[Any], Layer | None]:
    def make(layer: Any) -> Layer | None:
        size, padding = _once(layer.kernel_size), _short(layer.padding, 0)
        stride = size if layer.stride is None else _once(layer.stride)
        plain = (
            _once(getattr(layer, "dilation", 1)) == (1,)
            and (getattr(layer, "count_include_pad", True) or not padding)
            and getattr(layer, "divisor_override", None) is None
        )
        options = (("padding", padding), ("stride", () if stride == size else stride))
        flags = ("ceil",) if layer.ceil_mode else ()
        return Layer(word, size, tuple(o for o in options if o[1]), flags) if plain else None

    return make


def _adaptive(kind: str) -> Callable[[Any], Layer | None]:
    def make(layer: Any) -> Layer | None:
        side = _once(layer.output_size)
        if None in side:
            return None
        return Layer(f"global{kind}") if side == (1,) else Layer(f"adaptive{kind}", side)

    return make


def _flatten(layer: Any) -> Layer | None:
    return Layer("flatten") if (layer.start_dim, layer.end_dim) in ((1, -1), (1, 3)) else None


def _soft(word: str) -> Callable[[Any], Layer | None]:
    return lambda layer: Layer(word) if layer.dim in (1, -1, None) else None


_MAKERS: dict[type[nn.Module], Callable[[Any], Layer | None]] = {
    nn.Conv2d: _convolution,
    nn.Linear: lambda layer: Layer("linear", (layer.out_features,)),
    nn.BatchNorm1d: _batch_norm,
    nn.BatchNorm2d: _batch_norm,
    nn.InstanceNorm2d: _instance_norm,
    nn.GroupNorm: _group_norm,
    nn.LayerNorm: _layer_norm,
    nn.LeakyReLU: lambda layer: Layer("leaky_relu", (float(layer.negative_slope),)),
    nn.RReLU: lambda layer: Layer("leaky_relu", ((layer.lower + layer.upper) / 2,)),
    nn.ELU: lambda layer: Layer("elu") if layer.alpha == 1 else Layer("elu", (float(layer.alpha),)),
    nn.CELU: lambda layer: Layer("elu") if layer.alpha == 1 else None,
    nn.GELU: lambda layer: Layer("gelu") if layer.approximate == "none" else None,
    nn.Softplus: lambda layer: Layer("softplus") if (layer.beta, layer.threshold) == (1, 20) else None,
    nn.Hardtanh: lambda layer: Layer("hardtanh") if (layer.min_val, layer.max_val) == (-1, 1) else None,
    nn.MaxPool2d: _pool("maxpool"),
    nn.AvgPool2d: _pool("avgpool"),
    nn.AdaptiveAvgPool2d: _adaptive("avgpool"),
    nn.AdaptiveMaxPool2d: _adaptive("maxpool"),
    nn.Flatten: _flatten,
    nn.Softmax: _soft("softmax"),
    nn.LogSoftmax: _soft("log_softmax"),
}
