"""The geometry that convolutions and pools share: padding and the number of windows along each axis."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from math import ceil

from torch import Tensor
from torch.nn import functional as F


@dataclass(frozen=True)
class Windows:
    """Windows over the spatial axes.

    Parameters
    ----------
    kernel, strides, dilations : per spatial axis.
    before, after : padding per spatial axis.
    beyond : cells that ceil mode adds behind the padding, for windows that reach out of it; negative where
        the last cells are in no window.
    counts : windows per spatial axis.
    """

    kernel: tuple[int, ...]
    strides: tuple[int, ...]
    dilations: tuple[int, ...]
    before: tuple[int, ...]
    after: tuple[int, ...]
    beyond: tuple[int, ...]
    counts: tuple[int, ...]

    @property
    def even(self) -> bool:
        """Whether the padding is the same on both sides."""
        return self.before == self.after

    def pad(self, x: Tensor, value: float, *, beyond: bool = False) -> Tensor:
        """`x` with its padding written out."""
        extra = self.beyond if beyond else (0,) * len(self.kernel)
        return pad_axes(x, self.before, [a + b for a, b in zip(self.after, extra, strict=True)], value)


def pad_axes(x: Tensor, before: Sequence[int], after: Sequence[int], value: float) -> Tensor:
    """Pad (or, where negative, crop) the last axes of `x`."""
    if not any(before) and not any(after):
        return x
    pads = [p for pair in zip(reversed(before), reversed(after), strict=True) for p in pair]
    return F.pad(x, pads, value=value)


def windows(
    size: Sequence[int],
    kernel: Sequence[int],
    strides: Sequence[int] | None,
    dilations: Sequence[int] | None,
    pads: Sequence[int] | None,
    auto_pad: str,
    ceil_mode: int = 0,
) -> Windows:
    """Work out the padding that ONNX's attributes mean for an input of this spatial size.

    Source: the operators Conv, MaxPool and AveragePool of the ONNX specification.
    """
    rank = len(size)
    return _windows(
        tuple(size),
        tuple(kernel),
        tuple(strides or [1] * rank),
        tuple(dilations or [1] * rank),
        tuple(pads or [0] * (2 * rank)),
        auto_pad,
        ceil_mode,
    )


@lru_cache(maxsize=1024)
def _windows(
    size: tuple[int, ...],
    kernel: tuple[int, ...],
    strides: tuple[int, ...],
    dilations: tuple[int, ...],
    pads: tuple[int, ...],
    auto_pad: str,
    ceil_mode: int,
) -> Windows:
    # Cached: on small networks this arithmetic is a tenth of a forward pass.
    rank = len(size)
    if not len(kernel) == len(strides) == len(dilations) == rank or len(pads) != 2 * rank:
        raise ValueError(f"its attributes are not for {rank} spatial axes")
    if min([*kernel, *strides, *dilations], default=1) < 1:
        raise ValueError("a kernel size, stride or dilation is below 1")
    before, after = list(pads[:rank]), list(pads[rank:])
    beyond, counts = [0] * rank, [0] * rank
    for i, n in enumerate(size):
        reach = (kernel[i] - 1) * dilations[i] + 1
        if auto_pad in ("SAME_UPPER", "SAME_LOWER"):
            total = max((ceil(n / strides[i]) - 1) * strides[i] + reach - n, 0)
            small, large = total // 2, total - total // 2
            before[i], after[i] = (small, large) if auto_pad == "SAME_UPPER" else (large, small)
        elif auto_pad == "VALID":
            before[i] = after[i] = 0
        length = n + before[i] + after[i] - reach
        counts[i] = length // strides[i] + 1
        if ceil_mode and length % strides[i] and counts[i] * strides[i] < n + before[i]:
            counts[i] += 1  # a window that would begin in the padding behind is left out
        beyond[i] = (counts[i] - 1) * strides[i] - length
    return Windows(kernel, strides, dilations, tuple(before), tuple(after), tuple(beyond), tuple(counts))
