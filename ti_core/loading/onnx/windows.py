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
    kernel, strides, dilations : one number per spatial axis.
    before, after : padding at each end of a spatial axis.
    beyond : cells that ceil mode adds after the padding, for windows that reach further. It is negative if
        the last cells lie in no window.
    counts : number of windows per spatial axis.
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

    @property
    def widest(self) -> tuple[int, ...]:
        """The larger padding of the two ends of each axis."""
        return tuple(map(max, self.before, self.after))

    def pad(self, x: Tensor, value: float, *, beyond: bool = False) -> Tensor:
        """`x` with the padding added."""
        extra = self.beyond if beyond else (0,) * len(self.kernel)
        return pad_axes(x, self.before, [a + b for a, b in zip(self.after, extra, strict=True)], value)


def pad_axes(x: Tensor, before: Sequence[int], after: Sequence[int], value: float) -> Tensor:
    """Pad the last axes of `x`, or crop them where the number is negative."""
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
    """The windows and the padding that ONNX's attributes mean for an input of this spatial size.

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
    # The results are cached: on small networks this arithmetic takes a tenth of a forward pass.
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
            counts[i] += 1  # no window begins in the padding after the input
        beyond[i] = (counts[i] - 1) * strides[i] - length
    return Windows(kernel, strides, dilations, tuple(before), tuple(after), tuple(beyond), tuple(counts))
