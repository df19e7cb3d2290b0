"""Random changes of training images. Drawing the changes is separate from applying them.

The changes of each image are a few numbers from the member's own generator. They are applied to all images at once, on
any device. So a network that is trained together with others gets the same images as a network that is trained alone.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray

from ti_core.errors import SettingsError

PARTS = ("shift", "shift4", "mirror", "affine", "jitter", "cutout")
"""Parts of an augmentation, which ``+`` joins. They are applied in this order."""

JOINED = {"shift": ("shift",), "flip": ("shift", "mirror"), "none": (), "noise": ()}
"""Augmentations with their own name, and their parts. The training itself adds the pixel noise of "noise"."""

CUT = 3 / 8
"""Side of a cut-out square, as a share of the image's."""


def parts_of(kind: str) -> tuple[str, ...]:
    """The parts of an augmentation: ``"shift4+mirror+cutout"``, or one of :data:`JOINED`.

    Raises
    ------
    SettingsError : a part is unknown.
    """
    parts = JOINED.get(kind, tuple(kind.split("+")))
    unknown = [p for p in parts if p not in PARTS]
    if unknown:
        raise SettingsError(
            f"Augmentation {unknown[0]!r} is unknown; known are {', '.join((*JOINED, *PARTS))}."
        )
    return parts


@dataclass(frozen=True)
class Changes:
    """The changes of n images. A part that applies to none of them is None.

    Parameters
    ----------
    offsets : rows and columns, ``n x 2``, that the image is moved up and left by. The edges are filled with black.
    mirrored : whether each image is mirrored left to right, ``n``.
    warps : affine maps ``n x 2 x 3`` from the new image to the old one, in units of half the side.
    gains, biases : factors of the pixel values about 0.5 per channel, ``n x C``, and added values, ``n``.
    cuts : centre row and column of a grey square, ``n x 2``; negative for no square.
    """

    offsets: NDArray[np.int64] | None = None
    mirrored: NDArray[np.bool_] | None = None
    warps: NDArray[np.float32] | None = None
    gains: NDArray[np.float32] | None = None
    biases: NDArray[np.float32] | None = None
    cuts: NDArray[np.int64] | None = None


def draw_changes(kind: str, count: int, shape: tuple[int, int, int], rng: np.random.Generator) -> Changes:
    """The changes of ``count`` images ``C x H x W`` by the augmentation ``kind``."""
    parts = parts_of(kind)
    found: dict[str, NDArray[np.generic]] = {}
    reach = 4 if "shift4" in parts else 2
    if "shift" in parts or "shift4" in parts:
        found["offsets"] = rng.integers(0, 2 * reach + 1, size=(count, 2)) - reach
    if "mirror" in parts:
        found["mirrored"] = rng.random(count) < 0.5
    if "affine" in parts:
        found["warps"] = _warps(count, rng)
    if "jitter" in parts:
        shared = rng.uniform(0.6, 1.4, size=(count, 1))
        found["gains"] = (shared * rng.uniform(0.9, 1.1, size=(count, shape[0]))).astype(np.float32)
        found["biases"] = rng.uniform(-0.15, 0.15, size=count).astype(np.float32)
    if "cutout" in parts:
        found["cuts"] = rng.integers(0, shape[1:], size=(count, 2))
    return Changes(**found)  # type: ignore[arg-type]


def _warps(count: int, rng: np.random.Generator) -> NDArray[np.float32]:
    """Rotations up to 12 degrees, scaling by 0.85 to 1.18 per side, and shifts up to a twelfth of the side."""
    angle = rng.uniform(-0.21, 0.21, size=count)
    rows, columns = np.exp(rng.uniform(-0.16, 0.16, size=(2, count)))
    warps = np.empty((count, 2, 3))
    warps[:, 0, 0], warps[:, 0, 1] = columns * np.cos(angle), -columns * np.sin(angle)
    warps[:, 1, 0], warps[:, 1, 1] = rows * np.sin(angle), rows * np.cos(angle)
    warps[:, :, 2] = rng.uniform(-1 / 6, 1 / 6, size=(count, 2))
    return warps.astype(np.float32)


def joined_changes(changes: Sequence[Changes], counts: Sequence[int], channels: int) -> Changes:
    """Concatenate the changes of several networks' images. Missing parts get values that change nothing."""
    neutral: dict[str, Callable[[int], NDArray[Any]]] = {
        "offsets": lambda n: np.zeros((n, 2), dtype=np.int64),
        "mirrored": lambda n: np.zeros(n, dtype=bool),
        "warps": lambda n: np.tile(np.eye(2, 3, dtype=np.float32), (n, 1, 1)),
        "gains": lambda n: np.ones((n, channels), dtype=np.float32),
        "biases": lambda n: np.zeros(n, dtype=np.float32),
        "cuts": lambda n: np.full((n, 2), -1, dtype=np.int64),
    }
    found = {}
    for name, nothing in neutral.items():
        own = [getattr(c, name) for c in changes]
        if any(part is not None for part in own):
            pairs = zip(own, counts, strict=True)
            found[name] = np.concatenate([nothing(n) if part is None else part for part, n in pairs])
    return Changes(**found)


def apply_changes(x: torch.Tensor, changes: Changes) -> torch.Tensor:
    """Images ``n x C x H x W`` in [0, 1] with the changes applied; ``x`` stays unchanged."""
    height, width = x.shape[2:]
    if changes.offsets is not None:
        x = _moved(x, torch.from_numpy(changes.offsets).to(x.device))
    if changes.mirrored is not None:
        x = torch.where(_column(changes.mirrored, x), x.flip(3), x)
    if changes.warps is not None:
        warps = torch.from_numpy(changes.warps).to(x)
        # An image without a warp stays the same to the last bit.
        still = (warps == torch.eye(2, 3, device=x.device)).flatten(1).all(1).view(-1, 1, 1, 1)
        grid = F.affine_grid(warps, list(x.shape), align_corners=False)
        x = torch.where(still, x, F.grid_sample(x, grid, padding_mode="border", align_corners=False))
    if changes.gains is not None and changes.biases is not None:
        gains = torch.from_numpy(changes.gains).to(x)[:, :, None, None]
        lifted = ((x - 0.5) * gains + 0.5 + _column(changes.biases, x)).clamp(0, 1)
        x = torch.where((gains == 1).all(1, keepdim=True), x, lifted)
    if changes.cuts is not None:
        cuts = torch.from_numpy(changes.cuts).to(x.device)
        half = max(1, round(CUT * min(height, width)) // 2)
        rows = (torch.arange(height, device=x.device) - cuts[:, :1]).abs() < half
        columns = (torch.arange(width, device=x.device) - cuts[:, 1:]).abs() < half
        inside = rows[:, None, :, None] & columns[:, None, None, :] & (cuts[:, 0] >= 0).view(-1, 1, 1, 1)
        x = x.masked_fill(inside, 0.5)
    return x


def _column(values: NDArray[np.generic], like: torch.Tensor) -> torch.Tensor:
    """Values ``n`` as a tensor ``n x 1 x 1 x 1`` on the device of ``like``."""
    return torch.from_numpy(values).to(like.device).view(-1, 1, 1, 1)


def _moved(x: torch.Tensor, offsets: torch.Tensor) -> torch.Tensor:
    """Move each image by its own offset, and fill with black."""
    n, _, height, width = x.shape
    rows = torch.arange(height, device=x.device) + offsets[:, :1]
    columns = torch.arange(width, device=x.device) + offsets[:, 1:]
    inside = ((rows >= 0) & (rows < height))[:, :, None] & ((columns >= 0) & (columns < width))[:, None, :]
    image = torch.arange(n, device=x.device)[:, None, None]
    moved = x[image, :, rows.clamp(0, height - 1)[:, :, None], columns.clamp(0, width - 1)[:, None, :]]
    return torch.where(inside[:, None], moved.permute(0, 3, 1, 2), torch.zeros((), device=x.device))
