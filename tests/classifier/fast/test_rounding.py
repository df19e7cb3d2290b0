"""Gradients in bfloat16: alike, only where they are quicker, and never in what is measured."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from ti_core.classifier.fast import rounding
from ti_core.classifier.fast.copying import fast_copy
from ti_core.classifier.fast.rounding import ALIKE, Bfloat16, for_gradients, has_bfloat16

IMAGES = torch.rand(6, 3, 16, 16, generator=torch.Generator().manual_seed(0))


@pytest.fixture(autouse=True)
def any_processor(monkeypatch: pytest.MonkeyPatch) -> None:
    """As on a processor that is quick at bfloat16; others emulate it, or take longer."""
    monkeypatch.setattr(rounding, "has_bfloat16", lambda: True)
    monkeypatch.setattr(rounding, "QUICKER", 1e9)


def network(seed: int = 0) -> nn.Module:
    torch.manual_seed(seed)
    layers = nn.Sequential(
        nn.Conv2d(3, 8, 3), nn.BatchNorm2d(8), nn.ReLU(), nn.Conv2d(8, 8, 3, 2), nn.ReLU(), nn.Flatten()
    )
    return nn.Sequential(layers, nn.Linear(8 * 36, 5)).eval().requires_grad_(False)


def gradient(of: nn.Module) -> torch.Tensor:
    x = IMAGES.clone().requires_grad_(True)
    with torch.enable_grad():
        (found,) = torch.autograd.grad(of(x)[:, 1].sum(), x)
    return found


def test_gradients_are_rounded_and_scores_are_not() -> None:
    whole = network()
    fast = fast_copy(whole, IMAGES, rounded=True)
    exact, rounded = gradient(whole), gradient(fast)
    assert rounded.dtype == torch.float32 and not torch.allclose(rounded, exact, rtol=1e-6, atol=1e-9)
    cosine = torch.cosine_similarity(rounded.flatten(), exact.flatten(), dim=0)
    assert cosine > 0.999
    with torch.no_grad():
        torch.testing.assert_close(fast(IMAGES), whole(IMAGES))


def test_without_instructions_for_it_nothing_is_rounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rounding, "has_bfloat16", lambda: False)
    whole = network()
    assert for_gradients(whole, IMAGES) is whole
    torch.testing.assert_close(gradient(fast_copy(whole, IMAGES, rounded=True)), gradient(whole))


@pytest.mark.parametrize(
    ("single", "half", "taken"), [(10.0, 5.0, True), (10.0, 9.5, False), (10.0, 15.0, False)]
)
def test_the_quicker_precision_is_taken(
    monkeypatch: pytest.MonkeyPatch, single: float, half: float, taken: bool
) -> None:
    monkeypatch.setattr(rounding, "QUICKER", 0.9)
    whole, clock = network(), [0.0]
    exact = rounding._gradient

    def timed(of: nn.Module, images: torch.Tensor) -> torch.Tensor:
        # The first gradient in each precision takes long, since memory is laid out for it.
        first = len(images) == 2
        clock[0] += 100.0 if first else half if isinstance(of, Bfloat16) else single
        return exact(of, images)

    monkeypatch.setattr(rounding, "_gradient", timed)
    monkeypatch.setattr(rounding.time, "process_time", lambda: clock[0])
    assert isinstance(for_gradients(whole, IMAGES), Bfloat16) == taken


class Cancelling(nn.Module):
    """Scores that are small differences of large numbers: three digits of these say nothing of them."""

    def __init__(self) -> None:
        super().__init__()
        self.large = nn.Linear(768, 5)
        generator = torch.Generator().manual_seed(1)
        self.large.weight.data = 1000.0 * torch.rand(5, 768, generator=generator)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        z = self.large(x.flatten(1)).float()
        return torch.sin(z)


class Typed(nn.Module):
    """A network that takes no other type of number."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        y = nn.functional.conv2d(x, torch.ones(5, 3, 16, 16))
        if y.dtype != torch.float32:
            raise RuntimeError("expected scalar type Float but found BFloat16")
        return y.flatten(1)


@pytest.mark.parametrize("other", [Cancelling(), Typed()])
def test_a_network_that_does_not_bear_it_stays_as_it_is(other: nn.Module) -> None:
    whole = other.eval().requires_grad_(False)
    assert for_gradients(whole, IMAGES) is whole


def test_broken_scores_stay_in_single_precision() -> None:
    broken = network()
    broken[1].weight.data[:] = float("nan")  # type: ignore[index]
    assert for_gradients(broken, IMAGES) is broken
    assert torch.isnan(fast_copy(broken, IMAGES, rounded=True)(IMAGES)).all()


def test_the_processor_is_asked() -> None:
    known = torch.cpu.get_capabilities()
    assert has_bfloat16() == any(known.get(name, False) for name in ("avx512_bf16", "amx_bf16", "bf16"))
    assert 0.5 < ALIKE < 1 and isinstance(for_gradients(network(), IMAGES), Bfloat16)
