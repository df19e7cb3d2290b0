"""Bare state dicts: matched by names and shapes, whatever stands around them; what differs is told."""

from __future__ import annotations

from collections import OrderedDict
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from ti_core.architectures import ARCHITECTURES
from ti_core.architectures.lenet import LeNet5
from ti_core.errors import ModelFileError, RefusedFileError, UnknownArchitectureError
from ti_core.loading import describe_file, load_model
from ti_core.reconstruction.model import Model

Weights = dict[str, torch.Tensor]


def opened(content: Any, tmp_path: Path, **options: Any) -> Model:
    path = tmp_path / "model.pt"
    torch.save(content, path)
    return load_model(path, **options)


@pytest.fixture
def weights(lenet: LeNet5) -> Weights:
    return dict(lenet.state_dict())


WRAPPED = {
    "bare": lambda w: w,
    "ordered, with version notes": lambda w: OrderedDict(w),
    "state_dict": lambda w: {"epoch": 3, "state_dict": w, "optimizer": {"lr": 0.1, "betas": (0.9, 0.999)}},
    "model": lambda w: {"model": w, "acc": 0.98},
    "net in a checkpoint": lambda w: {"checkpoint": 1, "net": {"state_dict": w}},
    "model_state_dict": lambda w: {"model_state_dict": w},
    "DataParallel": lambda w: {f"module.{k}": v for k, v in w.items()},
    "a field of a larger module": lambda w: {f"model.{k}": v for k, v in w.items()},
    "compiled and parallel": lambda w: {f"module._orig_mod.{k}": v for k, v in w.items()},
    "a backbone in a net": lambda w: {"state_dict": {f"net.backbone.{k}": v for k, v in w.items()}},
    "numbers beside tensors": lambda w: {**w, "epoch": 4},
}


@pytest.mark.parametrize("wrap", WRAPPED.values(), ids=list(WRAPPED))
def test_wrappers_and_prefixes_are_understood(
    wrap: Any, weights: Weights, tmp_path: Path, lenet: LeNet5, images: torch.Tensor
) -> None:
    model = opened(wrap(weights), tmp_path)
    assert (model.architecture, model.format, model.file) == ("lenet5", "torch state dict", "model.pt")
    assert (model.classes, model.input_shape, model.parameters) == (10, (1, 28, 28), 61_706)
    torch.testing.assert_close(model.module(images), lenet(images), rtol=0, atol=0)
    assert not model.module.training
    assert not any(p.requires_grad for p in model.module.parameters())


def test_a_full_training_checkpoint(tmp_path: Path, images: torch.Tensor) -> None:
    net = LeNet5()
    optimizer = torch.optim.Adam(net.parameters())
    net(images).sum().backward()
    optimizer.step()
    schedule = torch.optim.lr_scheduler.MultiStepLR(optimizer, [10, 20])
    content = {
        "model": net.state_dict(),
        "optimizer": optimizer.state_dict(),
        "epoch": 12,
        "note": "x" * 5000,
    }
    model = opened(content, tmp_path)
    torch.testing.assert_close(model.module(images), net(images))
    assert model.metadata["epoch"] == "12" and len(model.metadata["note"]) < 600
    model = opened({**content, "schedule": schedule.state_dict()}, tmp_path)
    torch.testing.assert_close(model.module(images), net(images))
    assert "milestones: Counter({10: 1, 20: 1})" in model.metadata["schedule"]


@pytest.mark.parametrize("name", ["lenet5", "small_resnet", "convnet", "mlp", "challenge_mnist"])
def test_options_without_a_trace_become_variants(name: str, tmp_path: Path, images: torch.Tensor) -> None:
    cls = ARCHITECTURES[name]
    net = cls(**cls.VARIANTS[0]).eval()
    model = opened(net.state_dict(), tmp_path)
    torch.testing.assert_close(model.module(images), net(images))
    assert len(model.variants) == len(cls.VARIANTS) - 1
    for variant in cls.VARIANTS[1:]:
        expected = cls(**variant).eval()
        expected.load_state_dict(net.state_dict())
        label = ", ".join(f"{key}={value}" for key, value in variant.items())
        torch.testing.assert_close(model.variants[label]()(images), expected(images))


def test_a_variant_has_weights_of_its_own(weights: Weights, tmp_path: Path, images: torch.Tensor) -> None:
    model = opened(weights, tmp_path)
    before = model.module(images)
    other = next(iter(model.variants.values()))()
    with torch.no_grad():
        for parameter in other.parameters():
            parameter.zero_()
    torch.testing.assert_close(model.module(images), before, rtol=0, atol=0)


def test_the_callers_random_state_is_left_as_found(weights: Weights, tmp_path: Path) -> None:
    state, allowed = torch.get_rng_state(), set(torch.serialization.get_safe_globals())
    model = opened(weights, tmp_path)
    next(iter(model.variants.values()))()
    assert torch.equal(torch.get_rng_state(), state)
    assert set(torch.serialization.get_safe_globals()) == allowed


def test_allowed_names_of_the_caller_are_left_as_found(tmp_path: Path) -> None:
    torch.save(nn.Sequential(nn.Flatten(), nn.Linear(4, 2)), tmp_path / "m.pt")
    with torch.serialization.safe_globals([Path]):
        allowed = set(torch.serialization.get_safe_globals())
        load_model(tmp_path / "m.pt")
        assert set(torch.serialization.get_safe_globals()) == allowed


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float64])
def test_other_precisions_become_float32(dtype: torch.dtype, weights: Weights, tmp_path: Path) -> None:
    model = opened({k: v.to(dtype) for k, v in weights.items()}, tmp_path)
    for name, tensor in model.module.state_dict().items():
        assert tensor.dtype == torch.float32
        torch.testing.assert_close(tensor, weights[name].to(dtype).float(), rtol=0, atol=0)


def test_batch_counters_may_be_absent(tmp_path: Path) -> None:
    state = ARCHITECTURES["challenge_mnist"]().state_dict()
    model = opened({k: v for k, v in state.items() if "num_batches" not in k}, tmp_path)
    assert model.module.state_dict().keys() == state.keys()


def test_views_of_one_storage_are_told_apart(weights: Weights, tmp_path: Path, images: torch.Tensor) -> None:
    flat = torch.cat([v.flatten() for v in weights.values()])
    parts = flat.split([v.numel() for v in weights.values()])
    views = {k: part.view(v.shape) for (k, v), part in zip(weights.items(), parts, strict=True)}
    model = opened(views, tmp_path)
    for name, tensor in model.module.state_dict().items():
        assert torch.equal(tensor, weights[name])


@pytest.mark.parametrize("value", [float("nan"), float("inf"), -float("inf")])
def test_nan_is_told_with_its_tensor(value: float, weights: Weights, tmp_path: Path) -> None:
    spoiled = weights["fc2.bias"].clone()
    spoiled[3] = value
    with pytest.raises(ModelFileError, match=r"fc2\.bias holds NaN or infinite") as caught:
        opened({**weights, "fc2.bias": spoiled}, tmp_path)
    assert not isinstance(caught.value, RefusedFileError)


def test_what_overflows_in_float32_is_infinite(weights: Weights, tmp_path: Path) -> None:
    big = torch.full((84,), 1e300, dtype=torch.float64)
    with pytest.raises(ModelFileError, match="infinite"):
        opened({**weights, "fc2.bias": big}, tmp_path)


def test_quantised_weights_are_told(weights: Weights, tmp_path: Path) -> None:
    with pytest.raises(ModelFileError, match=r"fc2\.bias is stored as int8"):
        opened({**weights, "fc2.bias": torch.ones(84, dtype=torch.int8)}, tmp_path)


def test_the_closest_architecture_and_what_differs_are_named(weights: Weights, tmp_path: Path) -> None:
    changed = {k: v for k, v in weights.items() if k != "fc1.bias"} | {
        "gate": torch.ones(2),
        "fc3.weight": torch.ones(10, 80),
    }
    with pytest.raises(UnknownArchitectureError) as caught:
        opened(changed, tmp_path)
    message = str(caught.value)
    assert "lenet5 (lacks fc1.bias; also has gate; differs in fc3.weight (10, 80) for (10, 84))" in message
    assert "torch.onnx.export(" in message


def test_a_stranger_is_described_by_its_tensors(tmp_path: Path) -> None:
    with pytest.raises(UnknownArchitectureError, match=r"its tensors are (alpha|beta)"):
        opened({"alpha": torch.ones(2), "beta": torch.ones(3)}, tmp_path)


def test_an_architecture_can_be_demanded(weights: Weights, tmp_path: Path) -> None:
    assert opened(weights, tmp_path, architecture="lenet5").architecture == "lenet5"
    with pytest.raises(UnknownArchitectureError, match="does not fit the architecture mlp"):
        opened(weights, tmp_path, architecture="mlp")
    with pytest.raises(ModelFileError, match="no registered architecture 'lenet6'; there are"):
        opened(weights, tmp_path, architecture="lenet6")


@pytest.mark.parametrize(
    "content",
    [
        {},
        {"epoch": 3},
        [1, 2],
        5,
        "text",
        None,
        torch.ones(3),
        {"state_dict": {"epoch": 1}},
        {"a": {"b": torch.ones(2)}},
    ],
)
def test_what_is_no_state_dict_is_told(content: Any, tmp_path: Path) -> None:
    with pytest.raises(ModelFileError) as caught:
        opened(content, tmp_path)
    assert not isinstance(caught.value, RefusedFileError)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    "key", ["stages.100000000.0.weight", "stages.99999.0.weight", "x" * 400, "layers.²", "a.١٢٣"]
)
def test_names_that_would_become_gigantic_networks(key: str, weights: Weights, tmp_path: Path) -> None:
    with pytest.raises(ModelFileError):
        opened(
            {
                **weights,
                "stages.0.0.weight": torch.ones(2, 1, 3, 3),
                "head.0.weight": torch.ones(2, 2),
                key: torch.ones(1),
            },
            tmp_path,
        )


@pytest.mark.parametrize(
    ("key", "limit"), [("x" * 301, "1 to 300 characters"), ("layers.10000.weight", "from 0 to 9999")]
)
def test_the_error_for_a_name_gives_the_limit(key: str, limit: str, weights: Weights, tmp_path: Path) -> None:
    with pytest.raises(ModelFileError, match=limit):
        opened({**weights, key: torch.ones(1)}, tmp_path)


def test_an_expanded_view_of_little_memory_is_refused(tmp_path: Path) -> None:
    with pytest.raises(RefusedFileError, match="reaches beyond its storage"):
        opened({"weight": torch.ones(1).expand(10**6)}, tmp_path)


def test_sparse_and_quantised_tensors_are_refused_by_name(tmp_path: Path) -> None:
    with pytest.raises(RefusedFileError, match="_rebuild_sparse_tensor"):
        opened({"w": torch.eye(3).to_sparse()}, tmp_path)


def test_the_report_agrees(weights: Weights, tmp_path: Path) -> None:
    opened({"state_dict": weights}, tmp_path)
    report = describe_file(tmp_path / "model.pt")
    assert report.opens
    assert {t.name: (t.shape, t.dtype) for t in report.tensors} == {
        f"state_dict.{k}": (tuple(v.shape), "float32") for k, v in weights.items()
    }
