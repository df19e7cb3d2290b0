"""Quantised tensors: the real numbers that torch itself makes of them, and what no quantised tensor can be."""

from __future__ import annotations

import copy
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from tests.loading import payloads as p
from ti_core.architectures.lenet import LeNet5
from ti_core.errors import ModelFileError, RefusedFileError
from ti_core.loading import describe_file, load_model
from ti_core.loading.pickles.torch_file import open_checkpoint

Write = Callable[..., Path]
pytestmark = pytest.mark.filterwarnings("ignore")


def quantised(value: torch.Tensor, dtype: torch.dtype, axis: int | None) -> torch.Tensor:
    if axis is None:
        return torch.quantize_per_tensor(value, 0.013, 3, dtype)
    places = value.shape[axis]
    scales, zeros = torch.linspace(0.01, 0.05, places).double(), torch.arange(places) % 5
    return torch.quantize_per_channel(value, scales, zeros, axis, dtype)


@pytest.mark.parametrize("dtype", [torch.qint8, torch.quint8, torch.qint32])
@pytest.mark.parametrize("axis", [None, 0, 1])
@pytest.mark.parametrize("zipped", [True, False])
def test_numbers_are_those_of_torch(
    dtype: torch.dtype, axis: int | None, zipped: bool, tmp_path: Path
) -> None:
    value = torch.randn(6, 4, generator=torch.Generator().manual_seed(3))
    stored = quantised(value, dtype, axis)
    torch.save({"w.weight": stored}, tmp_path / "m.pt", _use_new_zipfile_serialization=zipped)
    found = open_checkpoint((tmp_path / "m.pt").read_bytes())
    torch.testing.assert_close(found.content["w.weight"], stored.dequantize(), rtol=1e-6, atol=1e-7)
    assert found.remarks == (
        "1 of its tensors is quantised and dequantised to float32. The network is computed in float32, without the"
        " rounding of its activations.",
    )
    told = describe_file(tmp_path / "m.pt").tensors[0]
    assert (told.shape, told.dtype) == ((6, 4), str(dtype)[6:])


def test_packed_layers_are_named_as_plain_ones(lenet: LeNet5, images: torch.Tensor, tmp_path: Path) -> None:
    """A dynamically quantised network packs the weight and bias of a linear layer, beside scales of its activations."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.backends.quantized.engine = "fbgemm"
        net = torch.ao.quantization.quantize_dynamic(copy.deepcopy(lenet), {nn.Linear})
    torch.save({"state_dict": net.state_dict()}, tmp_path / "m.pt")
    model = load_model(tmp_path / "m.pt")
    assert model.architecture == "lenet5" and "3 of its tensors are quantised" in model.remarks[0]
    torch.testing.assert_close(model.module(images), lenet(images), rtol=0, atol=0.02)
    for name in ("fc1", "fc2", "fc3"):
        packed = net.state_dict()[f"{name}._packed_params._packed_params"][0]
        torch.testing.assert_close(model.module.state_dict()[f"{name}.weight"], packed.dequantize())


def call(params: bytes, kind: str = "QInt8Storage", count: int = 4) -> dict[str, Any]:
    made = p.called(
        "torch._utils",
        "_rebuild_qtensor",
        p.storage(kind=kind, count=count),
        p.number(0),
        p.args(p.number(4)),
        p.args(p.number(1)),
        params,
        b"\x89",
        p.empty_dictionary(),
    )
    return {"a.weight": made}


def numbers(count: int) -> bytes:
    return b"](" + p.number(1) * count + b"e"


SCHEME, CHANNELS = p.name("torch", "per_tensor_affine"), p.name("torch", "per_channel_affine")
WRONG = {
    "a type of real numbers": (
        call(p.args(SCHEME, p.number(1), p.number(0)), "FloatStorage"),
        "unknown type",
    ),
    "an unknown scheme": (
        call(p.args(p.name("torch", "float32"), p.number(1), p.number(0))),
        "quantised in a way",
    ),
    "too few scales": (call(p.args(CHANNELS, numbers(3), numbers(4), p.number(0))), "quantised in a way"),
    "an axis beyond the shape": (
        call(p.args(CHANNELS, numbers(4), numbers(4), p.number(1))),
        "quantised in a way",
    ),
    "an infinite scale": (call(p.args(SCHEME, b"G\x7f\xf0" + bytes(6), p.number(0))), "quantised in a way"),
    "beyond the storage": (
        call(p.args(SCHEME, p.number(1), p.number(0)), count=3),
        "reaches beyond its storage",
    ),
    "packed half bytes": (
        call(p.args(SCHEME, p.number(1), p.number(0)), "QUInt4x2Storage"),
        "QUInt4x2Storage",
    ),
}


@pytest.mark.parametrize(("items", "says"), WRONG.values(), ids=list(WRONG))
def test_what_no_quantised_tensor_can_be_is_refused(items: dict[str, bytes], says: str, write: Write) -> None:
    path = write(p.checkpoint(p.program(p.dictionary(items)), {"0": bytes(16)}))
    assert not describe_file(path).is_safe
    with pytest.raises(RefusedFileError, match=says):
        load_model(path)


def test_a_scale_among_many_that_is_not_finite(write: Write) -> None:
    scales = b"](" + p.number(1) * 3 + b"G\x7f\xf8" + bytes(6) + b"e"
    path = write(
        p.checkpoint(
            p.program(p.dictionary(call(p.args(CHANNELS, scales, numbers(4), p.number(0))))), {"0": bytes(16)}
        )
    )
    with pytest.raises(ModelFileError, match="not finite"):
        load_model(path)


def test_a_quantised_storage_without_steps_is_refused(write: Write) -> None:
    plain = p.tensor().replace(b"FloatStorage", b"QInt8Storage")
    path = write(p.checkpoint(p.program(p.dictionary({"w": plain})), {"0": bytes(16)}))
    with pytest.raises(RefusedFileError, match="numbers of an unknown type"):
        load_model(path)
