"""Large batches in portions: the same scores and gradients, never more images at once than fit."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn

from ti_core.classifier.fast import portions
from ti_core.classifier.fast.portions import InPortions, fitting, kept_bytes
from ti_core.streams.searches.derangements import PatternSearch, by_class
from ti_core.streams.searches.masks import descent
from ti_core.streams.searches.search import ascent
from ti_core.system.memory import is_out_of_memory


class Counted(nn.Module):
    """A small network that notes how many images it sees at once."""

    def __init__(self, most: int = 10**9) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            nn.Conv2d(3, 4, 3, padding=1), nn.ReLU(), nn.Flatten(), nn.Linear(4 * 64, 5)
        )
        self.seen: list[int] = []
        self.most = most
        self.eval().requires_grad_(False)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        self.seen.append(len(x))
        if len(x) > self.most:
            raise RuntimeError("[enforce fail at alloc_cpu.cpp] . DefaultCPUAllocator: can't allocate memory")
        z: torch.Tensor = self.layers(x)
        return z


@pytest.fixture
def tight(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every batch is asked whether it fits, and there is room for seven images."""
    network = Counted()
    each = kept_bytes(network, torch.rand(2, 3, 8, 8)) - kept_bytes(network, torch.rand(1, 3, 8, 8))
    monkeypatch.setattr(portions, "LARGE", 0)
    monkeypatch.setattr(portions, "free_memory", lambda device: 7.5 * each / portions.SHARE)


def gradient(network: nn.Module, x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    free = x.clone().requires_grad_(True)
    z = network(free)
    return z.detach(), torch.autograd.grad(z.square().sum(), free)[0]


@pytest.mark.usefixtures("tight")
def test_scores_and_gradients_are_those_of_the_whole_batch() -> None:
    torch.manual_seed(0)
    network, x = Counted(), torch.rand(20, 3, 8, 8)
    whole, in_portions = gradient(network, x), gradient(InPortions(network), x)
    for one, other in zip(whole, in_portions, strict=True):
        assert torch.allclose(one, other, atol=1e-6)
    with torch.no_grad():
        assert torch.allclose(InPortions(network)(x), whole[0], atol=1e-6)


@pytest.mark.usefixtures("tight")
def test_no_more_images_go_through_at_once_than_fit() -> None:
    network = Counted()
    assert fitting(network, torch.rand(20, 3, 8, 8)) == 7
    network.seen.clear()
    gradient(InPortions(network), torch.rand(20, 3, 8, 8))
    assert max(network.seen) == 7 and sum(network.seen) == 3 + 2 * 20


@pytest.mark.usefixtures("tight")
def test_where_memory_ends_all_the_same_the_portions_are_halved() -> None:
    network = Counted(most=2)
    assert InPortions(network)(torch.rand(9, 3, 8, 8)).shape == (9, 5)
    with pytest.raises(RuntimeError, match="allocate"):
        InPortions(Counted(most=0))(torch.rand(9, 3, 8, 8))


def test_small_batches_go_through_whole_and_unmeasured() -> None:
    network = Counted()
    InPortions(network)(torch.rand(300, 3, 8, 8))
    assert network.seen == [300]


def test_other_errors_are_not_taken_for_a_lack_of_memory() -> None:
    assert not is_out_of_memory(RuntimeError("shapes cannot be multiplied"))
    assert is_out_of_memory(torch.OutOfMemoryError("CUDA out of memory"))


@pytest.mark.usefixtures("tight")
def test_gradients_that_are_asked_for_part_by_part_need_no_second_pass() -> None:
    torch.manual_seed(0)
    network, x = Counted(), torch.rand(4, 5, 3, 8, 8)
    classes = torch.tensor([0, 1, 2, 3])
    whole = ascent(network, x, classes)
    network.seen.clear()
    assert torch.allclose(ascent(InPortions(network), x, classes), whole, atol=1e-7)
    assert max(network.seen) == 7 and sum(network.seen) == 3 + 20


@pytest.mark.usefixtures("tight")
def test_a_mask_s_gradient_is_the_same_in_parts() -> None:
    torch.manual_seed(0)
    network, x, raw = Counted(), torch.rand(4, 5, 3, 8, 8), torch.randn(4, 4, 8, 8)
    classes, weight = torch.tensor([0, 1, 2, 3]), torch.full((4,), 0.01)
    whole = descent(network, x, raw, classes, weight)
    in_portions = descent(InPortions(network), x, raw, classes, weight)
    assert torch.allclose(whole[0], in_portions[0], atol=1e-7) and torch.equal(whole[1], in_portions[1])


@pytest.mark.usefixtures("tight")
@pytest.mark.parametrize("each", [1, 2, 4])
def test_the_images_of_a_mask_stay_in_one_portion(each: int) -> None:
    """Two classes and seven images that fit: three masks, one, or none at once. An assignment needs all of a mask."""
    torch.manual_seed(0)
    network, images = Counted(), torch.rand(16, 3, 8, 8)
    network.layers[3] = nn.Linear(4 * 64, 2)
    network.eval().requires_grad_(False)
    places = by_class(torch.arange(16) % 2, 2, each, 4)
    assert places is not None
    weights = torch.rand(5, 8, 8)
    whole = PatternSearch(network, images, places).make(weights, 3, each)
    network.seen.clear()
    in_portions = PatternSearch(InPortions(network), images, places).make(weights, 3, each)
    assert torch.allclose(whole[0], in_portions[0], atol=1e-6)
    assert np.array_equal(whole[1], in_portions[1]) and torch.allclose(whole[2], in_portions[2], atol=1e-6)
    again = sum(network.seen[2:]) / (3 * 5 * 2 * each)
    assert again == (1 if 2 * each <= 7 else 2) and max(network.seen) <= 7


def test_a_portion_takes_no_more_than_its_share_of_a_large_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(portions, "free_memory", lambda device: 1 << 50)
    network = Counted()
    each = kept_bytes(network, torch.rand(2, 3, 8, 8)) - kept_bytes(network, torch.rand(1, 3, 8, 8))
    assert fitting(network, torch.rand(2, 3, 8, 8)) == portions.MOST // each
