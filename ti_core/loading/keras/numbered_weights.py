"""Weights alone as Keras 3 writes them into ``.weights.h5``: folders named after classes of layers, arrays by number.

The folders say neither the order of different classes nor what an array does. The order is that in which the arrays
were written, which the file keeps by their places; what an array does follows from the class and the shapes.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

import torch

from ti_core.errors import ModelFileError
from ti_core.loading.keras.hdf5 import Hdf5, Stored
from ti_core.loading.weights import as_weight
from ti_core.text import shown

FLOATS = ("float16", "float32", "float64", "bfloat16")
_ARRAY = re.compile(r"(?:(?P<owner>.+)/)?vars/(?P<number>\d{1,4})")
_LISTS = ("layers", "_layer_checkpoint_dependencies")
"""Folders that hold the layers of a model, and are no part of a layer's name."""
_ASIDE = ("optimizer", "seed_generator", "metrics", "compile_metrics", "loss_tracker")
"""Folders of training, which are no part of the network."""
_CLASSES = (
    "depthwise_conv2d",
    "separable_conv2d",
    "batch_normalization",
    "normalization",
    "p_re_lu",
    "conv2d_transpose",
)
"""Classes whose arrays shapes alone do not tell apart from those of others."""
_LEAST = 1e-7
"""The smallest deviation by which Keras divides."""
Arrays = Sequence[torch.Tensor]


def numbered_state(file: Hdf5) -> dict[str, torch.Tensor]:
    """The tensors by the names that torch would give them, in order; none where the file does not number its arrays.

    Raises
    ------
    ModelFileError : an array is missing, is of no known layer, or is not of finite numbers in floating point.
    """
    arrays_of: dict[str, dict[int, Stored]] = {}
    others: list[str] = []
    for stored in file.arrays.values():
        found = _ARRAY.fullmatch(stored.path)
        if found is None:
            others.append(stored.path)
        elif not set(stored.path.split("/")) & set(_ASIDE):
            arrays_of.setdefault(found["owner"] or "", {})[int(found["number"])] = stored
    if not arrays_of:
        return {}
    if others:
        raise _unknown(others[0])
    state: dict[str, torch.Tensor] = {}
    for owner, arrays in sorted(arrays_of.items(), key=_written):
        # A full stop separates the parts of a name, so a part has none of its own.
        parts = [part.replace(".", "_") for part in owner.split("/")]
        name = ".".join(part for part in parts if part not in _LISTS) or "layer"
        read = [_read(file, owner, arrays, number) for number in range(len(arrays))]
        for role, tensor in _roles(_class_of(parts[-1]), read, owner):
            if f"{name}.{role}" in state:
                raise ModelFileError(f"The file holds two layers of the name '{shown(name)}'.")
            state[f"{name}.{role}"] = tensor
    return state


def _written(arrays: tuple[str, dict[int, Stored]]) -> int:
    """When a layer was written: a later array may fill a gap, so the last place counts."""
    return max(stored.place for stored in arrays[1].values())


def _read(file: Hdf5, owner: str, arrays: dict[int, Stored], number: int) -> torch.Tensor:
    stored = arrays.get(number)
    if stored is None:
        raise ModelFileError(f"The file lacks the array {number} of the layer '{shown(owner)}'.")
    if stored.dtype not in FLOATS:
        # A normalisation counts what it has seen.
        if number == len(arrays) - 1 and number == 2 and not stored.shape:
            return torch.zeros(())
        raise _unknown(owner, f"stored as {shown(stored.dtype, 40)}")
    return as_weight(torch.from_numpy(file.read(stored.path)), stored.path, own=True)


def _class_of(folder: str) -> str:
    """The class in a folder's name, which may end in a number; "" for another one."""
    name = re.sub(r"_\d+$", "", folder)
    return name if name in _CLASSES else ""


def _roles(kind: str, arrays: Arrays, owner: str) -> Iterator[tuple[str, torch.Tensor]]:
    """What each array of a layer is in torch, with its axes in torch's order."""
    first, *rest = arrays
    bias = [("bias", rest[-1])] if rest and rest[-1].ndim == 1 else []
    ranks = [array.ndim for array in arrays]
    if kind == "conv2d_transpose" or any(0 in array.shape for array in arrays):
        raise _unknown(owner)
    if kind == "normalization" and len(arrays) >= 2:
        yield "mean", first.flatten()
        yield "std", rest[0].flatten().clamp_min(0).sqrt().clamp_min(_LEAST)
    elif ranks in ([4, 4], [4, 4, 1]):
        yield "depthwise.weight", depthwise(first)
        yield "pointwise.weight", rest[0].permute(3, 2, 0, 1).contiguous()
        yield from (("pointwise.bias", tensor) for _, tensor in bias)
    elif ranks in ([4], [4, 1]):
        apart = kind == "depthwise_conv2d" or _by_channel(first, [tensor for _, tensor in bias])
        yield "weight", depthwise(first) if apart else first.permute(3, 2, 0, 1).contiguous()
        yield from bias
    elif ranks in ([2], [2, 1]):
        yield "weight", first.T.contiguous()
        yield from bias
    elif len(arrays) == 1 and first.ndim in (1, 3) and first.shape[:-1].numel() == 1:
        yield "weight", first.flatten()
    elif set(ranks) == {1} and len(arrays) <= 4:
        yield from zip(_norm_roles(kind, arrays), arrays, strict=True)
    else:
        raise _unknown(owner)


def depthwise(kernel: torch.Tensor) -> torch.Tensor:
    """A depthwise kernel ``h x w x channels x times`` as that of a grouped convolution."""
    high, wide, inner, many = kernel.shape
    return kernel.permute(2, 3, 0, 1).reshape(inner * many, 1, high, wide).contiguous()


def _by_channel(kernel: torch.Tensor, bias: Arrays) -> bool:
    """Whether a kernel is a depthwise one, as the length of its bias shows."""
    inner, many = kernel.shape[2:]
    return bool(bias) and len(bias[0]) == inner * many != many


def _norm_roles(kind: str, arrays: Arrays) -> tuple[str, ...]:
    """What the vectors of a normalisation are: the scale and the shift may be missing."""
    if len(arrays) == 4:
        return "weight", "bias", "running_mean", "running_var"
    if len(arrays) == 3:
        # A scale begins at 1 and a shift at 0, and training moves neither far.
        scale = float((arrays[0] - 1).abs().mean()) < float(arrays[0].abs().mean())
        return "weight" if scale else "bias", "running_mean", "running_var"
    return ("running_mean", "running_var") if kind == "batch_normalization" else ("weight", "bias")


def _unknown(owner: str, why: str = "") -> ModelFileError:
    what = f" ({why})" if why else ""
    return ModelFileError(
        f"The file's arrays of '{shown(owner)}'{what} belong to no layer of a plain network."
    )
