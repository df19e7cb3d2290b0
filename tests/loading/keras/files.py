"""The stored files of Keras with its own answers, and files made at the time of a test."""

from __future__ import annotations

import io
import json
import tarfile
import zipfile
from collections.abc import Callable, Mapping
from functools import cache
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import torch

from ti_core.loading.keras import open_keras
from ti_core.loading.model_file import ModelFile
from ti_core.reconstruction.model import Model

DATA = Path(__file__).resolve().parent / "data"


@cache
def stored() -> dict[str, bytes]:
    """The files of both versions of Keras, by name."""
    found = {}
    for version in (2, 3):
        with tarfile.open(DATA / f"keras-{version}.tar.xz") as archive:
            for member in archive.getmembers():
                content = archive.extractfile(member)
                assert content is not None
                found[f"{version}/{member.name}" if member.name == "answers.json" else member.name] = (
                    content.read()
                )
    return found


@cache
def answers() -> dict[str, Any]:
    """What Keras answered to :func:`images`, by the file's name."""
    return {
        name: record
        for version in (2, 3)
        for name, record in json.loads(stored()[f"{version}/answers.json"]).items()
    }


def images(shape: tuple[int, ...], scale: float = 1.0) -> torch.Tensor:
    """The images of ``make_files.py``, as ``N x C x H x W``."""
    size = int(np.prod(shape))
    at = np.arange(3 * size, dtype=np.int64)
    bands = (at // (size // 5 + 1)) * 53 % 131
    x = ((at * 7919 + at**2 * 31) % 121 + bands).astype(np.float32).reshape(3, *shape) / np.float32(250)
    if len(shape) == 1:
        x = x.reshape(3, 28, 28, 1)
    elif len(shape) == 2:
        x = x[..., None]
    return torch.from_numpy(x * np.float32(scale)).permute(0, 3, 1, 2)


def opened(data: bytes, name: str = "model") -> Model:
    return open_keras(ModelFile(Path(name), data, "0" * 64))


def archive_of(config: Any, weights: bytes, version: str = "3.10.0", **others: bytes) -> bytes:
    """A ``.keras`` file."""
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        archive.writestr("metadata.json", json.dumps({"keras_version": version}))
        archive.writestr("config.json", config if isinstance(config, (str, bytes)) else json.dumps(config))
        archive.writestr("model.weights.h5", weights)
        for name, content in others.items():
            archive.writestr(name.replace("__", "."), content)
    return out.getvalue()


def hdf5_of(write: Callable[[h5py.File], None]) -> bytes:
    """An HDF5 file."""
    out = io.BytesIO()
    with h5py.File(out, "w") as file:
        write(file)
    return out.getvalue()


def weights_of(arrays: Mapping[str, Any]) -> bytes:
    """The weights of a ``.keras`` file, by the names of their layers' folders."""

    def write(file: h5py.File) -> None:
        for name, values in arrays.items():
            for number, value in enumerate(values):
                file[f"layers/{name}/vars/{number}"] = np.asarray(value, np.float32)

    return hdf5_of(write)


def layer(kind: str, name: str = "", module: str = "keras.layers", **options: Any) -> dict[str, Any]:
    """A layer's entry in a configuration."""
    name = name or kind.lower()
    return {
        "module": module,
        "class_name": kind,
        "config": {"name": name, **options},
        "registered_name": None,
    }


def sequential(*layers: dict[str, Any], shape: tuple[int | None, ...] = (None, 8, 8, 3)) -> dict[str, Any]:
    first = {"class_name": "InputLayer", "config": {"name": "input", "batch_shape": list(shape)}}
    return {"class_name": "Sequential", "config": {"name": "model", "layers": [first, *layers]}}


def dense(features: int, classes: int = 4, **options: Any) -> tuple[dict[str, Any], list[Any]]:
    """A dense layer at the end, and its weights."""
    rng = np.random.default_rng(0)
    entry = layer("Dense", units=classes, activation="linear", use_bias=True, **options)
    return entry, [rng.normal(size=(features, classes)), rng.normal(size=classes)]


def through(*layers: dict[str, Any], x: torch.Tensor, **arrays: Any) -> torch.Tensor:
    """What layers make of images ``N x H x W x C``, as Keras lays them out. Two more classes of 0 stand behind it."""
    found = small(*layers, shape=tuple(x.shape[1:]), **arrays).module.graph.parts[:-2]
    y = x
    for part in found:
        y = part(y)
    return y


def small(
    *layers: dict[str, Any], shape: tuple[int, ...] = (8, 8, 3), classes: int = 4, **arrays: Any
) -> Model:
    """A model of these layers, a mean over the image, and a dense layer; its weights by the folders of the layers."""
    probe = arrays.pop("features", shape[-1])
    end, weights = dense(probe, classes)
    config = sequential(*layers, layer("GlobalAveragePooling2D"), end, shape=(None, *shape))
    return opened(archive_of(config, weights_of({**arrays, "dense": weights})))
