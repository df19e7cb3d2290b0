"""Which array of the file belongs to which layer.

``.h5`` names its arrays after the layers, in lists; those of a nested model are one list. ``.keras`` numbers them, in
folders that are named after the classes of the layers in the order of the model.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import torch

from ti_core.errors import ModelFileError
from ti_core.loading.keras.graph import Graph, Layer
from ti_core.loading.keras.hdf5 import Hdf5
from ti_core.loading.keras.layers import KINDS
from ti_core.loading.keras.options import Options
from ti_core.loading.weights import as_weight
from ti_core.text import shown

Place = tuple[int, ...]
"""A layer: its number in the model, or the numbers of nested models down to it."""
Places = Mapping[Place, Sequence[str]]
"""The paths of the arrays of each layer, in Keras's order."""
_LIST, _LIST_2_13 = "layers", "_layer_checkpoint_dependencies"


def options_of(layer: Layer, version: int) -> Options:
    """The options of a layer."""
    return Options(layer.entry.values, layer.entry.label, version)


def roles_of(layer: Layer, version: int) -> list[str]:
    """Names of the weights of a layer, in Keras's order."""
    kind = KINDS.get(layer.entry.class_name)
    return [] if kind is None else kind.roles(options_of(layer, version))


def numbered(file: Hdf5, graph: Graph, version: int) -> Places:
    """The arrays of a ``.keras`` file."""
    found: dict[Place, list[str]] = {}
    listed = _LIST_2_13 if _LIST not in file.groups and _LIST_2_13 in file.groups else _LIST

    def collect(inner: Graph, path: str, place: Place) -> None:
        used: Counter[str] = Counter()
        for number, layer in enumerate(inner.layers):
            name = snake_case(layer.entry.class_name)
            own = f"{path}{listed}/{name}_{used[name]}" if used[name] else f"{path}{listed}/{name}"
            used[name] += 1
            if layer.nested is not None:
                collect(layer.nested, f"{own}/", (*place, number))
            else:
                count = len(roles_of(layer, version))
                found[*place, number] = [f"{own}/vars/{i}" for i in range(count)]

    collect(graph, "", ())
    return found


def snake_case(name: str) -> str:
    """The name of a class as Keras writes it in paths: ``BatchNormalization`` is ``batch_normalization``."""
    name = re.sub(r"\W+", "", name)
    name = re.sub("(.)([A-Z][a-z]+)", r"\1_\2", name)
    return re.sub("([a-z])([A-Z])", r"\1_\2", name).lower()


def listed(file: Hdf5, root: str, graph: Graph, version: int) -> Places:
    """The arrays of an ``.h5`` file, whose lists stand below ``root``."""
    found: dict[Place, list[str]] = {}
    for number, layer in enumerate(graph.layers):
        group = f"{root}/{layer.entry.name}".lstrip("/")
        names = (file.texts(group, "weight_names") if group in file.groups else None) or []
        if layer.nested is None:
            found[number,] = [f"{group}/{name}" for name in names]
            continue
        leaves = list(_leaves(layer.nested, (number,), layer.entry.values.get("trainable") is not False))
        places = _by_name(names, leaves, version) or _by_order(names, leaves, version)
        if places is None:
            raise ModelFileError(
                f"{layer.entry.label} is a model whose {len(names)} arrays cannot be told apart. Save the whole model"
                " as '.keras', which numbers them."
            )
        found |= {place: [f"{group}/{name}" for name in own] for place, own in places.items()}
    return found


def _leaves(graph: Graph, place: Place, trained: bool) -> Iterator[tuple[Place, Layer, bool]]:
    """The layers of a model, those of nested models in their place, and whether training changes them."""
    for number, layer in enumerate(graph.layers):
        changes = trained and layer.entry.values.get("trainable") is not False
        if layer.nested is None:
            yield (*place, number), layer, changes
        else:
            yield from _leaves(layer.nested, (*place, number), changes)


def _by_name(
    names: list[str], leaves: list[tuple[Place, Layer, bool]], version: int
) -> dict[Place, list[str]] | None:
    """Arrays by the names of their layers, ``.../layer/kernel:0``; None if the names do not tell."""
    wanted = {place: (layer.entry.name, len(roles_of(layer, version))) for place, layer, _ in leaves}
    places = {name: place for place, (name, count) in wanted.items() if count}
    if len(places) != sum(count > 0 for _, count in wanted.values()):
        return None
    found: dict[Place, list[str]] = {}
    for name in names:
        parts = name.split("/")[:-1]
        ends = ("/".join(parts[i:]) for i in range(len(parts)))
        place = next((places[end] for end in ends if end in places), None)
        if place is None:
            return None
        found.setdefault(place, []).append(name)
    fits = all(len(found.get(place, ())) == count for place, (_, count) in wanted.items())
    return found if fits else None


def _by_order(
    names: list[str], leaves: list[tuple[Place, Layer, bool]], version: int
) -> dict[Place, list[str]] | None:
    """Arrays by their order: those that training changes, then all others; None if there are too many or too few."""
    first: list[Place] = []
    later: list[Place] = []
    for place, layer, changes in leaves:
        kind = KINDS.get(layer.entry.class_name)
        if kind is not None:
            options = options_of(layer, version)
            (first if changes else later).extend([place] * len(kind.trained(options)))
            later += [place] * len(kind.fixed(options))
    order = [*first, *later]
    if len(order) != len(names):
        return None
    found: dict[Place, list[str]] = {}
    for place, name in zip(order, names, strict=True):
        found.setdefault(place, []).append(name)
    return found


def weights_of(
    layer: Layer, paths: Sequence[str], file: Hdf5, version: int, turned: bool
) -> dict[str, torch.Tensor]:
    """The weights of a layer by their names, as float32.

    Parameters
    ----------
    turned : whether kernels are stored turned round by half a turn, as the backend Theano kept them.

    Raises
    ------
    ModelFileError : an array is missing, or is not of finite numbers in floating point.
    """
    roles = roles_of(layer, version)
    if not roles:
        return {}
    if len(paths) != len(roles):
        raise ModelFileError(
            f"{layer.entry.label} has {len(paths)} arrays in the file; {len(roles)} are expected: {', '.join(roles)}."
        )
    found: dict[str, torch.Tensor] = {}
    for role, path in zip(roles, paths, strict=True):
        stored = file.arrays.get(path)
        if stored is None:
            raise ModelFileError(f"The file lacks the array '{shown(path)}' of {_lower(layer)}.")
        if role != "count":
            found[role] = _weight(file, path, stored.dtype)
    if turned and KINDS[layer.entry.class_name].flips:
        found[roles[0]] = found[roles[0]].flip(0, 1)
    return found


def _weight(file: Hdf5, path: str, dtype: str) -> torch.Tensor:
    if dtype not in ("float16", "float32", "float64", "bfloat16"):
        raise ModelFileError(
            f"The file's array '{shown(path)}' is stored as {shown(dtype, 40)}; only models in floating point can be"
            " inspected."
        )
    content: Any = file.read(path)
    return as_weight(torch.from_numpy(content), path, own=True)


def _lower(layer: Layer) -> str:
    return layer.entry.label[0].lower() + layer.entry.label[1:]
