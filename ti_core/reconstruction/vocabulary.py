"""The words of a sketch: every layer that it may name, with its numbers and their limits."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True)
class Number:
    """One number of a layer.

    Parameters
    ----------
    least, most : the range that it may have.
    whole : whether it is a whole number.
    optional : whether it may be left out; of a size, only at the end.
    """

    least: float
    most: float
    whole: bool = True
    optional: bool = False

    def says(self) -> str:
        """The range in words."""
        kind = "a whole number" if self.whole else "a number"
        return f"{kind} from {self.least:g} to {self.most:g}"


@dataclass(frozen=True)
class Word:
    """A layer's name in a sketch.

    Parameters
    ----------
    sizes : the numbers that follow it, by name.
    options : named numbers; each takes one value, or two for height and width.
    flags : words without a number.
    """

    sizes: Mapping[str, Number] = field(default_factory=dict)
    options: Mapping[str, Number] = field(default_factory=dict)
    flags: tuple[str, ...] = ()


WIDEST = 1 << 16
"""Maximum number of channels, features or units of a layer."""
LARGEST_SIDE = 1024
"""Maximum side of an image."""

_WIDTH = Number(1, WIDEST)
_KERNEL = Number(1, 64)
_KERNEL_WIDTH = Number(1, 64, optional=True)
_STEP = Number(1, 64)
_EDGE = Number(0, 64)
_SIDE = Number(1, LARGEST_SIDE)
_SIDE_WIDTH = Number(1, LARGEST_SIDE, optional=True)
_SLOPE = Number(-100, 100, whole=False, optional=True)
_EPS = {"eps": Number(0, 1, whole=False)}
_WINDOW = {"size": _KERNEL, "width": _KERNEL_WIDTH}
_POOL = {"stride": _STEP, "padding": _EDGE}

PLAIN = (
    "relu",
    "relu6",
    "gelu",
    "silu",
    "mish",
    "selu",
    "tanh",
    "sigmoid",
    "softplus",
    "hardswish",
    "hardtanh",
)
"""Activations without a number."""

WEIGHTED = ("conv", "linear", "batchnorm", "groupnorm", "layernorm", "prelu", "normalise")
"""Layers that take tensors of the file."""

WORDS: Mapping[str, Word] = {
    "input": Word({"channels": Number(1, 4), "height": _SIDE, "width": _SIDE_WIDTH}),
    "normalise": Word(),
    "rescale": Word(
        {"factor": Number(-1e6, 1e6, whole=False), "offset": Number(-1e6, 1e6, whole=False, optional=True)}
    ),
    "conv": Word(
        {"channels": _WIDTH, **_WINDOW},
        {"stride": _STEP, "padding": _EDGE, "dilation": _STEP, "groups": _WIDTH},
        ("nobias",),
    ),
    "linear": Word({"units": _WIDTH}, {}, ("nobias",)),
    "batchnorm": Word(options=_EPS),
    "groupnorm": Word({"groups": _WIDTH}, _EPS),
    "layernorm": Word(options=_EPS),
    **dict.fromkeys(PLAIN, Word()),
    "leaky_relu": Word({"slope": _SLOPE}),
    "elu": Word({"alpha": _SLOPE}),
    "prelu": Word(),
    "maxpool": Word(_WINDOW, _POOL, ("ceil",)),
    "avgpool": Word(_WINDOW, _POOL, ("ceil",)),
    "adaptiveavgpool": Word({"side": _SIDE, "width": _SIDE_WIDTH}),
    "adaptivemaxpool": Word({"side": _SIDE, "width": _SIDE_WIDTH}),
    "globalavgpool": Word(),
    "globalmaxpool": Word(),
    "pad": Word({"channels": _WIDTH}, {"stride": _STEP}),
    "flatten": Word(),
    "dropout": Word({"share": Number(0, 1, whole=False, optional=True)}),
    "softmax": Word(),
    "log_softmax": Word(),
}
"""Every layer of a sketch, by its name."""

PAIRS = ("stride", "padding", "dilation")
"""Options that may have one value for the height and one for the width."""
GROUPS = ("block", "shortcut", "concat", "repeat")
"""Words that stand before braces."""
FROM = "from"
"""The word before the name of the file's layer whose tensors are taken."""
