"""What is hashed, described and loaded are the same bytes, whatever becomes of the file meanwhile."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest
import torch
from safetensors.torch import save

from ti_core.architectures.mlp import MLP
from ti_core.errors import ModelFileError, RefusedFileError
from ti_core.loading import digest, limits
from ti_core.loading.digest import digest_of, digest_of_all, digest_of_file
from ti_core.loading.file_report import describe
from ti_core.loading.limits import Limits
from ti_core.loading.model_file import read_model_file
from ti_core.loading.opening import open_model
from ti_core.worker.request import InspectionRequest
from ti_core.worker.tasks import _opened


def network(seed: int, classes: int = 3) -> MLP:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return MLP(size=4, hidden=(5,), classes=classes)


def test_a_file_rewritten_meanwhile_changes_neither_digest_nor_description_nor_model(tmp_path: Path) -> None:
    path = tmp_path / "m.safetensors"
    before, after = save(network(0).state_dict()), save(network(1, 4).state_dict())
    path.write_bytes(before)
    file = read_model_file(path)
    path.write_bytes(after)
    report, model = describe(file), open_model(file)
    assert report.sha256 == model.sha256 == hashlib.sha256(before).hexdigest()
    assert report.size == len(before)
    shapes = {name: tuple(tensor.shape) for name, tensor in network(0).state_dict().items()}
    assert {tensor.name: tensor.shape for tensor in report.tensors} == shapes
    own = [p.sum().item() for p in model.module.parameters()]
    assert own == [p.sum().item() for p in network(0).parameters()]


def test_the_worker_opens_no_other_file_than_the_one_that_was_hashed(tmp_path: Path) -> None:
    path = tmp_path / "m.safetensors"
    path.write_bytes(save(network(0).state_dict()))
    seen = digest_of(path)
    asked = InspectionRequest(model=str(path), digest=seen, case=True)
    model, card = _opened(asked)
    assert model.sha256 == card["sha256"] == seen
    path.write_bytes(save(network(1).state_dict()))
    with pytest.raises(ModelFileError, match=r"m\.safetensors changed after its digest was computed"):
        _opened(asked)
    assert _opened(asked.with_(digest="", case=False))[1] == {}


def test_the_digest_of_a_file_that_was_read_covers_the_weights_beside_it(tmp_path: Path) -> None:
    path, beside = tmp_path / "m.onnx", tmp_path / "m.onnx.data"
    path.write_bytes(b"graph")
    beside.write_bytes(b"weights")
    expected = hashlib.sha256(b"graphweights").hexdigest()
    assert digest_of(path) == digest_of_file(read_model_file(path)) == expected
    assert digest_of_all([path, beside]) == expected


def test_weights_beyond_the_limit_are_not_hashed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The limit holds for all of them together, the model file has its own."""
    for module in (digest, limits):
        monkeypatch.setattr(module, "LIMITS", Limits(file_bytes=100, weight_bytes=10))
    path = tmp_path / "m.onnx"
    path.write_bytes(bytes(100))
    for name, size in (("a", 4), ("b", 6), ("c", 1)):
        (tmp_path / name).write_bytes(bytes(size))
    a, b, c = (tmp_path / name for name in "abc")
    assert digest_of_all([path, a, b]) == hashlib.sha256(bytes(110)).hexdigest()
    with pytest.raises(RefusedFileError, match="have 11 bytes together; the limit is 10"):
        digest_of_all([path, a, b, c])
    (tmp_path / "m.onnx.data").write_bytes(bytes(11))
    with pytest.raises(RefusedFileError, match=r"m\.onnx\.data has 11 bytes"):
        digest_of(path)
