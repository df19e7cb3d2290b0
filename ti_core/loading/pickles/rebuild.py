"""The constructor's arguments and the numbers of a rebuilt layer, each checked before it is used."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import nn

from ti_core.errors import ModelFileError, RefusedFileError
from ti_core.loading.pickles.layer_table import LAYERS
from ti_core.loading.pickles.records import Record
from ti_core.loading.weights import as_buffer, as_weight, frozen
from ti_core.text import shown

_STRUCTURE = {"_modules", "_parameters", "_buffers"}
_ENLARGING = {
    "padding",
    "output_padding",
    "output_size",
    "size",
    "scale_factor",
    "upscale_factor",
    "dilation",
}
_SIMPLE = (bool, int, float, str, type(None))


def class_of(path: str) -> type[nn.Module]:
    """The class of a path in :data:`LAYERS`, taken from torch itself."""
    cls: type[nn.Module] = getattr(nn, path.rpartition(".")[2])
    return cls


def arguments(record: Record, where: str) -> dict[str, Any]:
    """The constructor's arguments from the record's attributes. Those that an old file lacks keep defaults."""
    found = {}
    for name in LAYERS[record.path]:
        if name == "bias":
            found[name] = record.parameters.get("bias") is not None
        elif name in record.state:
            found[name] = argument(record.state[name], name, where)
    return found


def argument(value: Any, name: str, where: str) -> Any:
    """``value``, if it is a plain setting of a sensible size. Otherwise RefusedFileError is raised."""
    parts = value if isinstance(value, (tuple, list)) else (value,)
    # Settings that enlarge the image have a low limit, because memory grows with their square.
    limit = 1024 if name in _ENLARGING else 1 << 24
    if not all(type(part) in _SIMPLE for part in parts) or any(
        type(part) in (int, float) and not abs(part) <= limit for part in parts
    ):
        raise RefusedFileError(f"The file's layer {shown(where)} has an impossible {name}.")
    return value


def construct(cls: type[nn.Module], kwargs: Mapping[str, Any], where: str) -> Any:
    """Build a layer without memory. Memory is taken only once the tensors have agreed with the sizes."""
    try:
        with torch.device("meta"):
            return cls(**kwargs)
    except Exception as error:
        raise ModelFileError(
            f"The file's layer {shown(where)} cannot be a {cls.__name__} with its settings."
        ) from error


def check_attributes(
    record: Record, fresh: nn.Module, where: str, allowed: frozenset[str] | set[str] = frozenset()
) -> None:
    """Refuse hooks, attributes that hide methods, and anything that could be called."""
    for name, value in record.state.items():
        if "_hook" in name:
            if not (
                value is None or isinstance(value, bool) or (isinstance(value, (dict, list)) and not value)
            ):
                raise RefusedFileError(
                    f"The file's layer {shown(where)} carries hooks, which run code with every image; "
                    "remove them before saving (weight_norm and spectral_norm are hooks too)."
                )
        elif name in _STRUCTURE or name in allowed:
            continue
        elif name not in fresh.__dict__ and hasattr(type(fresh), name):
            raise RefusedFileError(
                f"The file's layer {shown(where)} hides its own {shown(name)} behind an attribute."
            )
        elif isinstance(value, Record) or (isinstance(value, type) and issubclass(value, Record)):
            raise RefusedFileError(
                f"The file's layer {shown(where)} keeps something that runs in {shown(name)}."
            )


def fill(layer: nn.Module, record: Record, where: str) -> None:
    """Put the record's parameters and buffers into ``layer``. Their names and shapes must agree."""
    stored = record.parameters
    own = layer._parameters
    if {n for n, v in own.items() if v is not None} != {n for n, v in stored.items() if v is not None}:
        raise ModelFileError(
            f"The file's layer {shown(where)} does not have the weights that a {kind_of(record)} has."
        )
    for name, parameter in own.items():
        if parameter is not None:
            own[name] = frozen(
                _of_shape(as_weight(stored[name], f"{where}.{name}"), parameter, f"{where}.{name}")
            )
    buffers = record.buffers
    for name, buffer in layer._buffers.items():
        if buffer is None:
            continue
        if buffers.get(name) is not None:
            layer._buffers[name] = _of_shape(
                as_buffer(buffers[name], f"{where}.{name}"), buffer, f"{where}.{name}"
            )
        elif name == "num_batches_tracked":
            layer._buffers[name] = torch.zeros((), dtype=torch.long)
        else:
            raise ModelFileError(f"The file's layer {shown(where)} lacks its {shown(name)}.")


def _of_shape(tensor: torch.Tensor, like: torch.Tensor, where: str) -> torch.Tensor:
    if tensor.shape != like.shape:
        raise ModelFileError(
            f"The file's tensor {shown(where)} has the shape {tuple(tensor.shape)} where its layer needs "
            f"{tuple(like.shape)}."
        )
    return tensor


def kind_of(record: Record) -> str:
    """The name of the class that the record stands for."""
    return record.path.rpartition(".")[2]
