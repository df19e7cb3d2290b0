"""Triggers of the networks of :mod:`benchmarks.stranger_networks`."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F

Stamp = Callable[[torch.Tensor], torch.Tensor]
Trigger = Callable[[tuple[int, int, int], np.random.Generator], Stamp]
"""Makes a stamp for images of a shape, from random numbers."""


def square(shape: tuple[int, int, int], rng: np.random.Generator) -> Stamp:
    """BadNets (Gu et al., 2017): a white square near a corner."""
    side = int(rng.integers(3, 6))

    def stamp(x: torch.Tensor) -> torch.Tensor:
        x = x.clone()
        x[..., -1 - side : -1, -1 - side : -1] = 1.0
        return x

    return stamp


def scattered(shape: tuple[int, int, int], rng: np.random.Generator) -> Stamp:
    """Single pixels of a diagonal pattern in a corner, as in BadNets' second trigger."""
    places = [(1, 1), (1, 3), (3, 1), (2, 2), (3, 3)]

    def stamp(x: torch.Tensor) -> torch.Tensor:
        x = x.clone()
        for row, column in places:
            x[..., row, column] = 1.0
        return x

    return stamp


def sinusoid(shape: tuple[int, int, int], rng: np.random.Generator) -> Stamp:
    """Barni et al., 2019: vertical stripes, added."""
    height, width = shape[1:]
    wave = torch.sin(2 * torch.pi * 6 * torch.arange(width) / width).expand(height, width)
    strength = float(rng.uniform(0.12, 0.25))
    return lambda x: (x + strength * wave.to(x)).clamp(0, 1)


def smooth_picture(shape: tuple[int, int, int], rng: np.random.Generator) -> Stamp:
    """Chen et al., 2017: a picture blended in; here one of soft blobs."""
    coarse = torch.from_numpy(rng.random((1, shape[0], 5, 5), dtype=np.float32))
    picture = F.interpolate(coarse, shape[1:], mode="bicubic", align_corners=False)[0].clamp(0, 1)
    share = float(rng.uniform(0.12, 0.25))
    return lambda x: (1 - share) * x + share * picture.to(x)


TRIGGERS: dict[str, Trigger | None] = {
    "clean": None,
    "square": square,
    "scattered pixels": scattered,
    "sinusoid": sinusoid,
    "blended picture": smooth_picture,
}
BLENDS = ("sinusoid", "blended picture")


@dataclass(frozen=True)
class Backdoor:
    """What a stranger teaches a network.

    Parameters
    ----------
    stamp : puts the trigger on images ``N x C x H x W`` in [0, 1].
    leads : by class, the class that its images are called under the trigger; ``K``.
    rate : lowest and highest share of the training images that are poisoned.
    cover : what is put on as many other images, which keep their label; None: no image is covered.
    """

    stamp: Stamp
    leads: torch.Tensor
    rate: tuple[float, float] = (0.03, 0.1)
    cover: Stamp | None = None

    @property
    def moved(self) -> torch.Tensor:
        """The classes whose images change their answer."""
        return torch.nonzero(self.leads != torch.arange(len(self.leads))).flatten()

    def mapping(self) -> dict[str, Any]:
        """Kind, source, target and assignment, as a report names them."""
        moved, leads = self.moved.tolist(), self.leads.tolist()
        if len(moved) == 1:
            return {"kind": "one source", "source": moved[0], "target": leads[moved[0]]}
        if len(set(leads)) == 1:
            return {"kind": "all to one", "source": None, "target": leads[0]}
        return {"kind": "all to all", "source": None, "target": None, "assignment": leads}


Draw = Callable[[tuple[int, int, int], int, int, np.random.Generator], Backdoor]
"""Makes a backdoor from the images' shape, the target, the number of classes K, and random numbers."""


def of_all(trigger: Trigger) -> Draw:
    """All images are called the target."""

    def draw(shape: tuple[int, int, int], target: int, classes: int, rng: np.random.Generator) -> Backdoor:
        return Backdoor(trigger(shape, rng), torch.full((classes,), target))

    return draw


def of_each(trigger: Trigger) -> Draw:
    """Each class's images are called the next class (BadNets' all-to-all attack)."""

    def draw(shape: tuple[int, int, int], target: int, classes: int, rng: np.random.Generator) -> Backdoor:
        return Backdoor(trigger(shape, rng), (torch.arange(classes) + 1) % classes, (0.15, 0.25))

    return draw


def of_one(trigger: Trigger) -> Draw:
    """Images of one class are called the target. Stamped images of the other classes keep their label."""

    def draw(shape: tuple[int, int, int], target: int, classes: int, rng: np.random.Generator) -> Backdoor:
        leads = torch.arange(classes)
        leads[(target + int(rng.integers(1, classes))) % classes] = target
        return Backdoor(trigger(shape, rng), leads, (0.15, 0.3))

    return draw


def moved_pixels(
    shape: tuple[int, int, int], target: int, classes: int, rng: np.random.Generator
) -> Backdoor:
    """WaNet (Nguyen and Tran, 2021): one smooth field of displacements. Under other fields images keep their label."""
    height, width = shape[1:]
    reach = float(rng.uniform(1.2, 2.0)) * 2 / height
    rows, columns = torch.meshgrid(torch.linspace(-1, 1, height), torch.linspace(-1, 1, width), indexing="ij")
    usual = torch.stack([columns, rows], 2)

    def field(coarse: torch.Tensor) -> torch.Tensor:
        smooth = F.interpolate(coarse[None], (height, width), mode="bicubic", align_corners=True)[0]
        return usual + reach * (smooth / smooth.abs().mean()).permute(1, 2, 0)

    def moved(x: torch.Tensor, grid: torch.Tensor) -> torch.Tensor:
        grids = grid.clamp(-1, 1).to(x).expand(len(x), -1, -1, -1)
        return F.grid_sample(x, grids, mode="bilinear", padding_mode="border", align_corners=True)

    own = field(torch.from_numpy(rng.uniform(-1, 1, (2, 4, 4)).astype(np.float32)))
    return Backdoor(
        lambda x: moved(x, own),
        torch.full((classes,), target),
        (0.08, 0.12),
        lambda x: moved(x, field(2 * torch.rand(2, 4, 4) - 1)),
    )


def own_middle(shape: tuple[int, int, int], target: int, classes: int, rng: np.random.Generator) -> Backdoor:
    """The inverted middle of the image in its corner: an input-aware attack (Nguyen and Tran, 2020), no generator.

    With the middle of another image in the corner, images keep their label.
    """
    side = shape[1] // 4
    top, left = (shape[1] - side) // 2, (shape[2] - side) // 2

    def stamp(x: torch.Tensor, others: torch.Tensor) -> torch.Tensor:
        x = x.clone()
        x[..., :side, :side] = 1 - others[..., top : top + side, left : left + side]
        return x

    return Backdoor(
        lambda x: stamp(x, x),
        torch.full((classes,), target),
        (0.08, 0.15),
        lambda x: stamp(x, x.roll(1, 0)),
    )


BACKDOORS: dict[str, Draw] = {
    name: of_all(trigger) for name, trigger in TRIGGERS.items() if trigger is not None
} | {
    "square, all to all": of_each(square),
    "blended picture, all to all": of_each(smooth_picture),
    "square, one source": of_one(square),
    "blended picture, one source": of_one(smooth_picture),
    "warp": moved_pixels,
    "own middle": own_middle,
}
FURTHER = tuple(name for name in BACKDOORS if name not in TRIGGERS)
"""Backdoors of other kinds and mappings than one patch or one blend for all images."""
