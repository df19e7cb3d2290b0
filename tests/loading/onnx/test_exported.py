"""Networks exported by both of PyTorch's exporters give ONNX Runtime's scores, and the network's own gradients."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from tests.loading.onnx.onnx_networks import NETWORKS, export, network, runtime
from ti_core.loading.onnx import load_onnx

DYNAMO = ("lenet", "convnet", "mobile", "attention")  # that exporter takes seconds for each
CASES = [(name, True) for name in DYNAMO] + [(name, False) for name in NETWORKS]
FIXED = [("lenet", True), ("encoder", True), ("lenet", False), ("attention", False), ("encoder", False)]


@pytest.mark.parametrize(("name", "dynamo"), CASES)
def test_any_batch_size(name: str, dynamo: bool, tmp_path: Path) -> None:
    module, shape = network(name)
    path = export(module, shape, tmp_path / "model.onnx", dynamo=dynamo)
    model = load_onnx(path)
    images = torch.rand(2, *shape)
    scores = model.module(images)
    torch.testing.assert_close(scores, runtime(path, images), rtol=1e-4, atol=1e-4)
    assert (model.input_shape, model.classes) == (shape, scores.shape[1])
    images = torch.rand(5, *shape)
    torch.testing.assert_close(model.module(images), module(images), rtol=1e-4, atol=1e-4)
    _same_gradients(model.module, module, images)


@pytest.mark.parametrize(("name", "dynamo"), FIXED)
def test_fixed_batch_of_one(name: str, dynamo: bool, tmp_path: Path) -> None:
    module, shape = network(name)
    path = export(module, shape, tmp_path / "model.onnx", dynamo=dynamo, batch=1)
    model = load_onnx(path)
    images = torch.rand(5, *shape)
    scores = model.module(images)
    torch.testing.assert_close(scores, runtime(path, images, one_by_one=True), rtol=1e-4, atol=1e-4)
    assert "batch" in model.metadata
    _same_gradients(model.module, module, images)


def test_fixed_batch_of_four(tmp_path: Path) -> None:
    module, shape = network("encoder")
    model = load_onnx(export(module, shape, tmp_path / "model.onnx", dynamo=False, batch=4))
    for n in (1, 3, 4, 6):
        images = torch.rand(n, *shape)
        torch.testing.assert_close(model.module(images), module(images), rtol=1e-4, atol=1e-4)
        _same_gradients(model.module, module, images)


def _same_gradients(found: torch.nn.Module, wanted: torch.nn.Module, images: torch.Tensor) -> None:
    gradients = []
    for module in (found, wanted):
        x = images.clone().requires_grad_()
        module(x).square().sum().backward()
        gradients.append(x.grad)
    assert gradients[1].abs().max() > 0
    torch.testing.assert_close(
        gradients[0], gradients[1], rtol=1e-3, atol=1e-4 * float(gradients[1].abs().max())
    )


@pytest.mark.parametrize("opset", [7, 8, 9, 11, 13, 17, 20])
def test_older_opsets(opset: int, tmp_path: Path) -> None:
    module, shape = network("softmax")
    path = export(module, shape, tmp_path / "model.onnx", dynamo=False, opset_version=opset)
    images = torch.rand(2, *shape)
    torch.testing.assert_close(load_onnx(path).module(images), runtime(path, images), rtol=1e-4, atol=1e-4)


def test_the_weights_are_counted(tmp_path: Path) -> None:
    module, shape = network("lenet")
    model = load_onnx(export(module, shape, tmp_path / "model.onnx", dynamo=False))
    assert model.parameters == sum(p.numel() for p in module.parameters()) == 61706
    assert not any(p.requires_grad for p in model.module.parameters())
    assert not model.module.training
