"""Weights of Keras without a configuration, as ``model.save_weights`` writes them: a state dict in order.

Keras 2 lists its layers in the order of the model; :mod:`numbered_weights` says what Keras 3 does. Kernels are turned
into torch's order of axes, and the rows of the first dense layer behind an image into the order in which torch flattens
one. The options are not in the file.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import replace

import torch

from ti_core.errors import ModelFileError
from ti_core.loading.keras.hdf5 import MAGIC, Hdf5
from ti_core.loading.keras.numbered_weights import FLOATS, depthwise, numbered_state
from ti_core.loading.names import check_name
from ti_core.loading.weights import as_weight
from ti_core.reconstruction.layers.file_layers import FileLayer, file_layers
from ti_core.reconstruction.layers.orders import orders
from ti_core.reconstruction.sketch import Layer
from ti_core.text import shown

ROLES = {
    "kernel": "weight",
    "bias": "bias",
    "gamma": "weight",
    "beta": "bias",
    "moving_mean": "running_mean",
    "moving_variance": "running_var",
    "alpha": "weight",
}
"""The names of Keras's weights, and what they are in torch."""
DEPTHWISE, POINTWISE = "depthwise_kernel", "pointwise_kernel"
KERAS_NORM = Layer("batchnorm", (), (("eps", (0.001,)),))
"""Keras adds 0.001 to a variance unless it is told otherwise, torch 0.00001."""


def weights_only(data: bytes) -> tuple[FileLayer, ...] | None:
    """The layers of a file of weights alone, in order; None for a whole model, or where no order is stored.

    Raises
    ------
    ModelFileError : a weight is of no known kind, is missing, or is not of finite numbers in floating point.
    RefusedFileError : the file exceeds the limits, or holds something that Keras never writes.
    """
    if not data.startswith(MAGIC):
        return None
    file = Hdf5(data)
    if file.text("", "model_config") is not None:
        return None
    root = "model_weights" if "model_weights" in file.groups else ""
    names = file.texts(root, "layer_names")
    state = numbered_state(file) if names is None else {}
    if not names and not state:
        return None
    for name in names or ():
        state |= dict(_of_layer(file, f"{root}/{name}".lstrip("/"), name.replace(".", "_")))
    for key in state:
        check_name(key)
    if not state:
        raise ModelFileError("The HDF5 file lists layers of Keras, but none of them has weights.")
    layers = _flattened(file_layers(state))
    return tuple(replace(one, stated=KERAS_NORM) if one.kind == "batchnorm" else one for one in layers)


def _of_layer(file: Hdf5, group: str, name: str) -> Iterator[tuple[str, torch.Tensor]]:
    held = (file.texts(group, "weight_names") if group in file.groups else None) or []
    separable = any(path.rpartition("/")[2].startswith(POINTWISE) for path in held)
    for path in held:
        stored = file.arrays.get(f"{group}/{path}")
        if stored is None:
            raise ModelFileError(f"The file lacks the array '{shown(path)}' of the layer '{shown(name)}'.")
        last = path.rpartition("/")[2].partition(":")[0]
        if last not in (*ROLES, DEPTHWISE, POINTWISE) or stored.dtype not in FLOATS:
            raise ModelFileError(
                f"The file's array '{shown(path)}' ({shown(stored.dtype, 40)}) belongs to no layer of a plain network."
            )
        array = as_weight(torch.from_numpy(file.read(f"{group}/{path}")), path, own=True)
        if last == DEPTHWISE and array.ndim == 4:
            yield f"{name}.depthwise.weight" if separable else f"{name}.weight", depthwise(array)
            continue
        if last in ("kernel", POINTWISE) and array.ndim == 4:
            array = array.permute(3, 2, 0, 1).contiguous()
        elif last == "kernel":
            array = array.movedim(-1, 0).contiguous()
        own = f"{name}.pointwise" if separable else name
        yield f"{own}.{ROLES.get(last, 'weight')}", array


def _flattened(layers: tuple[FileLayer, ...]) -> Iterator[FileLayer]:
    """The layers, with the columns of the first dense layer behind a convolution in torch's order: channels first.

    Which convolution stands before it is told by the likeliest order of the layers.
    """
    channels = 0
    turned: dict[str, FileLayer] = {}
    for layer in orders(layers)[0][1]:
        if layer.kind == "linear" and channels:
            inner = layer.shape[1]
            side = math.isqrt(inner // channels)
            if side > 1 and side * side * channels == inner:
                weight = layer.tensors["weight"].reshape(-1, side, side, channels)
                columns = weight.permute(0, 3, 1, 2).reshape(-1, inner).contiguous()
                turned[layer.name] = replace(layer, tensors={**layer.tensors, "weight": columns})
            channels = 0
        elif layer.kind == "conv":
            channels = layer.out
    return (turned.get(layer.name, layer) for layer in layers)
