"""Networks that images decide: trained for seconds, saved without their code, and found again."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from pathlib import Path

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from ti_core.classifier.decide import decided
from ti_core.loading import load_model
from ti_core.reconstruction.model import Model, Reconstructed
from ti_core.reconstruction.statistics import drift, watched
from ti_core.reference.pack import load_pack


@cache
def digits() -> tuple[torch.Tensor, torch.Tensor]:
    pack = load_pack("mnist")
    return pack.images, pack.labels


class Plain(nn.Module):
    """Two convolutions with average pooling and tanh, under names that no architecture has."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.second = nn.Conv2d(1, 8, 3), nn.Conv2d(8, 12, 3, padding=1)
        self.end = nn.Linear(12 * 36, 10)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = F.avg_pool2d(torch.tanh(self.first(x)), 2)
        return self.end(F.avg_pool2d(torch.tanh(self.second(x)), 2).flatten(1))


class Normed(nn.Module):
    """A stem, a pooling and a residual block with batch normalisation and leaky ReLU."""

    def __init__(self) -> None:
        super().__init__()
        self.stem, self.stem_bn = nn.Conv2d(1, 8, 3, padding=1, bias=False), nn.BatchNorm2d(8)
        convs = {f"c{i}": nn.Conv2d(8, 8, 3, padding=1, bias=False) for i in (1, 2)}
        norms = {f"b{i}": nn.BatchNorm2d(8) for i in (1, 2)}
        self.res = nn.ModuleDict({name: (convs | norms)[name] for name in ("c1", "b1", "c2", "b2")})
        self.end = nn.Linear(8, 10)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = F.max_pool2d(F.leaky_relu(self.stem_bn(self.stem(x)), 0.2), 2)
        y = F.leaky_relu(self.res["b1"](self.res["c1"](x)), 0.2)
        return self.end(F.leaky_relu(self.res["b2"](self.res["c2"](y)) + x, 0.2).mean((2, 3)))


@cache
def trained(make: Callable[[], nn.Module]) -> nn.Module:
    torch.manual_seed(0)
    net = make().train()
    x, y = digits()
    optimiser = torch.optim.Adam(net.parameters(), 0.01)
    for epoch in range(40):
        optimiser.param_groups[0]["lr"] = 0.01 if epoch < 20 else 0.002
        for part in torch.randperm(len(x)).split(32):
            optimiser.zero_grad()
            F.cross_entropy(net(x[part]), y[part]).backward()
            optimiser.step()
    optimiser.zero_grad()
    return net.eval()


def opened(net: nn.Module, tmp_path: Path) -> Model:
    torch.save(net.state_dict(), tmp_path / "model.pt")
    return load_model(tmp_path / "model.pt")


@pytest.mark.parametrize("make", [Plain, Normed])
def test_images_decide_for_the_network_that_was_trained(
    make: Callable[[], nn.Module], tmp_path: Path
) -> None:
    net = trained(make)
    x, y = digits()
    model = opened(net, tmp_path)
    assert model.architecture == "reconstructed" and model.proposal is not None
    found = decided(model, x, y)
    sure = found.reconstructed
    # How well it was trained depends a little on PyTorch's version: 80 % with 2.14.1.
    assert sure is not None and sure.first > 0.75 and sure.doubt == "" and sure.images == 250
    with torch.no_grad():
        own, again = net(x), found.module(x)
    assert (own.argmax(1) == again.argmax(1)).float().mean() > 0.97
    torch.testing.assert_close(again, own, rtol=0.05, atol=0.05 * float(own.abs().max()))
    assert decided(model, x, y) is found, "the same images decide once"
    torch.testing.assert_close(load_model(tmp_path / "model.pt", sketch=found.sketch).module(x), again)


def test_a_whole_module_is_decided_with_its_own_layers(tmp_path: Path) -> None:
    net = trained(Normed)
    x, y = digits()
    torch.save(net, tmp_path / "whole.pt")
    model = load_model(tmp_path / "whole.pt")
    assert model.architecture == "reconstructed" and model.format == "torch module"
    found = decided(model, x, y)
    assert found.reconstructed is not None and found.reconstructed.doubt == ""
    assert "from the layers that the module registers" in found.reconstructed.says()
    with torch.no_grad():
        torch.testing.assert_close(found.module(x), net(x), rtol=1e-4, atol=1e-3)


def test_an_untrained_network_is_in_doubt(tmp_path: Path) -> None:
    torch.manual_seed(1)
    found = decided(opened(Plain(), tmp_path), *digits())
    assert found.reconstructed is not None
    assert "better than chance" in found.reconstructed.doubt or "about as good" in found.reconstructed.doubt


def test_two_networks_that_are_as_good_and_answer_otherwise_are_a_doubt() -> None:
    def sure(**changes: object) -> Reconstructed:
        return Reconstructed(**({"first": 0.9, "second": 0.89, "agreement": 0.8, "runner_up": "relu", "images": 200,
                                 "classes": 10, "rival": True} | changes))  # type: ignore[arg-type]  # fmt: skip

    assert "about as good (90.0% and 89.0%" in sure().doubt and "80% of the images" in sure().doubt
    assert sure(agreement=0.97).doubt == "" and sure(rival=False).doubt == ""
    assert (
        "better than chance (13% correct)" in sure(first=0.13).doubt
        and sure(first=0.3, second=None).doubt == ""
    )
    assert "better than chance" in sure(first=0.19, rival=False).doubt, (
        "the best of many is above chance by chance"
    )
    assert (
        "no other network fits" in sure(second=None).says()
        and "89.0% with the next likeliest" in sure().says()
    )


def test_networks_that_answer_alike_are_named_as_equal(tmp_path: Path) -> None:
    found = decided(opened(trained(Plain), tmp_path), *digits()).reconstructed
    assert found is not None
    said = Reconstructed(0.9, 0.9, 1.0, "", 200, 10, equal=("leaky_relu 0.01 in place of relu",)).says()
    assert "do not tell it from" in said and "leaky_relu 0.01 in place of relu." in said
    assert ("do not tell it from" in found.says()) is bool(found.equal)
    assert all(phrase and "from" not in phrase for phrase in found.equal)


def test_statistics_and_gradients_tell_a_network_from_others() -> None:
    net = trained(Normed)
    x, y = digits()
    with watched(net) as right, torch.no_grad():
        net(x)
    with watched(net) as wrong, torch.no_grad():
        net(1 - x)
    assert len(right) == 3 and sum(wrong) > 5 * sum(right)
    plain = trained(Plain)
    assert drift(plain, x, y) < 2 < drift(plain, x / 2, y)
    assert all(p.grad is None for p in plain.parameters())
