"""What people save beside the weights: found, shown as text, and never built; and which weights are taken."""

from __future__ import annotations

import argparse
import collections
import datetime
import io
import pathlib
import struct
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from tests.loading import payloads as p
from ti_core.architectures.lenet import LeNet5
from ti_core.errors import ModelFileError, RefusedFileError
from ti_core.loading import describe_file, load_model
from ti_core.loading.findings import Severity
from ti_core.loading.pickles.allowed import ALLOWED, Kind
from ti_core.loading.pickles.torch_file import open_checkpoint
from ti_core.reconstruction.model import Model

Write = Callable[..., Path]
Weights = dict[str, torch.Tensor]


@pytest.fixture
def weights(lenet: LeNet5) -> Weights:
    return dict(lenet.state_dict())


def opened(content: Any, folder: Path, *, zipped: bool = True) -> Model:
    torch.save(content, folder / "m.pt", _use_new_zipfile_serialization=zipped)
    report = describe_file(folder / "m.pt")
    model = load_model(folder / "m.pt")
    assert report.opens and report.is_safe
    return model


def halved(weights: Weights) -> Weights:
    return {name: value / 2 for name, value in weights.items()}


@pytest.mark.parametrize("zipped", [True, False])
def test_notes_are_told_as_text(zipped: bool, weights: Weights, tmp_path: Path) -> None:
    beside = {
        "epoch": 7,
        "acc": np.float64(0.9),
        "best": np.float32(0.5),
        "curve": np.arange(3.0),
        "grid": np.zeros((2, 3), ">i4"),
        "words": np.array(["a", "b"]),
        "args": argparse.Namespace(lr=0.1, out=pathlib.PurePosixPath("/x/y"), device=torch.device("cpu")),
        "history": collections.defaultdict(list, {"loss": [1.0, 2.0]}),
        "order": collections.OrderedDict(a=1),
        "seen": {3},
        "time": datetime.date(2020, 1, 2),
        "raw": b"abc",
        "none": None,
        "long": "x" * 2000,
        "odd": "a\x1b[31m\u202e",
        "huge": 10**1000,
        "bn": torch.zeros(2, 5),
    }
    model = opened({**beside, "net": weights}, tmp_path, zipped=zipped)
    assert model.architecture == "lenet5" and model.remarks == ()
    told = dict(model.metadata)
    assert {k: told[k] for k in ("epoch", "acc", "best", "curve", "seen", "none")} == {
        **{
            "epoch": "7",
            "acc": "0.9",
            "best": "0.5",
            "curve": "[0.0, 1.0, 2.0]",
            "seen": "set([3])",
            "none": "None",
        }
    }
    # Since Python 3.13 a path is kept whole.
    path = ", ".join(repr(part) for part in pathlib.PurePosixPath("/x/y").__reduce__()[1])
    assert told["args"] == f"Namespace(lr=0.1, out=PurePosixPath({path}), device=device('cpu'))"
    assert (told["history"], told["order"]) == ("{loss: [1.0, 2.0]}", "{a: 1}")
    assert (told["grid"], told["bn"], told["words"]) == ("tensor 2 x 3", "tensor 2 x 5", "tensor")
    assert told["huge"] == "a number of more than 300 digits"
    assert len(told["long"]) < 600 and "\x1b" not in told["odd"] and "\u202e" not in told["odd"]
    assert set(told) == set(beside)


@pytest.mark.parametrize("name", ["Path", "PosixPath", "WindowsPath", "PurePosixPath", "PureWindowsPath"])
def test_paths_are_notes_of_every_python(name: str) -> None:
    """Python 3.13 names another module."""
    assert ALLOWED[f"pathlib.{name}"] is ALLOWED[f"pathlib._local.{name}"] is Kind.INERT


def test_a_text_is_bounded_whatever_is_nested() -> None:
    """Forty levels of a list that holds the one below it twice: a trillion values, a few hundred characters."""
    levels = [b"](h" + bytes([i]) + b"h" + bytes([i]) + b"eq" + bytes([i + 1]) for i in range(40)]
    twice = b"](]q\x00" + b"".join(levels) + b"e"
    pickle = p.program(p.dictionary({"state_dict": p.dictionary({"w.weight": p.tensor()}), "deep": twice}))
    notes = open_checkpoint(p.checkpoint(pickle, {"0": bytes(16)})).notes
    assert 10 < len(notes["deep"]) < 600
    loop = p.program(
        p.dictionary({"state_dict": p.dictionary({"w.weight": p.tensor()}), "loop": b"]q\x00h\x00a"})
    )
    assert "[[[" in open_checkpoint(p.checkpoint(loop, {"0": bytes(16)})).notes["loop"]


class Meter:
    """A class of a training script."""

    def __init__(self) -> None:
        self.total = 3


@pytest.mark.parametrize("zipped", [True, False])
def test_a_class_of_the_training_script_stays_a_name(zipped: bool, weights: Weights, tmp_path: Path) -> None:
    model = opened({"state_dict": weights, "meter": Meter(), "kind": Meter}, tmp_path, zipped=zipped)
    path = f"{Meter.__module__}.Meter"
    assert model.metadata == {"meter": "Meter(total=3)", "kind": path}
    assert model.remarks == (
        f"Beside the weights the file names {path}. This was ignored, and nothing was imported.",
    )
    report = describe_file(tmp_path / "m.pt")
    assert [u.name for u in report.globals if u.severity is Severity.UNUSUAL] == [path]
    with pytest.raises(RefusedFileError, match="Meter"):
        opened({**weights, "fc1.weight": Meter()} and {"state": {"a": Meter()}}, tmp_path)


def test_a_name_among_the_weights_is_refused(write: Write, canary: Path) -> None:
    """What is harmless beside the weights is not allowed in them."""
    strange = p.called("training.tools", "Tensor", p.tensor())
    hidden = p.called("torch._utils", "_rebuild_parameter", strange, b"\x88", p.empty_dictionary())
    for pickle in (p.dictionary({"state_dict": p.dictionary({"a.weight": hidden})}), strange):
        for wrap in (p.checkpoint, p.legacy):
            path = write(wrap(p.program(pickle), {"0": bytes(16)}))
            assert not describe_file(path).is_safe
            with pytest.raises(RefusedFileError, match=r"training\.tools\.Tensor"):
                load_model(path)


CHOICES: dict[str, tuple[Callable[[Weights, Weights], Any], str]] = {
    "plain before average": (lambda w, o: {"state_dict_ema": o, "state_dict": w}, "taken from state_dict of"),
    "average alone": (
        lambda w, o: {"ema": {"module": w}, "decay": 0.9},
        "from ema.module of the file, a moving average",
    ),
    "average of torch": (
        lambda w, o: {"n_averaged": torch.tensor(3), **{f"module.{k}": v for k, v in w.items()}},
        "",
    ),
    "beside a tensor": (lambda w, o: {"best_acc": torch.tensor(0.9), "state_dict": w}, ""),
    "an unknown key": (lambda w, o: {"victim": w, "opt": {"state": {0: {"weight": torch.zeros(2)}}}}, ""),
    "a list": (lambda w, o: [w, 0.9], ""),
    "a tuple of a dictionary": (lambda w, o: (3, {"model": w}), ""),
    "the most telling key": (lambda w, o: {"state": o, "state_dict": w}, "it also holds state, not used"),
    "optimisers": (lambda w, o: {"optimizer": {"a.weight": w["fc1.bias"]}, "victim": w}, ""),
    "the same twice": (lambda w, o: {"model": w, "state_dict": w}, ""),
}


@pytest.mark.parametrize(("wrap", "says"), CHOICES.values(), ids=list(CHOICES))
def test_the_weights_are_found(
    wrap: Any, says: str, weights: Weights, tmp_path: Path, lenet: LeNet5, images: torch.Tensor
) -> None:
    model = opened(wrap(weights, halved(weights)), tmp_path)
    assert torch.equal(model.module(images), lenet(images))
    assert says in " ".join(model.remarks) and bool(says) == bool(model.remarks)


def test_two_networks_are_not_guessed_between(weights: Weights, tmp_path: Path) -> None:
    torch.save({"student": weights, "teacher": halved(weights)}, tmp_path / "m.pt")
    with pytest.raises(ModelFileError, match=r"the weights of 2 networks .*student.*save the one") as caught:
        load_model(tmp_path / "m.pt")
    assert not isinstance(caught.value, RefusedFileError) and not describe_file(tmp_path / "m.pt").opens


@pytest.mark.parametrize("prefix", ["module.model.", "_orig_mod.module.", "victim.", "a.b.c.d."])
def test_any_prefix_that_all_names_share_is_looked_through(
    prefix: str, weights: Weights, tmp_path: Path, lenet: LeNet5, images: torch.Tensor
) -> None:
    model = opened({f"{prefix}{k}": v for k, v in weights.items()}, tmp_path)
    assert torch.equal(model.module(images), lenet(images))


def test_arrays_of_numpy_are_weights_too(
    tmp_path: Path, weights: Weights, lenet: LeNet5, images: torch.Tensor
) -> None:
    arrays = {k: np.asfortranarray(v.numpy().astype(">f4")) for k, v in weights.items()}
    assert torch.equal(opened({"state_dict": arrays, "epoch": 1}, tmp_path).module(images), lenet(images))


def test_attributes_of_tensors_are_left_aside(weights: Weights, tmp_path: Path) -> None:
    marked = nn.Parameter(weights["fc1.weight"])
    marked.rank = 3  # type: ignore[attr-defined]
    plain = weights["fc2.weight"].clone()
    plain.note = "a"  # type: ignore[attr-defined]
    model = opened({**weights, "fc1.weight": marked, "fc2.weight": plain}, tmp_path)
    assert torch.equal(model.module.state_dict()["fc1.weight"], weights["fc1.weight"])
    assert torch.equal(model.module.state_dict()["fc2.weight"], weights["fc2.weight"])


@pytest.mark.parametrize("name", ["float16", "bfloat16", "float64", "float8_e4m3fn", "float8_e5m2"])
def test_a_conversion_is_said(name: str, weights: Weights, tmp_path: Path) -> None:
    dtype = getattr(torch, name)
    model = opened({k: v.to(dtype) for k, v in weights.items()}, tmp_path)
    assert model.remarks == (f"Its weights are stored as {name}; they were converted to float32.",)
    for key, value in model.module.state_dict().items():
        assert torch.equal(value, weights[key].to(dtype).float())
    mixed = opened({**weights, "fc1.bias": weights["fc1.bias"].to(dtype)}, tmp_path)
    assert mixed.remarks[0].startswith("Some of its weights are stored as")


def byte_order(saved: bytes, order: bytes) -> bytes:
    """The archive with every number of four and of eight bytes turned round, as a big-endian machine writes them."""
    out = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(saved)) as old, zipfile.ZipFile(out, "w") as new:
        for name in old.namelist():
            content = old.read(name)
            if "/data/" in name:
                content = np.frombuffer(content, "<u4").astype(">u4").tobytes()
            new.writestr(name, order if name.endswith("byteorder") else content)
    return out.getvalue()


def test_either_byte_order(weights: Weights, lenet: LeNet5, images: torch.Tensor, write: Write) -> None:
    out = io.BytesIO()
    torch.save(weights, out)
    assert torch.equal(load_model(write(byte_order(out.getvalue(), b"big"))).module(images), lenet(images))
    path = write(byte_order(out.getvalue(), b"middle"))
    with pytest.raises(RefusedFileError, match="of the order of its bytes 'middle'"):
        load_model(path)


def test_one_storage_is_of_one_type(write: Write) -> None:
    two = p.tensor() + b"0" + p.tensor()
    other = p.tensor().replace(b"FloatStorage", b"IntStorage")
    path = write(
        p.checkpoint(p.program(p.dictionary({"a": two[:0] + p.tensor(), "b": other})), {"0": bytes(16)})
    )
    with pytest.raises(RefusedFileError, match="in two different ways"):
        load_model(path)


@pytest.mark.filterwarnings("ignore:Sparse CSR")
def test_what_is_sparse_or_of_another_kind_is_told(write: Write, tmp_path: Path) -> None:
    for content, says in (
        ({"w": torch.eye(3).to_sparse()}, "is sparse; make it dense"),
        ({"w": torch.eye(3).to_sparse_csr()}, "is sparse; make it dense"),
        ({"w": torch.zeros(2, device="meta")}, "a shape but no numbers"),
    ):
        torch.save(content, tmp_path / "m.pt")
        with pytest.raises(RefusedFileError, match=says):
            load_model(tmp_path / "m.pt")
    number = struct.pack("<4f", 1, 2, 3, 4)
    subclass = p.called(
        "torch._tensor",
        "_rebuild_from_type_v2",
        p.name("torch._utils", "_rebuild_tensor_v2"),
        p.name("torch", "Size"),
        p.args(
            p.storage(), p.number(0), p.args(p.number(4)), p.args(p.number(1)), b"\x89", p.empty_dictionary()
        ),
        b"}",
    )
    with pytest.raises(RefusedFileError, match=r"is of the class torch\.Size; save plain tensors"):
        load_model(write(p.checkpoint(p.program(p.dictionary({"w": subclass})), {"0": number})))
