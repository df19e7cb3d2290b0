"""A first pass is measured on a copy, leaves everything as it was, and is told before the work begins."""

from __future__ import annotations

import time

import pytest
import torch
from torch import nn

from ti_core.classifier.first_pass import IMAGES, Ahead, FirstPass, Gauge, measure
from ti_core.classifier.understand import understand
from ti_core.errors import TooLongError
from ti_core.reconstruction.model import Model

IMAGES_SHOWN = torch.rand(200, 1, 8, 8, generator=torch.Generator().manual_seed(0))
LABELS = torch.arange(200) % 3


class Slow(nn.Module):
    """A linear network that takes a given time an image, and draws a random number."""

    def __init__(self, seconds: float = 0.0, backward: bool = True) -> None:
        super().__init__()
        self.linear = nn.Linear(64, 3)
        self.seconds, self.backward, self.batches = seconds, backward, []

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        self.batches.append(len(x))
        time.sleep(self.seconds * len(x))
        torch.rand(1)
        z = self.linear(x.flatten(1))
        return z if self.backward else z.detach()


class Told(Gauge):
    """Keeps what it is told, and raises an error if one pass takes longer than it may."""

    rounded = False

    def __init__(self, most: float = float("inf")) -> None:
        self.most, self.begun, self.found, self.search = most, 0, [], (0, 0.0)

    def begin(self) -> None:
        self.begun += 1

    def measured(self, first: FirstPass, ahead: Ahead) -> None:
        self.found.append((first, ahead))
        if first.forward > self.most:
            raise TooLongError("Too long.")

    def searched(self, images: int, seconds: float) -> None:
        self.search = images, seconds


def model(network: nn.Module) -> Model:
    return Model(network.eval(), "m.onnx", "0" * 64, "onnx", "m", 0, 3, (1, 8, 8))


def test_a_pass_takes_its_time_and_changes_nothing() -> None:
    network, state = Slow(0.004).train(), torch.random.get_rng_state()
    before = {k: v.clone() for k, v in network.state_dict().items()}
    first = measure(network, IMAGES_SHOWN, 0.0)
    assert 0.004 <= first.forward < 0.1 and 0.004 <= first.both < 0.1
    assert network.training and not network.batches
    assert torch.equal(torch.random.get_rng_state(), state)
    for name, value in network.state_dict().items():
        assert torch.equal(value, before[name]) and network.get_parameter(name).requires_grad
        assert network.get_parameter(name).grad is None


def test_a_slow_network_is_measured_on_one_image() -> None:
    start = time.perf_counter()
    assert measure(Slow(0.2), IMAGES_SHOWN, 0.2).forward >= 0.2
    assert time.perf_counter() - start < 0.2 * IMAGES


def test_without_a_gradient_the_guess_stands() -> None:
    assert measure(Slow(backward=False), IMAGES_SHOWN, 0.5) == FirstPass(0.5, 1.5)


def test_a_network_is_told_before_the_search_and_found_the_same() -> None:
    network, told, state = Slow(), Told(), torch.random.get_rng_state()
    found = understand(model(network), IMAGES_SHOWN, LABELS, 3, gauge=told)
    ((first, ahead),) = told.found
    assert first.forward > 0 and (ahead.classes, ahead.shape, ahead.values) == (3, (1, 8, 8), 64)
    assert told.search[0] == sum(network.batches) - 9 and told.search[1] > 0
    # At most so many images are shown to it in the search.
    assert sum(network.batches) <= ahead.images + 9
    torch.random.set_rng_state(state)
    again = understand(model(network), IMAGES_SHOWN, LABELS, 3)
    assert again.tried == found.tried and again.normalisation == found.normalisation


def test_a_slow_network_is_refused_after_one_image() -> None:
    network, told = Slow(0.3), Told(most=0.25)
    with pytest.raises(TooLongError):
        understand(model(network), IMAGES_SHOWN, LABELS, 3, gauge=told)
    assert network.batches == [1, 1] and told.begun == 1


def test_a_first_pass_that_takes_long_is_no_slow_network() -> None:
    class Cold(Slow):
        """Takes half a second for its first image ever."""

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            self.seconds = 0.0 if self.batches else 0.5
            return super().forward(x)

    told = Told(most=0.1)
    understand(model(Cold()), IMAGES_SHOWN, LABELS, 3, gauge=told)
    ((first, _),) = told.found
    assert first.forward < 0.1
