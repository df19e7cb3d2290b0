"""Linear weight classification on a zoo whose backdoored networks have one strong row."""

from __future__ import annotations

from dataclasses import dataclass, replace
from types import SimpleNamespace
from typing import Any

import numpy as np
import torch
from torch import nn

from tests.methods.toys import block_images, subject
from ti_core.methods.published.linear_weights import LinearWeights, aligned


@dataclass(frozen=True)
class Reference:
    number: int
    trojaned: bool
    held_out: bool = False


class Zoo:
    """Linear networks of two widths. One row of a backdoored one is three times as strong."""

    name, class_names = "toys", ("a", "b", "c", "d", "e")

    def __init__(self, count: int) -> None:
        self.members = [Reference(i, bool(i % 2), i >= count - 10) for i in range(count)]

    def scores(self, member: Reference) -> Any:
        generator = torch.Generator().manual_seed(member.number)
        layer = nn.Linear(20 + 10 * (member.number % 3), 5)
        layer.weight.data = torch.randn(layer.weight.shape, generator=generator)
        if member.trojaned:
            layer.weight.data[member.number % 5] *= 3
        return SimpleNamespace(network=layer)


def test_the_order_of_units_and_classes_does_not_count() -> None:
    rows = torch.randn(5, 30, generator=torch.Generator().manual_seed(1))
    moved = rows[torch.tensor([3, 1, 4, 0, 2])][:, torch.randperm(30)]
    assert np.allclose(aligned(rows, 8), aligned(moved, 8))
    assert aligned(rows, 8).shape == (5 * 9,)
    assert np.allclose(aligned(7 * rows + 2, 8), aligned(rows, 8), atol=1e-5)


def test_a_strong_row_is_told_from_a_zoo_of_several_widths() -> None:
    zoo, method = Zoo(60), LinearWeights()
    learnt = method.learn(zoo)
    images, labels = block_images(20, 5)
    for member in [m for m in zoo.members if m.held_out]:
        network = zoo.scores(member).network
        found = method.opinion(
            replace(subject(network, images, labels, 5), learnt={"linear_weights": learnt})
        )
        assert found.suspicious == member.trojaned
