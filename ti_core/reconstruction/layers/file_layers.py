"""The layers of a state dict: its tensors, joined by the names of the layers that own them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import torch

from ti_core.reconstruction.sketch import Layer

_ROLES = {
    "weight": "weight",
    "kernel": "weight",
    "w": "weight",
    "W": "weight",
    "gamma": "weight",
    "bias": "bias",
    "b": "bias",
    "beta": "bias",
    "running_mean": "mean",
    "running_var": "var",
    "mean": "mean",
    "std": "std",
    "num_batches_tracked": "",
}
"""What a tensor does in its layer, by the last part of its name; "" for what does nothing."""


@dataclass(frozen=True)
class FileLayer:
    """One layer of a file.

    Parameters
    ----------
    name : the name that its tensors share.
    kind : "conv", "linear", "batchnorm", "norm" (a scale and a shift without running statistics), "prelu",
        "normalise" (a mean and a deviation), or "other".
    tensors : by what they do: weight, bias, mean, var, std.
    keys : their names in the file.
    stated : the layer with its options, where a whole module says them.
    """

    name: str
    kind: str
    tensors: Mapping[str, torch.Tensor]
    keys: tuple[str, ...]
    stated: Layer | None = None

    @property
    def shape(self) -> tuple[int, ...]:
        """The shape of the weight, or of the first tensor."""
        tensor = self.tensors.get("weight", next(iter(self.tensors.values())))
        return tuple(tensor.shape)

    @property
    def out(self) -> int:
        """Number of channels or units that it returns."""
        return self.shape[0]

    @property
    def bias(self) -> bool:
        return "bias" in self.tensors

    def says(self) -> str:
        """The layer with its shape, for a person."""
        return f"{self.name} ({' x '.join(map(str, self.shape))})"


def file_layers(state: Mapping[str, torch.Tensor]) -> tuple[FileLayer, ...]:
    """The layers of a state dict in the order of their first tensors."""
    owners: dict[str, dict[str, str]] = {}
    for key in state:
        owner, _, last = key.rpartition(".")
        role = _ROLES.get(last)
        if role is None:
            owner, role = _spelt(key)
        if role == "":
            continue
        owned = owners.setdefault(owner, {})
        if role in owned:
            owned = owners.setdefault(key, {})
        owned[role] = key
    found = []
    for owner, roles in owners.items():
        tensors = {role: state[key] for role, key in roles.items()}
        found.append(FileLayer(owner, _kind(tensors), tensors, tuple(roles.values())))
    return tuple(_joined(found))


def _spelt(key: str) -> tuple[str, str]:
    """Owner and role of names such as ``conv1_weight`` and ``b2``."""
    for ending, role in _ROLES.items():
        if role and len(ending) > 1 and key.endswith(f"_{ending}"):
            return key.removesuffix(f"_{ending}"), role
    return key, "weight"


def _kind(tensors: Mapping[str, torch.Tensor]) -> str:
    weight, roles = tensors.get("weight"), set(tensors)
    if "mean" in roles and "var" in roles:
        mean = tensors["mean"]
        same = all(t.shape == mean.shape for t in tensors.values())
        return (
            "batchnorm" if mean.ndim == 1 and same and roles <= {"weight", "bias", "mean", "var"} else "other"
        )
    if roles == {"mean", "std"}:
        return "normalise" if tensors["mean"].numel() in (1, 3) else "other"
    if weight is None or not roles <= {"weight", "bias"}:
        return "other"
    bias = tensors.get("bias")
    if weight.ndim in (2, 4):
        fits = bias is None or tuple(bias.shape) == (weight.shape[0],)
        return {2: "linear", 4: "conv"}[weight.ndim] if fits and 0 not in weight.shape else "other"
    if bias is not None and bias.shape == weight.shape and weight.ndim in (1, 3):
        return "norm"
    return "prelu" if bias is None and weight.ndim == 1 else "other"


def _lacks_bias(layer: FileLayer) -> bool:
    """Whether it is a lone weight, whose bias may follow under a name of its own."""
    return layer.kind in ("conv", "linear") and layer.keys == (layer.name,)


def _joined(layers: list[FileLayer]) -> list[FileLayer]:
    """A lone vector behind a layer without a bias is its bias, if no names say otherwise (``W1``, ``b1``)."""
    found: list[FileLayer] = []
    for layer in layers:
        last = found[-1] if found else None
        lone = layer.kind == "prelu" and layer.keys == (layer.name,)
        if lone and last is not None and _lacks_bias(last) and layer.shape == (last.out,):
            both = {**last.tensors, "bias": layer.tensors["weight"]}
            found[-1] = FileLayer(last.name, last.kind, both, (*last.keys, *layer.keys))
            continue
        found.append(layer)
    return found
