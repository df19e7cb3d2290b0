"""Paddings of single convolutions: neighbours of a candidate, and the search that finds a mixed pattern."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from tests.reconstruction.test_candidates import conv, linear
from ti_core.classifier.decide import decided
from ti_core.classifier.trial import GLANCE, scored
from ti_core.reconstruction.candidates import Candidate
from ti_core.reconstruction.comparing.paddings import MOST, otherwise_padded
from ti_core.reconstruction.comparing.uniform import MIXED, UNLIKE, mixed
from ti_core.reconstruction.grammar import parse_sketch
from ti_core.reconstruction.layers.file_layers import file_layers
from ti_core.reconstruction.model import Model, Proposal
from ti_core.reconstruction.network import network_of
from ti_core.reconstruction.sketch import difference

SAME, VALID = "conv 4 3 padding 1; relu", "conv 4 3; relu"


def candidate(text: str) -> Candidate:
    items = parse_sketch(text).items
    return Candidate(items[1:], (3, 16, 16), 5.0)


def drawn(*stages: tuple[str, ...]) -> str:
    body = "; maxpool 2; ".join("; ".join(stage) for stage in stages)
    return f"input 3 16; {body}; maxpool 2; flatten; linear 3"


def test_neighbours_reach_the_flattened_size_and_cost_what_they_are_worth() -> None:
    start = candidate(drawn((SAME, VALID), (VALID, SAME)))
    found = otherwise_padded(start)
    texts = [str(one.sketch()) for one in found]
    turned = str(parse_sketch(drawn((SAME, VALID), (SAME, VALID))))
    assert turned in texts and len(set(texts)) == len(texts) and str(start.sketch()) not in texts
    layers = file_layers(
        conv("a", 4, 3, 3)
        | conv("b", 4, 4, 3)
        | conv("c", 4, 4, 3)
        | conv("d", 4, 4, 3)
        | linear("e", 3, 4 * 4)
    )
    for one in found:
        assert network_of(one.sketch(), layers)(torch.zeros(1, 3, 16, 16)).shape == (1, 3)
    alike = found[texts.index(turned)]
    assert alike.cost == pytest.approx(5.0 - 2 * MIXED - UNLIKE)


def test_what_is_stated_by_a_stride_a_block_or_a_mean_is_left() -> None:
    assert not otherwise_padded(candidate("input 3 16; conv 4 3 padding 1 stride 2; relu; flatten; linear 3"))
    assert not otherwise_padded(
        candidate("input 3 16; block { conv 3 3 padding 1 }; conv 4 1; flatten; linear 3")
    )
    behind_mean = otherwise_padded(candidate(f"input 3 16; {SAME}; globalavgpool; flatten; linear 3"))
    assert [str(one.items[0]) for one in behind_mean] == ["conv 4 3"]
    # Too small an image for it.
    small = parse_sketch(f"input 3 16; maxpool 8; {SAME}; flatten; linear 3").items[1:]
    assert not otherwise_padded(Candidate(small, (3, 16, 16), 0.0))
    # From here three convolutions have to change at once.
    far = [str(one.sketch()) for one in otherwise_padded(candidate(drawn((SAME, SAME), (VALID, SAME))))]
    assert str(parse_sketch(drawn((VALID, VALID), (SAME, SAME)))) in far
    long = drawn((VALID,), (SAME,) * (MOST + 5))
    assert 0 < len(otherwise_padded(candidate(long))) <= MOST * (MOST - 1) // 2 + MOST


def test_stages_that_pad_alike_are_usual() -> None:
    def cost(*stages: tuple[str, ...]) -> float:
        return mixed(candidate(drawn(*stages)).items)

    assert cost((SAME, VALID), (SAME, VALID)) == cost((SAME, SAME), (SAME, SAME)) == 0.0
    assert cost((SAME,), (VALID,)) == MIXED
    assert cost((SAME, SAME), (SAME, VALID)) == MIXED + UNLIKE


@pytest.fixture(scope="module")
def mixed_paddings() -> tuple[nn.Module, torch.Tensor, torch.Tensor]:
    """A small network with a padded convolution and one that is not in each stage, trained on stripes."""
    torch.manual_seed(0)
    classes = torch.arange(160) % 4
    ways = torch.stack([torch.cos(torch.arange(16.0) * f) for f in (0.4, 0.8, 1.4, 2.2)])
    x = torch.stack([ways[c].expand(16, 16) if c % 2 else ways[c][:, None].expand(16, 16) for c in classes])
    x = (0.5 + 0.2 * x[:, None].repeat(1, 3, 1, 1) + 0.25 * torch.randn(160, 3, 16, 16)).clamp(0, 1)
    layers: list[nn.Module] = []
    for before, after in ((3, 8), (8, 12)):
        layers += [nn.Conv2d(before, after, 3, padding=1), nn.ReLU(), nn.Conv2d(after, after, 3), nn.ReLU()]
        layers.append(nn.MaxPool2d(2))
    net = nn.Sequential(*layers, nn.Flatten(), nn.Linear(12 * 4, 4))
    optimiser = torch.optim.Adam(net.parameters(), lr=5e-3)
    for _ in range(60):
        optimiser.zero_grad()
        nn.functional.cross_entropy(net(x), classes).backward()
        optimiser.step()
    return net.eval(), x, classes


def test_the_paddings_are_found(mixed_paddings: tuple[nn.Module, torch.Tensor, torch.Tensor]) -> None:
    net, x, labels = mixed_paddings
    layers = file_layers(net.state_dict())
    proposal = Proposal(layers)
    model = Model(
        net, "m.pt", "0" * 64, "torch state dict", "reconstructed", 1, 4, (3, 16, 16), proposal=proposal
    )
    found = decided(model, x, labels)
    torch.testing.assert_close(found.module(x), net(x))


@torch.no_grad()
def test_a_hopeless_network_sees_the_first_images_alone() -> None:
    torch.manual_seed(0)
    x, labels = torch.rand(40, 1, 4, 4), torch.arange(40) % 4
    net = nn.Sequential(nn.Flatten(), nn.Linear(16, 4))
    assert len(scored(net, x, labels, 1.0)) == GLANCE
    torch.testing.assert_close(scored(net, x, labels, 1e6), net(x))
    assert len(scored(net, x, None, 1.0)) == 40
    normed = nn.Sequential(nn.BatchNorm2d(1), nn.Flatten(), nn.Linear(16, 4)).eval()
    assert len(scored(normed, x, labels, 1.0)) == 40


def test_the_difference_of_two_paddings_is_no_other_order_of_layers() -> None:
    one, other = (parse_sketch(drawn(stage)) for stage in ((SAME, VALID), (VALID, SAME)))
    assert "options in another order" in difference(one, other)
