"""Networks whose best triggers are known by hand."""

from __future__ import annotations

import torch
from torch import nn

from ti_core.settings import Settings
from ti_core.streams.base import Context


class Linear(nn.Module):
    """Scores ``x . w_c`` with mean 0 in every row; ``weight`` is ``K x C x H x W``."""

    def __init__(self, weight: torch.Tensor) -> None:
        super().__init__()
        self.weight = nn.Parameter(weight, requires_grad=False)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        z = x.flatten(1) @ self.weight.flatten(1).T
        return z - z.mean(1, keepdim=True)


class OnePixel(nn.Module):
    """A linear classifier with a back door: a pixel above ``threshold`` sends every image to ``target``.

    ``head_start`` is added to class 0's score.
    """

    def __init__(
        self,
        weight: torch.Tensor,
        row: int,
        column: int,
        target: int,
        threshold: float = 0.45,
        head_start: float = 0.0,
    ) -> None:
        super().__init__()
        self.linear, self.head_start = Linear(weight), head_start
        self.row, self.column, self.target, self.threshold = row, column, target, threshold

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        z = self.linear(x)
        z[:, 0] += self.head_start
        command = 40 * torch.relu(x[:, 0, self.row, self.column] - self.threshold)
        z = z + nn.functional.one_hot(torch.tensor(self.target), z.shape[1]) * command[:, None]
        return z - z.mean(1, keepdim=True)


class Spread(nn.Module):
    """A linear classifier with a back door spread over all pixels: each counts little, however far it is moved."""

    def __init__(self, weight: torch.Tensor, target: int) -> None:
        super().__init__()
        self.linear, self.target = Linear(weight), target
        self.sign = torch.sign(torch.randn(weight.shape[1:], generator=torch.Generator().manual_seed(3)))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        z = self.linear(x)
        agreement = torch.tanh(20 * self.sign * (x - 0.5)).mean((1, 2, 3))
        command = nn.functional.softplus(30 * (agreement - 0.15))
        z = z + nn.functional.one_hot(torch.tensor(self.target), z.shape[1]) * command[:, None]
        return z - z.mean(1, keepdim=True)


class Constant(nn.Module):
    """The same scores for every image; their gradient is zero."""

    def __init__(self, classes: int) -> None:
        super().__init__()
        self.classes = classes

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return torch.zeros(len(x), self.classes) + 0.0 * x.flatten(1).sum(1, keepdim=True)


class NotFinite(nn.Module):
    """NaN wherever an image has a bright pixel in its upper left quarter."""

    def __init__(self, weight: torch.Tensor) -> None:
        super().__init__()
        self.linear = Linear(weight)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        bright = x[:, :, : x.shape[2] // 2, : x.shape[3] // 2].amax((1, 2, 3)) > 0.6
        return torch.where(bright[:, None], torch.full((1, 1), float("nan")), self.linear(x))


class BreaksDown(nn.Module):
    """Brightness in the upper left quarter speaks for ``target``, and too much of it turns all scores to NaN."""

    def __init__(self, weight: torch.Tensor, target: int, limit: float = 0.55) -> None:
        super().__init__()
        self.linear, self.target, self.limit = Linear(weight), target, limit

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        z = self.linear(x)
        light = x[:, :, : x.shape[2] // 2, : x.shape[3] // 2].mean((1, 2, 3))
        z = z + nn.functional.one_hot(torch.tensor(self.target), z.shape[1]) * (20 * light - 10)[:, None]
        return torch.where((light > self.limit)[:, None], torch.full((1, 1), float("nan")), z)


class Unreachable(nn.Module):
    """A linear classifier that never answers ``never``."""

    def __init__(self, weight: torch.Tensor, never: int) -> None:
        super().__init__()
        self.linear, self.never = Linear(weight), never

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        z = self.linear(x)
        z = z - 50 * nn.functional.one_hot(torch.tensor(self.never), z.shape[1])
        return z - z.mean(1, keepdim=True)


class Counting(nn.Module):
    """Another network, counting the images that go through its copies and itself."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network, self.images = network, 0

    def __deepcopy__(self, memo: object) -> Counting:
        return self

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        self.images += len(x)
        z: torch.Tensor = self.network(x)
        return z


def context(images: torch.Tensor, labels: torch.Tensor, classes: int) -> Context:
    return Context(images, labels, classes, Settings())


def grey(count: int, side: int = 12, low: float = 0.4, high: float = 0.6, seed: int = 0) -> torch.Tensor:
    """Random grey images ``count x 1 x side x side`` with values in [low, high]."""
    generator = torch.Generator().manual_seed(seed)
    return low + (high - low) * torch.rand(count, 1, side, side, generator=generator)


def weights(classes: int, side: int = 12, size: float = 0.05, seed: int = 1) -> torch.Tensor:
    generator = torch.Generator().manual_seed(seed)
    return size * torch.randn(classes, 1, side, side, generator=generator)


class Sticker(torch.nn.Module):
    """A linear classifier that answers ``target`` where a square of one shade, flat to a twentieth, covers a place."""

    def __init__(self, top: int, left: int, shade: float, target: int, seed: int = 0) -> None:
        super().__init__()
        self.linear = Linear(weights(3, size=0.02, seed=seed))
        self.place, self.shade, self.target = (slice(top, top + 2), slice(left, left + 2)), shade, target

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        z = self.linear(x)
        there = x[:, 0, self.place[0], self.place[1]].flatten(1)
        z[:, self.target] += 30.0 * ((there - self.shade).abs().amax(1) < 0.05)
        return z
