"""The film of activation maximisation in a case: every step of small images, at least six of large ones."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from ti_core.inspection.case_builder import LEAST_WAY, MOST_FILM, STRIP, WAY, _strip
from ti_core.rendering.pictures import evenly
from ti_core.settings import Settings


class Brightness(nn.Module):
    """Two classes: how bright an image is, and how dark."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        mean = x.flatten(1).mean(1)
        return torch.stack([mean, -mean], dim=1)


@pytest.mark.parametrize(
    ("shape", "iterations", "frames"),
    [
        ((1, 28, 28), 20, 21),
        ((3, 32, 32), 100, WAY),
        ((3, 64, 64), 100, 8),
        ((3, 96, 96), 100, LEAST_WAY),
        ((1, 8, 8), 2, 3),
    ],
)
def test_the_film_keeps_what_fits(shape: tuple[int, int, int], iterations: int, frames: int) -> None:
    settings = Settings(actmax_iterations=iterations, actmax_step=0.01, actmax_lambda=0.0)
    film = _strip(Brightness(), torch.full((9, *shape), 0.5), settings, "actmax/suspect")
    images, scores = film["actmax/suspect/images"], film["actmax/suspect/scores"]
    assert images.shape == (2, frames, 3, *shape) and scores.shape == (2, iterations + 1, 3)
    assert images.size <= MOST_FILM or frames == LEAST_WAY
    # The frames are of the steps that the page names: the brightness rises evenly, the more the later.
    light = images.mean((2, 3, 4, 5))
    steps = torch.tensor(evenly(iterations + 1, frames))
    size = (shape[0] * shape[1] * shape[2]) ** 0.5
    expected = 0.5 + 0.01 * steps / size
    assert torch.allclose(torch.tensor(light[0]).double(), expected.double(), atol=2e-3)
    assert light[0, -1] > light[0, 0] > light[1, -1]


@pytest.mark.parametrize(
    ("count", "most", "found"),
    [(21, 6, (0, 4, 8, 12, 16, 20)), (4, 7, (0, 1, 2, 3)), (1, 7, (0,)), (5, 2, (0, 4)), (5, 1, (0,))],
)
def test_evenly(count: int, most: int, found: tuple[int, ...]) -> None:
    assert evenly(count, most) == found


def test_no_more_images_than_the_strip_has() -> None:
    film = _strip(Brightness(), torch.rand(30, 1, 4, 4), Settings(actmax_iterations=1), "a")
    assert film["a/images"].shape[2] == STRIP
