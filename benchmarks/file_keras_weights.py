"""Writes networks of torch as weights of Keras 2 and 3 without a configuration, for ``benchmarks.files``."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import h5py
from torch import nn

from benchmarks.file_keras import WEIGHTS, Save, Written, hdf5_of, written
from ti_core.loading.keras.weights import snake_case


def _listed(made: Written) -> Callable[[h5py.File], None]:
    """As ``model.save_weights("model.h5")`` of Keras 2: the layers are listed in order."""

    def write(file: h5py.File) -> None:
        file.attrs["layer_names"] = [layer.name.encode() for layer in made.layers]
        for layer in made.layers:
            group, names = file.create_group(layer.name), []
            for role, array in zip(WEIGHTS.get(layer.kind, ()), layer.weights, strict=False):
                names.append(f"{layer.name}/{role}:0")
                group[names[-1]] = array
            group.attrs["weight_names"] = [name.encode() for name in names]

    return write


def _numbered(made: Written) -> Callable[[h5py.File], None]:
    """As ``model.save_weights("model.weights.h5")`` of Keras 3: layers have a number among those of their class."""

    def write(file: h5py.File) -> None:
        used: dict[str, int] = {}
        for layer in made.layers:
            kind = snake_case(layer.kind)
            number = used[kind] = used.get(kind, -1) + 1
            group = file.create_group(f"layers/{kind}{f'_{number}' if number else ''}/vars")
            group.attrs["name"] = layer.name
            for at, array in enumerate(layer.weights):
                group[str(at)] = array

    return write


def _saver(write: Callable[[Written], Callable[[h5py.File], None]]) -> Save:
    def save(net: nn.Sequential, shape: tuple[int, ...], path: Path) -> None:
        path.write_bytes(hdf5_of(write(written(net, shape))))

    return save


KERAS_WEIGHTS: dict[str, tuple[str, Save]] = {
    "Keras 3, weights alone": (".weights.h5", _saver(_numbered)),
    "Keras 2, weights alone": (".h5", _saver(_listed)),
}
"""By name, the ending of the file and what writes it."""
