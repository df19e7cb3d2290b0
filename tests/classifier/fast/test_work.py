"""The work of a network is counted in products, the same on every machine."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from ti_core.classifier.fast.work import WRITTEN, work
from ti_core.classifier.first_pass import measure


@pytest.mark.parametrize(
    ("layer", "image", "products", "written"),
    [
        (nn.Conv2d(3, 8, 3, padding=1), (3, 10, 10), 8 * 100 * 27, 800),
        (nn.Conv2d(8, 8, 3, padding=1, groups=8), (8, 10, 10), 8 * 100 * 9, 800),
        (nn.ConvTranspose2d(3, 8, 2, stride=2), (3, 5, 5), 75 * 8 * 4, 800),
        (nn.Linear(7, 5), (7,), 35, 5),
        (nn.Linear(7, 5, bias=False), (7,), 35, 5),
        (nn.ReLU(), (7,), 0, 0),
    ],
)
def test_products_and_written_values_are_those_of_the_layer(
    layer: nn.Module, image: tuple[int, ...], products: int, written: int
) -> None:
    assert work(layer, torch.rand(4, *image)) == products + WRITTEN * written


def test_a_network_that_does_not_run_has_no_work_and_random_states_stay() -> None:
    assert work(nn.Linear(3, 2), torch.rand(1, 5)) == 0.0
    network, images = nn.Sequential(nn.Dropout(), nn.Linear(5, 2)).train(), torch.rand(1, 5)
    before = torch.random.get_rng_state()
    work(network, images)
    assert torch.equal(before, torch.random.get_rng_state())


def test_a_first_pass_tells_it_and_keeps_it_at_another_speed() -> None:
    first = measure(nn.Sequential(nn.Flatten(), nn.Linear(75, 4)), torch.rand(3, 3, 5, 5), 0.0)
    assert first.work == 300 + WRITTEN * 4 == first.at(2 * first.forward).work
