"""What the comparison of grids prints."""

from __future__ import annotations

import re

import pytest
import torch

from benchmarks.grids import SEARCHES, compared
from tests.streams.toys import Linear
from ti_core.classifier.scores import Scores
from ti_core.settings import Settings
from ti_core.streams import Context
from ti_core.streams.searches import search


def test_both_searches_are_asked_and_the_grid_is_put_back(monkeypatch: pytest.MonkeyPatch) -> None:
    """The weights of a class change their sign from pixel to pixel: only a pattern that is free there can use them."""
    side, grid = 96, search.GRID
    at = torch.arange(side)
    weight = torch.zeros(5, 1, side, side)
    weight[3] = 1.0 - 2.0 * ((at[:, None] + at) % 2)
    weight[:3, :, :48, :48] = torch.tensor([1.0, -1.0, 0.5]).view(3, 1, 1, 1) / 4
    images, labels = (
        0.4 + 0.2 * torch.rand(20, 1, side, side, generator=torch.manual_seed(0)),
        torch.arange(20) % 5,
    )
    told = compared("universal", Scores(Linear(weight), "none"), Context(images, labels, 5, Settings()), 3)
    assert [line.rsplit(" ", 5)[0] for line in told] == list(SEARCHES) and grid == search.GRID
    coarse, free = (float(re.findall(r"-?\d+\.\d+", line)[0]) for line in told)
    assert coarse < 0.1 and free > 0.3
