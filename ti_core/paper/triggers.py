"""Patch and blend triggers: eq. (1) and eq. (2) of the TrojanInterpret paper.

Both are one formula, ``x' = (1 - a m) x + a m d`` with mask ``m``, pattern ``d`` and blend ratio ``a``: a patch
has a rectangular mask (and usually ``a = 1``, eq. 1), a blend trigger has ``m = 1`` everywhere (eq. 2).
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any, Literal

import numpy as np
import torch
from numpy.typing import NDArray

TriggerKind = Literal["patch", "blend"]
PatternKind = Literal["bernoulli", "uniform", "white", "black", "checker", "colour"]
KINDS: tuple[TriggerKind, ...] = ("patch", "blend")


@dataclass(frozen=True)
class TriggerSpec:
    """A trigger in a few numbers. :meth:`render` makes its arrays, always the same ones.

    Parameters
    ----------
    kind : "patch" or "blend".
    pattern : how the pixels of the pattern are drawn; all values lie in [0, 1].
    alpha : blend ratio in (0, 1].
    height, width, top, left : the patch's rectangle in pixels; unused for a blend trigger.
    seed : of the pattern's random pixels.
    """

    kind: TriggerKind
    pattern: PatternKind
    alpha: float
    height: int = 0
    width: int = 0
    top: int = 0
    left: int = 0
    seed: int = 0

    def render(self, image_shape: tuple[int, int, int]) -> Trigger:
        """The mask ``H x W`` and pattern ``C x H x W`` of this trigger on images of that shape."""
        channels, height, width = image_shape
        rng = np.random.default_rng(self.seed)
        pattern = _pattern(self.pattern, rng, (channels, height, width))
        mask = np.ones((height, width), dtype=np.float32)
        if self.kind == "patch":
            mask[:] = 0.0
            mask[self.top : self.top + self.height, self.left : self.left + self.width] = 1.0
        return Trigger(self.kind, mask, pattern, self.alpha)

    def as_dict(self) -> dict[str, Any]:
        return asdict(self)


@dataclass(frozen=True)
class Trigger:
    """Mask ``m`` (``H x W``, 0 to 1), pattern ``d`` (``C x H x W``, 0 to 1) and blend ratio ``alpha``."""

    kind: TriggerKind
    mask: NDArray[np.float32]
    pattern: NDArray[np.float32]
    alpha: float

    def stamp(self, images: torch.Tensor) -> torch.Tensor:
        """Stamp copies of images ``N x C x H x W`` in [0, 1] with the trigger, eq. (1) and (2)."""
        weight = self.alpha * torch.from_numpy(self.mask).to(images)
        pattern = torch.from_numpy(self.pattern).to(images)
        return (1 - weight) * images + weight * pattern


def _pattern(kind: PatternKind, rng: np.random.Generator, shape: tuple[int, int, int]) -> NDArray[np.float32]:
    if kind == "bernoulli":
        return (rng.uniform(size=shape) > 0.5).astype(np.float32)
    if kind == "uniform":
        return rng.uniform(size=shape).astype(np.float32)
    if kind == "checker":
        rows, columns = np.indices(shape[1:])
        return np.broadcast_to((rows + columns) % 2, shape).astype(np.float32)
    if kind == "colour":
        return np.broadcast_to(rng.uniform(size=(shape[0], 1, 1)), shape).astype(np.float32)
    return np.full(shape, 1.0 if kind == "white" else 0.0, dtype=np.float32)


def draw_patch(
    rng: np.random.Generator,
    image_shape: tuple[int, int, int],
    sides: tuple[int, int] = (3, 10),
    patterns: tuple[PatternKind, ...] = ("bernoulli",),
    alpha: float = 1.0,
) -> TriggerSpec:
    """A random patch: sides drawn from ``sides`` (inclusive, pixels), any place on the image."""
    _, height, width = image_shape
    h, w = (int(rng.integers(sides[0], min(sides[1], limit) + 1)) for limit in (height, width))
    return TriggerSpec(
        kind="patch",
        pattern=patterns[int(rng.integers(len(patterns)))],
        alpha=alpha,
        height=h,
        width=w,
        top=int(rng.integers(0, height - h + 1)),
        left=int(rng.integers(0, width - w + 1)),
        seed=int(rng.integers(2**31)),
    )


def draw_blend(
    rng: np.random.Generator,
    alpha: float | tuple[float, float] = 0.1,
    patterns: tuple[PatternKind, ...] = ("uniform",),
) -> TriggerSpec:
    """A random blend trigger over the whole image; ``alpha`` is the blend ratio or the range it is drawn from."""
    ratio = alpha if isinstance(alpha, float) else float(rng.uniform(*alpha))
    return TriggerSpec(
        kind="blend",
        pattern=patterns[int(rng.integers(len(patterns)))],
        alpha=ratio,
        seed=int(rng.integers(2**31)),
    )
