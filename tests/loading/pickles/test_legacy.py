"""Files in the format of torch before 1.6: read by the program's own reader, as torch itself would have read them."""

from __future__ import annotations

import dataclasses
import io
import struct
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
from ti_core.loading.pickles.files import legacy
from ti_core.loading.pickles.files.legacy import open_legacy
from ti_core.loading.pickles.torch_file import open_checkpoint

Write = Callable[..., Path]


def saved(content: Any, protocol: int = 2) -> bytes:
    out = io.BytesIO()
    torch.save(content, out, pickle_protocol=protocol, _use_new_zipfile_serialization=False)
    return out.getvalue()


@pytest.fixture(scope="module")
def old(lenet: LeNet5) -> bytes:
    return saved(lenet.state_dict())


@pytest.mark.parametrize("protocol", [2, 3, 4, 5])
def test_a_legacy_state_dict_opens(protocol: int, lenet: LeNet5, images: torch.Tensor, write: Write) -> None:
    path = write(saved({"state_dict": lenet.state_dict(), "epoch": 3}, protocol))
    model, report = load_model(path), describe_file(path)
    assert torch.equal(model.module(images), lenet(images))
    assert (model.architecture, model.format, model.metadata) == (
        "lenet5",
        "torch state dict",
        {"epoch": "3"},
    )
    assert report.format == "legacy torch pickle" and report.opens and report.is_safe
    assert {t.name: t.shape for t in report.tensors} == {
        f"state_dict.{k}": tuple(v.shape) for k, v in lenet.state_dict().items()
    }


def test_a_whole_legacy_module_opens(lenet: LeNet5, images: torch.Tensor, write: Write) -> None:
    """Such a file names each class by a persistent id, with its source code, which is left aside."""
    for net in (lenet, nn.DataParallel(lenet)):
        data = saved(net)
        assert b"def forward(self" in data
        model = load_model(write(data))
        assert model.format == "torch module" and torch.equal(model.module(images), lenet(images))


def test_views_and_types_are_as_torch_reads_them(tmp_path: Path) -> None:
    """Shared storages, offsets, transposed tensors, empty ones and every type of number."""
    base = torch.arange(24.0)
    content = {
        "whole": base,
        "part": base[3:9],
        "turned": base.view(4, 6).t(),
        "steps": base[::5],
        "none": torch.zeros(0, 3),
        "one": torch.tensor(7, dtype=torch.int64),
        **{
            str(t): torch.tensor([0, 1, 1, 0]).to(t)
            for t in (torch.float16, torch.bfloat16, torch.float64, torch.bool)
        },
        **{
            str(t): torch.tensor([0, 3, 1, 2]).to(t)
            for t in (torch.uint8, torch.int8, torch.int16, torch.int32)
        },
    }
    path = tmp_path / "m.pt"
    path.write_bytes(saved(content))
    theirs = torch.load(path, weights_only=True)
    ours = open_checkpoint(path.read_bytes()).content
    assert ours.keys() == theirs.keys()
    for name, tensor in theirs.items():
        assert ours[name].dtype == tensor.dtype and torch.equal(ours[name], tensor), name


def test_views_of_storages_as_the_oldest_files_have_them() -> None:
    """A persistent id may name a part of a storage: from which number on, and how many."""
    view = p.args(p.text("view"), p.number(2), p.number(3))
    storage = p.args(
        p.text("storage"), p.name("torch", "FloatStorage"), p.text("7"), p.text("cpu"), p.number(6), view
    )
    call = p.called(
        "torch._utils",
        "_rebuild_tensor",
        storage + b"Q",
        p.number(1),
        p.args(p.number(2)),
        p.args(p.number(1)),
    )
    numbers = struct.pack("<6f", *range(6))
    found = open_checkpoint(p.legacy(p.program(p.dictionary({"w": call})), {"7": numbers})).content
    assert found["w"].tolist() == [3.0, 4.0]
    beyond = call.replace(p.args(p.number(2)), p.args(p.number(3)))
    with pytest.raises(RefusedFileError, match="reaches beyond its storage"):
        open_checkpoint(p.legacy(p.program(p.dictionary({"w": beyond})), {"7": numbers}))


def test_parameters_and_dictionaries_as_the_oldest_files_have_them() -> None:
    """Before torch 0.4 a parameter was a call of its class; Python 2 gives a dictionary its items as a list."""
    state = p.args(b"\x88", b"\x89", p.empty_dictionary()) + b"b"
    parameter = p.called("torch.nn.parameter", "Parameter", p.tensor()) + state
    variable = p.called("torch.autograd.variable", "Variable", p.tensor()) + state
    pair = [b"](" + p.text(key) + value + b"e" for key, value in (("a", parameter), ("b", variable))]
    items = p.called("collections", "OrderedDict", b"](" + b"".join(pair) + b"e")
    found = open_checkpoint(p.legacy(p.program(items), {"0": struct.pack("<4f", 1, 2, 3, 4)})).content
    assert [found[key].tolist() for key in "ab"] == [[1, 2, 3, 4]] * 2
    hooked = parameter.replace(p.empty_dictionary(), p.dictionary({"0": p.text("hook")}))
    with pytest.raises(RefusedFileError, match="parameter of something other"):
        open_checkpoint(p.legacy(p.program(p.dictionary({"a": hooked})), {"0": bytes(16)}))


@pytest.mark.parametrize("keep", [0.3, 0.9, 0.9999])
def test_a_truncated_file_is_told(keep: float, old: bytes, write: Write) -> None:
    path = write(old[: int(len(old) * keep)])
    with pytest.raises(ModelFileError, match="truncated: it ends inside the tensor storage") as caught:
        load_model(path)
    assert not isinstance(caught.value, RefusedFileError)
    assert describe_file(path).is_safe and not describe_file(path).opens


def test_what_torch_would_not_write_is_refused(old: bytes, write: Write) -> None:
    pickle = p.program(p.dictionary({"w": p.tensor()}))
    sound = p.legacy(pickle, {"0": bytes(16)})
    assert open_checkpoint(sound).content["w"].shape == (4,)
    version = p.program(b"M\xe9\x03")
    for data, says in (
        (sound + b"x", "1 bytes after its last storage"),
        (sound.replace(version, p.program(b"M\xea\x03")), "its head is not one"),
        (sound.replace(p.text("little_endian") + b"\x88", p.text("little_endian") + b"\x89"), "big-endian"),
        (p.legacy(pickle, {"0": bytes(16), "1": bytes(16)}), "belongs to no tensor"),
        (p.legacy(pickle, {"0": bytes(20)}), "says of itself that it holds 5"),
        (
            p.legacy(pickle, {"0": bytes(16)}).replace(
                b"](" + p.text("0") + b"e", b"](" + p.text("0") * 2 + b"e"
            ),
            "twice",
        ),
        (
            p.legacy(pickle, {"0": bytes(16)}).replace(b"](" + p.text("0") + b"e", b"K\x01"),
            "list of storages",
        ),
        (sound[:200], "cannot be followed to its end"),
    ):
        path = write(data)
        with pytest.raises(RefusedFileError, match=says):
            load_model(path)
        assert not describe_file(path).is_safe
    path = write(p.legacy(pickle))
    with pytest.raises(ModelFileError, match="the tensor storage 0 is missing"):
        load_model(path)


@pytest.mark.parametrize("place", range(5))
def test_a_payload_in_any_of_the_five_pickles_is_named(place: int, write: Write, canary: Path) -> None:
    data = p.legacy(p.program(p.dictionary({"w": p.tensor()})), {"0": bytes(16)})
    ends = [data.index(b"P\x19.") + 3]
    for pickle in (p.program(b"M\xe9\x03"), b"type_sizes}u.", p.program(p.dictionary({"w": p.tensor()}))):
        ends.append(data.index(pickle, ends[-1]) + len(pickle))
    ends.append(data.index(b"e.", ends[-1]) + 2)
    at = ends[place] - 1
    hostile = data[:at] + p.called("os", "system", p.shell(canary)) + b"0" + data[at:]
    path = write(hostile)
    assert not describe_file(path).is_safe and "os.system" in [
        use.name for use in describe_file(path).globals
    ]
    with pytest.raises(RefusedFileError, match=r"os\.system|posix\.system"):
        load_model(path)


def test_bombs_are_refused_before_they_are_read(
    monkeypatch: pytest.MonkeyPatch, old: bytes, write: Write
) -> None:
    declared = p.program(p.dictionary({"w": p.tensor(count=2**31 - 1, size=(2**31 - 1,))}))
    huge = p.legacy(declared, {"0": bytes(16)}).replace(struct.pack("<q", 4), struct.pack("<q", 2**31 - 1))
    with pytest.raises(ModelFileError, match="truncated"):
        load_model(write(huge))
    negative = p.legacy(declared, {"0": bytes(16)}).replace(struct.pack("<q", 4), struct.pack("<q", -1))
    with pytest.raises(RefusedFileError, match="holds -1"):
        load_model(write(negative))
    monkeypatch.setattr(legacy, "LIMITS", dataclasses.replace(legacy.LIMITS, pickle_bytes=300))
    with pytest.raises(RefusedFileError, match="that is the limit"):
        load_model(write(old))
    monkeypatch.setattr(legacy, "LIMITS", dataclasses.replace(legacy.LIMITS, pickle_bytes=1 << 20, members=2))
    with pytest.raises(RefusedFileError, match="the limit of 2"):
        load_model(write(old))


def test_the_numbers_are_not_copied(old: bytes) -> None:
    opened = open_legacy(old)
    assert all(opened.storage(key).obj is old for key in opened.storage_bytes)


def test_a_legacy_file_that_ends_as_an_archive_is_refused(old: bytes, write: Write, canary: Path) -> None:
    payload = p.checkpoint(p.program(p.called("os", "system", p.shell(canary))))
    path = write(old + payload)
    assert "os.system" in [use.name for use in describe_file(path).globals]
    with pytest.raises(RefusedFileError, match="ends as a zip archive"):
        load_model(path)
