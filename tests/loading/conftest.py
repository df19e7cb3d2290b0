from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import torch

from tests.loading import published
from ti_core.architectures.lenet import LeNet5


@pytest.fixture
def canary(tmp_path: Path) -> Iterator[Path]:
    """A file that exists only if something ran; the test fails then, whatever else it asserts."""
    path = tmp_path / "canary"
    yield path
    assert not path.exists(), "something in the file ran"


@pytest.fixture
def write(tmp_path: Path) -> Callable[..., Path]:
    def write(data: bytes, name: str = "model.pt") -> Path:
        path = tmp_path / name
        path.write_bytes(data)
        return path

    return write


@pytest.fixture(scope="session")
def lenet() -> LeNet5:
    """A LeNet-5 whose batch of weights is drawn once."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        return LeNet5().requires_grad_(False).eval()


@pytest.fixture(scope="session")
def images() -> torch.Tensor:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(1)
        return torch.rand(3, 1, 28, 28)


@pytest.fixture
def publish_vit(monkeypatch: pytest.MonkeyPatch) -> None:
    """The ViT of the challenge is saved under the names of its library."""
    published.publish(
        monkeypatch,
        vit_pytorch__simple_vit__SimpleViT=published.ViT,
        vit_pytorch__simple_vit__Transformer=published.ViTTransformer,
        vit_pytorch__simple_vit__Attention=published.ViTAttention,
        vit_pytorch__simple_vit__FeedForward=published.ViTFeedForward,
        einops__layers__torch__Rearrange=published.Rearrange,
        einops__einops__TransformRecipe=published.Recipe,
    )
