"""Small networks for the tests of the ONNX importer, exported and run by other programs."""

from __future__ import annotations

import contextlib
import io
import logging
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
import torch
from onnx import TensorProto, helper, numpy_helper
from torch import Tensor, nn

from ti_core.architectures.lenet import LeNet5
from ti_core.architectures.resnet_small import SmallResNet


class ConvNet(nn.Module):
    """Batch norms that no exporter can fold into a convolution, and every common activation."""

    def __init__(self) -> None:
        super().__init__()
        self.body = nn.Sequential(
            nn.BatchNorm2d(3),
            nn.Conv2d(3, 8, 3, padding=1),
            nn.ReLU(),
            nn.BatchNorm2d(8),
            nn.MaxPool2d(3, 2, 1),
            nn.Conv2d(8, 12, 3, padding="same", padding_mode="reflect"),
            nn.SiLU(),
            nn.AvgPool2d(2, ceil_mode=True),
            nn.GroupNorm(3, 12),
            nn.Conv2d(12, 16, 3, dilation=2),
            nn.Hardswish(),
            nn.Upsample(scale_factor=2, mode="bilinear"),
            nn.InstanceNorm2d(16, affine=True),
            nn.ELU(),
            nn.ConvTranspose2d(16, 8, 3, stride=2, padding=1, output_padding=1),
            nn.Mish(),
            nn.AdaptiveAvgPool2d(1),
            nn.Flatten(),
        )
        self.head = nn.Linear(8, 7)

    def forward(self, x: Tensor) -> Tensor:
        scores: Tensor = self.head(self.body(x))
        return scores


class Mobile(nn.Module):
    """An inverted residual block with squeeze and excitation."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Conv2d(3, 16, 3, stride=2, padding=1)
        self.expand = nn.Sequential(nn.Conv2d(16, 32, 1), nn.BatchNorm2d(32), nn.ReLU6())
        self.depthwise = nn.Sequential(
            nn.Conv2d(32, 32, 3, padding=1, groups=32), nn.BatchNorm2d(32), nn.Hardswish()
        )
        self.squeeze = nn.Sequential(
            nn.AdaptiveAvgPool2d(1), nn.Conv2d(32, 8, 1), nn.ReLU(), nn.Conv2d(8, 32, 1), nn.Hardsigmoid()
        )
        self.project = nn.Conv2d(32, 16, 1, groups=4)
        self.head = nn.Linear(16, 5)

    def forward(self, x: Tensor) -> Tensor:
        x = self.stem(x)
        y = self.depthwise(self.expand(x))
        y = x + self.project(y * self.squeeze(y))
        scores: Tensor = self.head(y.mean((2, 3)))
        return scores


class Attention(nn.Module):
    """A vision transformer of one block, its attention written out."""

    def __init__(self) -> None:
        super().__init__()
        self.patches = nn.Conv2d(3, 24, 8, stride=8)
        self.token = nn.Parameter(torch.randn(1, 1, 24))
        self.places = nn.Parameter(torch.randn(1, 17, 24))
        self.norm = nn.LayerNorm(24)
        self.qkv = nn.Linear(24, 72, bias=False)
        self.out = nn.Linear(24, 24)
        self.mlp = nn.Sequential(nn.LayerNorm(24), nn.Linear(24, 48), nn.GELU(), nn.Linear(48, 24))
        self.head = nn.Linear(24, 6)

    def forward(self, x: Tensor) -> Tensor:
        y = self.patches(x).flatten(2).transpose(1, 2)
        y = torch.cat([self.token.expand(y.shape[0], -1, -1), y], dim=1) + self.places
        q, k, v = self.qkv(self.norm(y)).reshape(y.shape[0], 17, 3, 4, 6).permute(2, 0, 3, 1, 4).unbind(0)
        weights = torch.softmax(torch.einsum("bhid,bhjd->bhij", q, k) * 6**-0.5, dim=-1)
        y = y + self.out((weights @ v).transpose(1, 2).reshape(y.shape[0], 17, 24))
        y = y + self.mlp(y)
        scores: Tensor = self.head(y[:, 0])
        return scores


class Encoder(nn.Module):
    """PyTorch's own transformer layer, whose exports put the tokens in front of the batch."""

    def __init__(self) -> None:
        super().__init__()
        self.patches = nn.Conv2d(3, 16, 8, stride=8)
        self.layer = nn.TransformerEncoderLayer(
            16, 4, 32, batch_first=True, norm_first=True, activation="gelu"
        )
        self.head = nn.Linear(16, 6)

    def forward(self, x: Tensor) -> Tensor:
        scores: Tensor = self.head(self.layer(self.patches(x).flatten(2).transpose(1, 2)).mean(1))
        return scores


class Softmax(nn.Module):
    """Probabilities instead of scores."""

    def __init__(self) -> None:
        super().__init__()
        self.net = nn.Sequential(
            nn.Conv2d(1, 4, 5, stride=3), nn.LeakyReLU(0.1), nn.Flatten(), nn.Linear(256, 4)
        )

    def forward(self, x: Tensor) -> Tensor:
        return torch.softmax(self.net(x), dim=1)


NETWORKS: dict[str, tuple[type[nn.Module], tuple[int, int, int], dict[str, Any]]] = {
    "lenet": (LeNet5, (1, 28, 28), {}),
    "convnet": (ConvNet, (3, 24, 24), {}),
    "resnet": (SmallResNet, (3, 32, 32), {"in_channels": 3}),
    "mobile": (Mobile, (3, 24, 24), {}),
    "attention": (Attention, (3, 32, 32), {}),
    "encoder": (Encoder, (3, 32, 32), {}),
    "softmax": (Softmax, (1, 28, 28), {}),
}


def network(name: str) -> tuple[nn.Module, tuple[int, int, int]]:
    """A network of this name in evaluation mode, its running statistics moved off their first values."""
    kind, shape, options = NETWORKS[name]
    torch.manual_seed(7)
    module = kind(**options)
    module.train()
    with torch.no_grad():
        module(torch.rand(16, *shape))
    return module.eval(), shape


def export(
    module: nn.Module,
    shape: Sequence[int],
    path: Path,
    *,
    dynamo: bool,
    batch: int | None = None,
    **options: Any,
) -> Path:
    """Export for `batch` images, or for any number of them (None). The exporters warn about themselves."""
    images = torch.rand(batch or 2, *shape)
    if batch is None:
        free: dict[str, Any] = (
            {"dynamic_shapes": ({0: "n"},)} if dynamo else {"dynamic_axes": {"x": {0: "n"}}}
        )
        options = {**options, **free}
    logging.getLogger("torch.onnx").setLevel(logging.ERROR)
    with warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()):
        warnings.simplefilter("ignore")
        torch.onnx.export(
            module,
            (images,),
            path,
            dynamo=dynamo,
            input_names=["x"],
            output_names=["y"],
            verbose=False,
            **options,
        )
    return path


def runtime(path: Path, images: Tensor, *, one_by_one: bool = False, precise: bool = True) -> Tensor:
    """ONNX Runtime's scores.

    ``precise`` keeps its sums of bytes from overflowing on processors without instructions for them. It cannot be with
    a ``QGemm``.
    """
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    options.add_session_config_entry("session.x64quantprecision", str(int(precise)))
    session = onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    name = session.get_inputs()[0].name
    batches = [images[i : i + 1] for i in range(len(images))] if one_by_one else [images]
    return torch.from_numpy(np.concatenate([session.run(None, {name: b.numpy()})[0] for b in batches]))


def constant(name: str, value: Any, kind: Any = np.float32) -> TensorProto:
    return numpy_helper.from_array(np.asarray(value, dtype=kind), name)


def graph(
    nodes: Sequence[onnx.NodeProto],
    constants: Sequence[TensorProto] = (),
    *,
    shape: Sequence[Any] = ("n", 1, 4, 4),
    kind: int = TensorProto.FLOAT,
    outputs: Sequence[str] = ("y",),
    opset: int = 18,
    **fields: Any,
) -> onnx.ModelProto:
    """A graph from the input ``x`` to `outputs`."""
    made = helper.make_graph(
        list(nodes),
        "g",
        [helper.make_tensor_value_info("x", kind, list(shape))],
        [
            helper.make_tensor_value_info(name, kind if kind != TensorProto.UINT8 else 1, None)
            for name in outputs
        ],
        list(constants),
    )
    return helper.make_model(made, opset_imports=[helper.make_opsetid("", opset)], **fields)


def classifier(
    *before: onnx.NodeProto, source: str = "x", features: int = 16, **options: Any
) -> onnx.ModelProto:
    """`before`, then a linear layer from the value `source` to three scores."""
    weights = np.random.default_rng(0).normal(size=(3, features)).astype(np.float32)
    constants = [constant("w", weights), *options.pop("constants", ())]
    tail = [
        helper.make_node("Flatten", [source], ["flat"], name="flatten"),
        helper.make_node("Gemm", ["flat", "w"], ["y"], name="head", transB=1),
    ]
    return graph([*before, *tail], constants, **options)


def save(model: onnx.ModelProto, path: Path) -> Path:
    path.write_bytes(model.SerializeToString())
    return path
