"""Safetensors: limits before anything is read, hints that the shapes must bear out."""

from __future__ import annotations

import json
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save, save_file

from ti_core.architectures import ARCHITECTURES
from ti_core.architectures.lenet import LeNet5
from ti_core.errors import ModelFileError, RefusedFileError
from ti_core.loading import describe_file, load_model

Write = Callable[..., Path]


def file(header: Any, body: bytes = b"", length: int | None = None) -> bytes:
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    return struct.pack("<Q", len(text) if length is None else length) + text + body


def entry(shape: list[int], begin: int, end: int, dtype: Any = "F32") -> dict[str, Any]:
    return {"dtype": dtype, "shape": shape, "data_offsets": [begin, end]}


def test_it_opens_as_it_was_saved(tmp_path: Path, lenet: LeNet5, images: torch.Tensor) -> None:
    save_file(lenet.state_dict(), tmp_path / "m.safetensors", {"author": "someone"})
    model = load_model(tmp_path / "m.safetensors")
    assert (model.format, model.architecture, model.declared) == ("safetensors", "lenet5", None)
    assert model.metadata == {"author": "someone"}
    torch.testing.assert_close(model.module(images), lenet(images), rtol=0, atol=0)


def test_half_precision_becomes_float(tmp_path: Path, lenet: LeNet5) -> None:
    save_file({k: v.half() for k, v in lenet.state_dict().items()}, tmp_path / "m")
    model = load_model(tmp_path / "m")
    assert all(
        torch.equal(v, lenet.state_dict()[k].half().float()) for k, v in model.module.state_dict().items()
    )


def test_a_hint_moves_a_variant_to_the_front(tmp_path: Path, lenet: LeNet5, images: torch.Tensor) -> None:
    options = {"activation": "tanh", "pool": "avg", "classes": 99, "channels": [1, 1]}
    metadata = {"architecture": "lenet5", "options": json.dumps(options), "normalisation": "mnist"}
    save_file(lenet.state_dict(), tmp_path / "m", metadata)
    model = load_model(tmp_path / "m")
    expected = LeNet5(activation="tanh", pool="avg").eval()
    expected.load_state_dict(lenet.state_dict())
    torch.testing.assert_close(model.module(images), expected(images))
    assert model.declared == "mnist" and model.classes == 10
    assert "activation=relu, pool=max" in model.variants


@pytest.mark.parametrize(
    "metadata",
    [
        {"architecture": "mlp"},
        {"architecture": "no such thing", "options": "{}"},
        {"options": "not JSON"},
        {"options": "[" * 100_000},
        {"options": '{"activation": "os.system"}'},
        {"options": "[1, 2]"},
        {"options": '{"activation": ["relu"]}'},
    ],
)
def test_a_false_hint_changes_nothing(
    metadata: dict[str, str], tmp_path: Path, lenet: LeNet5, images: torch.Tensor
) -> None:
    save_file(lenet.state_dict(), tmp_path / "m", metadata)
    model = load_model(tmp_path / "m")
    assert model.architecture == "lenet5"
    torch.testing.assert_close(model.module(images), lenet(images))


def test_free_texts_are_bounded(tmp_path: Path, lenet: LeNet5) -> None:
    save_file(lenet.state_dict(), tmp_path / "m", {f"key {i}": "\x1b[2J" * 900 for i in range(200)})
    metadata = load_model(tmp_path / "m").metadata
    assert len(metadata) <= 64
    assert all(len(v) < 4000 and "\x1b" not in v for v in metadata.values())


BROKEN: dict[str, tuple[bytes, type[ModelFileError], str]] = {
    "a header of 2 GB": (
        file(b"{" + b" " * 99, length=2 << 30),
        RefusedFileError,
        "declares 2147483648 bytes",
    ),
    "a header of 32 MB": (file(b"{" + b" " * 99, length=32 << 20), RefusedFileError, "the limit is"),
    "a header beyond the file": (file(b"{}", length=500), ModelFileError, "truncated"),
    "a header that is no JSON": (file(b"{not json}"), ModelFileError, "not valid JSON"),
    "a header nested too deep": (file(b'{"a":' * 50_000), ModelFileError, "not valid JSON"),
    "a header with bad text": (file(b'{"\xff": 1}'), ModelFileError, "not valid JSON"),
    "a name twice": (file(b'{"a": 1, "a": 2}'), ModelFileError, "not valid JSON"),
    "a tensor of 4 TB": (file({"a": entry([1 << 40], 0, 1 << 42)}), ModelFileError, "truncated or damaged"),
    "a tensor beyond the file": (
        file({"a": entry([4], 0, 16)}, bytes(8)),
        ModelFileError,
        "truncated or damaged",
    ),
    "a size that does not fit": (
        file({"a": entry([3], 0, 16)}, bytes(16)),
        ModelFileError,
        "truncated or damaged",
    ),
    "negative sizes": (file({"a": entry([-1], 0, -4)}, bytes(16)), ModelFileError, "truncated or damaged"),
    "sizes as text": (file({"a": entry(["4"], 0, 16)}, bytes(16)), ModelFileError, "truncated or damaged"),
    "a type that is a list": (file({"a": entry([1], 0, 4, ["F32"])}, bytes(4)), ModelFileError, "stored as"),
    "an entry that is a number": (file({"a": 5}), ModelFileError, "damaged at the tensor a"),
    "quantised": (file({"a": entry([4], 0, 4, "I8")}, bytes(4)), ModelFileError, "stored as I8"),
    "a hole before the first tensor": (
        file({"a": entry([1], 4, 8)}, bytes(8)),
        ModelFileError,
        "4 bytes before the tensor a belong to no tensor",
    ),
    "a hole between tensors": (
        file({"b": entry([1], 12, 16), "a": entry([1], 0, 4)}, bytes(16)),
        ModelFileError,
        "8 bytes before the tensor b belong to no tensor",
    ),
    "two tensors in one place": (
        file({"a": entry([1], 0, 4), "b": entry([1], 0, 4)}, bytes(4)),
        ModelFileError,
        "the tensor a and the tensor b overlap",
    ),
    "two tensors that overlap": (
        file({"a": entry([2], 0, 8), "b": entry([2], 4, 12)}, bytes(12)),
        ModelFileError,
        "the tensor a and the tensor b overlap",
    ),
    "bytes after the last tensor": (
        file({"a": entry([1], 0, 4)}, bytes(4) + b"payload"),
        ModelFileError,
        "7 bytes after the tensor a belong to no tensor",
    ),
    "bytes and no tensor": (file({}, b"payload"), ModelFileError, "7 bytes after its header belong"),
    "texts that are none": (
        file({"__metadata__": {"a": 1}, "b": entry([1], 0, 4)}, bytes(4)),
        ModelFileError,
        "does not follow the format",
    ),
    "a number that is none": (
        file(b'{"a": {"dtype": "F32", "shape": [1], "data_offsets": [0, 4], "b": NaN}}', bytes(4)),
        ModelFileError,
        "not valid JSON",
    ),
    "no tensors": (file({}), ModelFileError, "no state dict"),
}


@pytest.mark.parametrize(("data", "kind", "says"), BROKEN.values(), ids=list(BROKEN))
def test_a_broken_header_is_told(data: bytes, kind: type[ModelFileError], says: str, write: Write) -> None:
    path = write(data, "model.safetensors")
    with pytest.raises(kind, match=says) as caught:
        load_model(path)
    assert type(caught.value) is kind
    report = describe_file(path)
    assert report.is_safe is (kind is ModelFileError)
    # Sound files that hold no model are told apart from damaged ones.
    assert report.opens is (says == "no state dict")


def test_nan_is_told_with_its_tensor(write: Write, lenet: LeNet5) -> None:
    state = {**lenet.state_dict(), "conv1.bias": torch.full((6,), torch.nan)}
    with pytest.raises(ModelFileError, match=r"conv1\.bias holds NaN"):
        load_model(write(save(state)))


def test_the_report_lists_the_tensors(write: Write) -> None:
    state = ARCHITECTURES["mlp"](hidden=(4,)).state_dict()
    report = describe_file(write(save(state)))
    assert report.format == "safetensors" and report.opens
    assert {t.name: t.shape for t in report.tensors} == {k: tuple(v.shape) for k, v in state.items()}
