"""Damaged files of every kind: each opens as an equal model, or is refused; nothing else ever happens."""

from __future__ import annotations

import io
import json
import random
import tempfile
import zipfile
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import safetensors
import torch
from onnx import TensorProto, helper, numpy_helper
from safetensors.torch import save
from torch import nn

from tests.damage import MANY, damaged
from tests.loading.payloads import checkpoint
from ti_core.architectures.mlp import MLP
from ti_core.errors import ModelFileError
from ti_core.loading import describe_file, load_model
from ti_core.worker import Job

Write = Callable[..., Path]


def network() -> MLP:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        return MLP(size=4, hidden=(5,), classes=3).eval()


def saved(content: object) -> bytes:
    out = io.BytesIO()
    torch.save(content, out)
    return out.getvalue()


def old(content: object) -> bytes:
    """The same in the format of torch before 1.6."""
    out = io.BytesIO()
    torch.save(content, out, _use_new_zipfile_serialization=False)
    return out.getvalue()


def graph() -> bytes:
    """A convolution and a linear layer."""
    rng = np.random.default_rng(0)
    shapes = {"w": (3, 1, 3, 3), "m": (48, 3)}
    weights = [numpy_helper.from_array(rng.normal(size=s).astype(np.float32), n) for n, s in shapes.items()]
    nodes = [
        helper.make_node("Conv", ["x", "w"], ["a"], pads=[1, 1, 1, 1]),
        helper.make_node("Relu", ["a"], ["b"]),
        helper.make_node("Flatten", ["b"], ["c"]),
        helper.make_node("Gemm", ["c", "m"], ["y"]),
    ]
    x = helper.make_tensor_value_info("x", TensorProto.FLOAT, ["n", 1, 4, 4])
    y = helper.make_tensor_value_info("y", TensorProto.FLOAT, ["n", 3])
    made = helper.make_graph(nodes, "g", [x], [y], weights)
    return bytes(helper.make_model(made, producer_name="pytorch").SerializeToString())


NET = network()
VALID = {
    "state dict": saved(NET.state_dict()),
    "module": saved(NET),
    "layers": saved(NET.layers),
    "safetensors": save(NET.state_dict()),
    "onnx": graph(),
    "legacy state dict": old(NET.state_dict()),
    "legacy module": old(NET),
}


def outcome(path: Path) -> nn.Module | None:
    """The network, or None where the file was refused as it should be."""
    try:
        module = load_model(path).module
    except ModelFileError as error:
        assert str(error) and len(str(error)) < 1500
        return None
    # What opens must have been reported as fit to be opened.
    assert describe_file(path).opens
    return module


@pytest.mark.parametrize("kind", ["state dict", "module", "layers"])
def test_a_damaged_archive_opens_as_an_equal_model_or_not_at_all(kind: str, write: Write) -> None:
    rng = random.Random(kind)
    weights = list(NET.parameters())
    for _ in range(60):
        module = outcome(write(damaged(VALID[kind], rng)))
        if module is not None:
            assert all(torch.equal(a, b) for a, b in zip(module.parameters(), weights, strict=True))


def test_a_damaged_safetensors_header_opens_as_an_equal_model_or_not_at_all(write: Write) -> None:
    data = VALID["safetensors"]
    end = 8 + int.from_bytes(data[:8], "little")
    rng = random.Random("header")
    expected = NET.state_dict()
    for _ in range(80):
        module = outcome(write(damaged(data[:end], rng) + data[end:], "m.safetensors"))
        if module is not None:
            # A header may be spelled otherwise and say the same; shapes and numbers may not differ.
            values = sorted(float(t.sum()) for t in module.state_dict().values())
            assert values == sorted(float(t.sum()) for t in expected.values())


ODD: tuple[Any, ...] = (
    -1,
    0,
    1,
    7,
    2**31,
    2**63,
    2**64,
    1e3,
    0.5,
    True,
    None,
    "4",
    "",
    [],
    {},
    [1, 2],
    "F16",
    "I8",
)


def wrong_header(header: dict[str, Any], rng: random.Random) -> dict[str, Any]:
    """A header that is JSON and says something else: one to three fields, places, names or texts are changed."""
    changed: dict[str, Any] = json.loads(json.dumps(header))
    for _ in range(rng.randint(1, 3)):
        name = rng.choice(sorted(changed))
        entry = changed[name]
        field = rng.choice(["dtype", "shape", "data_offsets"])
        match rng.randrange(8):
            case 0:
                changed[name] = rng.choice(ODD)
            case 1 if isinstance(entry, dict):
                entry[field] = rng.choice(ODD)
            case 2 if isinstance(entry, dict) and isinstance(entry.get(field), list) and entry[field]:
                entry[field][rng.randrange(len(entry[field]))] = rng.choice(ODD)
            case 3 if isinstance(entry, dict) and isinstance(entry.get("data_offsets"), list):
                step = rng.choice([-8, -4, -1, 1, 4, 8])
                entry["data_offsets"] = [n + step if type(n) is int else n for n in entry["data_offsets"]]
            case 4:
                del changed[name]
                changed[rng.choice(["", "__metadata__", f"{name}.0", "a" * 400, "\ud800", "9" * 9])] = entry
            case 5:
                changed[f"{name}.again"] = entry
            case 6 if len(changed) > 1:
                del changed[name]
            case 7:
                changed["__metadata__"] = rng.choice([*ODD, {"a": 1}, {"a": None}, {"format": "pt"}])
    return changed


@pytest.mark.parametrize("way", ["bytes", "fields", "body"])
def test_what_is_called_a_sound_safetensors_file_is_one(way: str, write: Write) -> None:
    """The file report and the importer agree on damage: neither opens what the library that reads tensors refuses."""
    data = VALID["safetensors"]
    end = 8 + int.from_bytes(data[:8], "little")
    header = json.loads(data[8:end])
    rng = random.Random(f"sound {way}")
    sound = broken = 0
    for _ in range(80):
        if way == "fields":
            text = json.dumps(wrong_header(header, rng)).encode()
            changed = len(text).to_bytes(8, "little") + text + data[end:]
        else:
            changed = (
                damaged(data[:end], rng) + data[end:]
                if way == "bytes"
                else data[:end] + damaged(data[end:], rng)
            )
        path = write(changed, "m.safetensors")
        outcome(path)
        if describe_file(path).opens:
            sound += 1
            assert len(safetensors.deserialize(changed)) == len(describe_file(path).tensors)
        else:
            broken += 1
            with pytest.raises(ModelFileError):
                load_model(path)
    assert broken > 20 and (sound > 0 or way == "bytes")


@pytest.mark.parametrize("kind", ["state dict", "module", "layers"])
def test_a_damaged_pickle_in_a_sound_archive_never_does_anything_else(kind: str, write: Write) -> None:
    """The checksum is made to fit again, so that every damage reaches the reader of the pickle."""
    with zipfile.ZipFile(io.BytesIO(VALID[kind])) as archive:
        pickle = archive.read("archive/data.pkl")
        storages = {n.rpartition("/")[2]: archive.read(n) for n in archive.namelist() if "/data/" in n}
    assert outcome(write(checkpoint(pickle, storages))) is not None
    rng = random.Random(kind)
    for _ in range(60):
        outcome(write(checkpoint(damaged(pickle, rng), storages)))


@pytest.mark.parametrize("kind", ["legacy state dict", "legacy module"])
def test_a_damaged_legacy_file_opens_with_finite_weights_or_not_at_all(kind: str, write: Write) -> None:
    """There is no checksum, so a changed weight cannot be told; its pickles are damaged as often as its numbers."""
    data = VALID[kind]
    head = data.rindex(b"e.") + 2
    rng = random.Random(kind)
    for case in range(80):
        module = outcome(
            write(
                damaged(data[:head], rng) + data[head:]
                if case % 2
                else data[:head] + damaged(data[head:], rng)
            )
        )
        assert module is None or equal(kind, module)


def test_noise_is_refused(write: Write) -> None:
    rng = random.Random(7)
    starts = [b"", b"PK\x03\x04", b"\x80\x02", b"\x80\x04\x95", b"\x10\0\0\0\0\0\0\0{"]
    for i in range(60):
        assert outcome(write(starts[i % len(starts)] + rng.randbytes(rng.randint(1, 400)), "noise")) is None


def equal(kind: str, module: nn.Module) -> bool:
    """Archives carry checksums, so that what opens is the very model; elsewhere a changed weight cannot be told."""
    own, other = list(module.parameters()), list(load_whole(kind).parameters())
    if kind in ("state dict", "module", "layers"):
        return len(own) == len(other) and all(torch.equal(a, b) for a, b in zip(own, other, strict=True))
    return all(bool(p.isfinite().all()) for p in own)


@cache
def load_whole(kind: str) -> nn.Module:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "whole"
        path.write_bytes(VALID[kind])
        return load_model(path).module


@pytest.mark.slow
@pytest.mark.parametrize("kind", list(VALID))
def test_many_damaged_files(kind: str, write: Write) -> None:
    """Each opens as an equal model or is refused, and nothing else ever happens. ``DAMAGED_FILES=5000`` tries more."""
    rng = random.Random(f"many {kind}")
    opened = refused = 0
    count = MANY or (100 if "legacy" in kind else 200)
    for _ in range(count):
        module = outcome(write(damaged(VALID[kind], rng), "model"))
        if module is None:
            refused += 1
        else:
            opened += 1
            assert equal(kind, module)
    assert refused > count // 10
    if kind not in ("state dict", "module", "layers"):
        # Less of a legacy file can be damaged without a trace.
        assert opened > count // (20 if "legacy" in kind else 10)


@pytest.mark.parametrize("kind", list(VALID))
def test_damaged_files_in_the_worker(kind: str, tmp_path: Path) -> None:
    """The parent gets a report or a sentence, and goes on."""
    rng = random.Random(f"worker {kind}")
    for case in range(5):
        path = tmp_path / f"{case}"
        path.write_bytes(damaged(VALID[kind], rng))
        with Job.start("describe", {"model": str(path)}) as job:
            job.wait()
            assert job.state == "done" or job.error
