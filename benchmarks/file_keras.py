"""Writes networks of torch in the forms of Keras 2 and 3, for ``benchmarks.files``. Keras itself is not needed.

The layouts are those of the files in ``tests/loading/keras/data``, which Keras wrote.
"""

from __future__ import annotations

import io
import json
import zipfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import torch
from torch import nn

from ti_core.loading.keras.weights import snake_case

_VERSIONS = {2: "2.15.0", 3: "3.10.0"}
WEIGHTS = {
    "Conv2D": ("kernel", "bias"),
    "Dense": ("kernel", "bias"),
    "BatchNormalization": ("gamma", "beta", "moving_mean", "moving_variance"),
}
_ACTIVATIONS: dict[type[nn.Module], str] = {nn.ReLU: "relu", nn.Softmax: "softmax"}
_EARLY = nn.ZeroPad2d((0, 1, 0, 1)).padding
"""Zeros that Keras's "same" adds where the stride is 2 and the side is even."""


class Block(nn.Module):
    """Layers with a shortcut, and ReLU."""

    def __init__(self, body: nn.Sequential, way: nn.Sequential) -> None:
        super().__init__()
        self.body, self.way = body, way

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return nn.functional.relu(self.body(x) + self.way(x))


@dataclass
class _Layer:
    kind: str
    name: str
    options: dict[str, Any]
    weights: list[np.ndarray[Any, Any]]
    before: tuple[str, ...] = ()


@dataclass
class Written:
    """The layers of a network, in Keras's words.

    Parameters
    ----------
    shape : of an image as the model takes it, without the batch.
    """

    shape: tuple[int, ...]
    layers: list[_Layer] = field(default_factory=list)

    def add(
        self, kind: str, before: tuple[str, ...], weights: Sequence[torch.Tensor] = (), **options: Any
    ) -> str:
        name = f"{snake_case(kind)}_{len(self.layers)}"
        arrays = [w.detach().numpy().astype(np.float32) for w in weights]
        self.layers.append(_Layer(kind, name, {"name": name, "trainable": True, **options}, arrays, before))
        return name


def written(net: nn.Sequential, shape: tuple[int, ...], scale: float | None = None) -> Written:
    """The layers of a chain whose parts may be :class:`Block`. ``scale`` is that of a rescaling layer in front."""
    made = Written(shape)
    last = made.add("InputLayer", ())
    if scale is not None:
        last = made.add("Rescaling", (last,), scale=scale, offset=0.0)
    x = torch.zeros(1, *((shape[2], *shape[:2]) if len(shape) == 3 else (1, 28, 28)))
    _chain(made, net, x, last)
    return made


def _chain(made: Written, net: nn.Sequential, x: torch.Tensor, last: str) -> str:
    flat: torch.Size | None = None
    early = False
    for part in net:
        if isinstance(part, Block):
            ways = [_chain(made, way, x, last) for way in (part.body, part.way)]
            last = made.add("ReLU", (made.add("Add", tuple(ways)),))
        elif isinstance(part, nn.ZeroPad2d) and part.padding == _EARLY:
            early = True
        elif isinstance(part, nn.Conv2d):
            same = early or (part.stride == (1, 1) and part.padding != (0, 0))
            weights = [part.weight.permute(2, 3, 1, 0), *([] if part.bias is None else [part.bias])]
            last = made.add(
                "Conv2D",
                (last,),
                weights,
                filters=part.out_channels,
                kernel_size=list(part.kernel_size),
                strides=list(part.stride),
                padding="same" if same else "valid",
                data_format="channels_last",
                activation="linear",
                use_bias=part.bias is not None,
            )
            early = False
        elif isinstance(part, nn.BatchNorm2d):
            weights = [part.weight, part.bias, part.running_mean, part.running_var]
            last = made.add("BatchNormalization", (last,), weights, axis=[3], epsilon=part.eps)
        elif isinstance(part, (nn.MaxPool2d, nn.AvgPool2d)):
            kind = "MaxPooling2D" if isinstance(part, nn.MaxPool2d) else "AveragePooling2D"
            size = [part.kernel_size] * 2
            last = made.add(
                kind, (last,), pool_size=size, strides=size, padding="valid", data_format="channels_last"
            )
        elif isinstance(part, nn.AdaptiveAvgPool2d):
            last = made.add("GlobalAveragePooling2D", (last,), data_format="channels_last")
        elif isinstance(part, nn.Flatten):
            # A mean over the image has left one number a channel, and an image in one row is flat already.
            if x.shape[2:] != (1, 1) and len(made.shape) > 1:
                last, flat = made.add("Flatten", (last,), data_format="channels_last"), x.shape[1:]
        elif isinstance(part, nn.Linear):
            last, flat = _dense(made, part, flat, last), None
        elif isinstance(part, nn.Dropout):
            last = made.add("Dropout", (last,), rate=part.p)
        elif type(part) in _ACTIVATIONS:
            made_last = made.layers[-1]
            name = _ACTIVATIONS[type(part)]
            if made_last.options.get("activation") == "linear":
                made_last.options["activation"] = name
            else:
                last = made.add("Activation", (last,), activation=name)
        else:
            raise TypeError(f"{type(part).__name__} cannot be written.")
        x = part(x)
    return last


def _dense(made: Written, part: nn.Linear, flat: torch.Size | None, last: str) -> str:
    """A linear layer, whose inputs Keras flattens with the channels last."""
    weight = part.weight
    if flat is not None:
        weight = weight.reshape(len(weight), *flat).permute(0, 2, 3, 1).reshape(len(weight), -1)
    options = {"units": len(weight), "activation": "linear", "use_bias": True}
    return made.add("Dense", (last,), [weight.T, part.bias], **options)


def _sequential(made: Written, version: int) -> dict[str, Any]:
    return {"class_name": "Sequential", "config": {"name": "model", "layers": _entries(made, version, False)}}


def _functional(made: Written, version: int) -> dict[str, Any]:
    ends = [made.layers[0].name, 0, 0], [made.layers[-1].name, 0, 0]
    config = {
        "name": "model",
        "layers": _entries(made, version, True),
        "input_layers": [ends[0]],
        "output_layers": [ends[1]],
    }
    return {"class_name": "Functional", "config": config}


def _entries(made: Written, version: int, nodes: bool) -> list[dict[str, Any]]:
    found = []
    for layer in made.layers:
        options = dict(layer.options)
        if layer.kind == "InputLayer":
            options["batch_shape" if version == 3 else "batch_input_shape"] = [None, *made.shape]
        entry: dict[str, Any] = {"module": "keras.layers", "class_name": layer.kind, "config": options}
        if nodes:
            entry |= {"name": layer.name, "inbound_nodes": _nodes(layer.before, version)}
        found.append(entry)
    return found


def _nodes(before: tuple[str, ...], version: int) -> list[Any]:
    if not before:
        return []
    if version == 2:
        return [[[name, 0, 0, {}] for name in before]]
    tensors = [
        {"class_name": "__keras_tensor__", "config": {"keras_history": [name, 0, 0]}} for name in before
    ]
    return [{"args": tensors if len(tensors) == 1 else [tensors], "kwargs": {}}]


def hdf5_of(write: Callable[[h5py.File], None]) -> bytes:
    out = io.BytesIO()
    with h5py.File(out, "w") as file:
        write(file)
    return out.getvalue()


def _archive(made: Written, config: Mapping[str, Any]) -> bytes:
    """A ``.keras`` file, which numbers the layers of each class."""

    def write(file: h5py.File) -> None:
        used: dict[str, int] = {}
        for layer in made.layers:
            name = snake_case(layer.kind)
            number = used[name] = used.get(name, -1) + 1
            for at, array in enumerate(layer.weights):
                file[f"layers/{name}{f'_{number}' if number else ''}/vars/{at}"] = array

    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        archive.writestr("metadata.json", json.dumps({"keras_version": _VERSIONS[3]}))
        archive.writestr("config.json", json.dumps(config))
        archive.writestr("model.weights.h5", hdf5_of(write))
    return out.getvalue()


def _h5(made: Written, config: Mapping[str, Any], version: int) -> bytes:
    """An ``.h5`` file, which names the arrays of each layer."""

    def write(file: h5py.File) -> None:
        file.attrs["model_config"] = json.dumps(config)
        file.attrs["keras_version"], file.attrs["backend"] = _VERSIONS[version], "tensorflow"
        root = file.create_group("model_weights")
        root.attrs["layer_names"] = [layer.name.encode() for layer in made.layers]
        for layer in made.layers:
            group, names = root.create_group(layer.name), []
            for role, array in zip(WEIGHTS.get(layer.kind, ()), layer.weights, strict=False):
                names.append(f"{layer.name}/{role}:0" if version == 2 else f"{layer.name}/{role}")
                group[names[-1]] = array
            group.attrs["weight_names"] = [name.encode() for name in names]

    return hdf5_of(write)


Save = Callable[[nn.Sequential, tuple[int, ...], Path], None]


def _saver(version: int, h5: bool, functional: bool, scale: float | None = None) -> Save:
    def save(net: nn.Sequential, shape: tuple[int, ...], path: Path) -> None:
        made = written(net, shape, scale)
        branches = any(isinstance(part, Block) for part in net)
        config = (_functional if functional or branches else _sequential)(made, version)
        path.write_bytes(_h5(made, config, version) if h5 else _archive(made, config))

    return save


KERAS_FORMS: dict[str, tuple[str, Save]] = {
    "Keras 3, .keras": (".keras", _saver(3, False, False)),
    "Keras 3, .keras, functional": (".keras", _saver(3, False, True)),
    "Keras 3, .keras, pixels from 0 to 255": (".keras", _saver(3, False, False, 1 / 255)),
    "Keras 3, .h5": (".h5", _saver(3, True, False)),
    "Keras 2, .h5": (".h5", _saver(2, True, False)),
    "Keras 2, .h5, functional": (".h5", _saver(2, True, True)),
}
"""By name, the ending of the file and what writes it."""


def _convolutions(shape: Sequence[int], *widths: int) -> list[nn.Module]:
    made: list[nn.Module] = []
    before = shape[2]
    for width in widths:
        made += [nn.Conv2d(before, width, 3), nn.ReLU(), nn.MaxPool2d(2)]
        before = width
    return made


def mnist_convnet() -> nn.Sequential:
    """The layers of Keras's first example."""
    end = [nn.Flatten(), nn.Dropout(0.5), nn.Linear(1600, 10), nn.Softmax(1)]
    return nn.Sequential(*_convolutions((28, 28, 1), 32, 64), *end)


def quickstart() -> nn.Sequential:
    """The layers of TensorFlow's first example, which takes images without an axis for channels."""
    return nn.Sequential(
        nn.Flatten(), nn.Linear(784, 128), nn.ReLU(), nn.Dropout(0.2), nn.Linear(128, 10), nn.Softmax(1)
    )


def gtsrb() -> nn.Sequential:
    """Neural Cleanse's network for traffic signs."""
    made: list[nn.Module] = []
    before = 3
    for width in (32, 64, 128):
        made += [nn.Conv2d(before, width, 3, padding=1), nn.ReLU(), nn.Conv2d(width, width, 3), nn.ReLU()]
        made += [nn.MaxPool2d(2), nn.Dropout(0.2)]
        before = width
    end = [nn.Flatten(), nn.Linear(512, 512), nn.ReLU(), nn.Dropout(0.5), nn.Linear(512, 43), nn.Softmax(1)]
    return nn.Sequential(*made, *end)


def cifar10_resnet() -> nn.Sequential:
    """The layers of Keras's residual network for CIFAR-10, with one block a stage."""

    def conv(before: int, after: int, size: int, stride: int = 1) -> list[nn.Module]:
        pad = [nn.ZeroPad2d((0, 1, 0, 1))] if stride == 2 and size == 3 else []
        inside = size // 2 if stride == 1 else 0
        return [*pad, nn.Conv2d(before, after, size, stride, inside)]

    def block(before: int, after: int, stride: int) -> Block:
        body = [*conv(before, after, 3, stride), nn.BatchNorm2d(after), nn.ReLU()]
        body += [*conv(after, after, 3), nn.BatchNorm2d(after)]
        return Block(nn.Sequential(*body), nn.Sequential(*conv(before, after, 1, stride)))

    first = [*conv(3, 16, 3), nn.BatchNorm2d(16), nn.ReLU()]
    end = [nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(64, 10), nn.Softmax(1)]
    return nn.Sequential(*first, block(16, 16, 1), block(16, 32, 2), block(32, 64, 2), *end)
