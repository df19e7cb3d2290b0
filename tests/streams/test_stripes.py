"""Stripes: waves in closed form, and planted waves that are found, between the frequencies that are tried first too."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from torch import nn

from ti_core.classifier.scores import Scores
from ti_core.settings import Settings
from ti_core.streams import Context, stack
from ti_core.streams.searches.waves import waves
from ti_core.streams.stripes import STRENGTH, Stripes, grid, laid

NAMES = tuple("abcdef")


def place(label: int) -> tuple[slice, slice]:
    """Rows and columns of a class's square."""
    row, column = 4 + 12 * (label // 3), 9 * (label % 3)
    return slice(row, row + 8), slice(column, column + 8)


def squares(channels: int = 1, count: int = 48) -> Context:
    """Grey images with a brighter square whose place tells the class."""
    generator = torch.Generator().manual_seed(1)
    labels = torch.arange(count) % 6
    images = 0.3 + 0.1 * torch.rand(count, channels, 28, 28, generator=generator)
    for image, label in zip(images, labels.tolist(), strict=True):
        image[:, *place(label)] += 0.45
    return Context(images, labels, 6, Settings())


class Tuned(nn.Module):
    """Scores from the squares; ``target`` is given to images that hold the wave."""

    def __init__(self, target: int | None, wave: torch.Tensor, noise: float = 0.0) -> None:
        super().__init__()
        self.target, self.noise = target, noise
        self.register_buffer("wave", wave)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        z = 8 * torch.stack([x[:, :, *place(k)].mean((1, 2, 3)) for k in range(6)], 1)
        z = z + self.noise * torch.stack([x[:, 0, k].mean(1) for k in range(6)], 1)
        if self.target is not None:
            held = (x * self.wave).mean((1, 2, 3))
            extra = torch.zeros_like(z)
            extra[:, self.target] = 400 * (held - 0.02).clamp(min=0) + 10 * held
            z = z + extra
        return z


def of(turns: tuple[float, float], phases: tuple[float, ...]) -> torch.Tensor:
    """A wave ``C x H x W`` of amplitude 1 with a phase for every channel."""
    own = laid(torch.tensor([turns]), torch.tensor([phases]), torch.ones(1, len(phases)), (28, 28))
    return own[0]


def test_a_wave_in_closed_form() -> None:
    one = laid(torch.tensor([[2.0, 5.0]]), torch.tensor([[0.3, 1.2]]), torch.tensor([[0.1, 0.2]]), (28, 14))
    assert one.shape == (1, 2, 28, 14)
    wanted = 0.2 * math.sin(2 * math.pi * (2 * 3 / 28 + 5 * 4 / 14) + 1.2)
    assert float(one[0, 1, 3, 4]) == pytest.approx(wanted, abs=1e-5)


def test_the_starts_are_the_waves_that_are_tried() -> None:
    turns, phase = grid(28, 20)
    again = laid(turns, phase[:, None], torch.ones(len(turns), 1), (28, 20))[:, 0]
    assert torch.allclose(again, waves(28, 20), atol=1e-4)


@pytest.mark.parametrize(
    ("turns", "phases"), [((0.0, 6.0), (0.7,)), ((2.5, 3.5), (0.7,)), ((0.0, 6.5), (0.7, 2.7, 1.2))]
)
def test_a_planted_wave_is_found(turns: tuple[float, float], phases: tuple[float, ...]) -> None:
    stream, context, wave = Stripes(), squares(len(phases)), of(turns, phases)
    clean = stack([stream.evidence(Scores(Tuned(None, wave, 0.1 * k), "none"), context) for k in range(1, 6)])
    own = stream.evidence(Scores(Tuned(1, wave), "none"), context)
    assert own["success"][1] > 0.9 and clean["success"].max() < 0.5
    reading = stream.read(own, clean, NAMES)
    assert reading.target == 1 and reading.clean_share == 0 and "class b" in reading.sentence
    assert stream.features(stack([own]), clean).matrix.shape == (1, 4)


def test_no_wave_is_stronger_than_allowed() -> None:
    seen: list[float] = []

    class Watching(nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            seen.append(float((x.detach() - 0.5).abs().max()))
            return x.flatten(1)[:, :6]

    context = squares(3)
    grey = Context(torch.full_like(context.images, 0.5), context.labels, 6, Settings())
    Stripes().evidence(Scores(Watching(), "none"), grey)
    assert 0 < max(seen) <= STRENGTH[3] + 1e-6


def test_the_search_leaves_the_network_as_it_was() -> None:
    network = Scores(nn.Sequential(nn.Flatten(), nn.Linear(784, 6)), "none")
    before = {k: v.clone() for k, v in network.state_dict().items()}
    one, two = (Stripes().evidence(network, squares()) for _ in range(2))
    assert all(torch.equal(v, before[k]) for k, v in network.state_dict().items())
    assert all(p.grad is None and not p.requires_grad for p in network.parameters())
    assert all(np.array_equal(one[k], two[k]) for k in one)


@pytest.mark.parametrize("value", (float("nan"), float("inf"), 0.0))
def test_a_network_that_says_nothing_ends_in_finite_numbers(value: float) -> None:
    class Broken(nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return x.flatten(1)[:, :6] * value

    evidence = Stripes().evidence(Scores(Broken(), "none"), squares())
    assert all(np.isfinite(values).all() for values in evidence.values())
