"""Where a checkpoint keeps its weights, and what stands beside them. The outline decides, before anything is built."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from ti_core.loading.limits import LIMITS
from ti_core.loading.pickles.nodes import Call, Pairs, Ref, items_of, walk
from ti_core.loading.pickles.own.classes import is_module, own_classes, read_parts
from ti_core.loading.pickles.tensors import is_tensor
from ti_core.loading.pickles.values.arrays import array_of
from ti_core.text import few, shown

WRAPPERS = (
    "state_dict",
    "model_state_dict",
    "model_state",
    "net_state_dict",
    "model",
    "net",
    "network",
    "netC",
    "classifier",
    "weights",
    "params",
    "state",
    "module",
)
"""Keys under which training scripts save the weights or the whole module, the most telling first."""

AVERAGES = (
    *(
        "state_dict_ema",
        "ema_state_dict",
        "model_ema",
        "ema_model",
        "model_ema_state_dict",
        "ema",
        "params_ema",
    ),
    *("net_ema", "ema_net", "shadow", "ema_params", "swa_state_dict", "swa_model", "avg_model"),
)
"""Keys under which they save moving averages of the weights."""

_ELSEWHERE = ("optim", "sched", "scaler", "callback", "loop", "lr_")
"""Beginnings of the keys of what holds tensors and no network."""
_UNKNOWN, _AVERAGE = 100, 200
_LEVELS = 3


@dataclass(frozen=True)
class Contents:
    """The parts of a checkpoint.

    Parameters
    ----------
    root : everything.
    weights : the outline of a state dict, of a whole module, or of everything where neither is found.
    path : the keys that lead to it.
    around : the containers that it lies in, and itself.
    beside : what else lies in them, by key; of a state dict also its entries that are no tensors.
    left_out : the places of other weights that were not taken.
    several : the places of weights among which none can be chosen.
    everything : all of the file is to be built, whatever it is.
    """

    root: Any
    weights: Any
    path: tuple[str, ...] = ()
    around: tuple[Any, ...] = ()
    beside: tuple[tuple[str, Any], ...] = ()
    left_out: tuple[str, ...] = ()
    several: tuple[str, ...] = ()
    everything: bool = False

    @cached_property
    def is_state(self) -> bool:
        return not self.everything and is_state(self.weights)

    @cached_property
    def needed(self) -> list[Any]:
        """Every value that is built: the tensors of a state dict, or all of a module."""
        if not self.is_state:
            return list(walk(self.weights, read_parts))
        return list(walk([value for _, value in tensor_items(self.weights)]))

    @cached_property
    def own_classes(self) -> list[str]:
        """The unknown classes of the modules that are read, whose names alone count."""
        return [] if self.everything else own_classes(self.needed)

    @cached_property
    def ignored_names(self) -> list[str]:
        """The names that occur beside the weights only."""
        needed = {node.path for node in (*self.needed, *map(_function, self.around)) if isinstance(node, Ref)}
        whole = {node.path: None for node in walk(self.root) if isinstance(node, Ref)}
        return [path for path in whole if path not in needed]

    def remarks(self) -> list[str]:
        """What a person must know of the choice."""
        taken = shown(".".join(self.path))
        if self.left_out:
            return [
                f"The weights were taken from {taken} of the file; it also holds {few(self.left_out)}, not used."
            ]
        if any(name in AVERAGES for name in self.path):
            return [f"The weights were taken from {taken} of the file, a moving average over the training."]
        return []


def _function(node: Any) -> Any:
    return node.function if isinstance(node, Call) else None


def contents_of(root: Any) -> Contents:
    """The weights in a file's outline, and what stands beside them."""
    found = sorted(_candidates(root), key=lambda c: (c.rank, len(c.path)))
    known = [c for c in found if c.rank < _UNKNOWN]
    if is_module(root) or (is_state(root) and not known):
        return _chosen(root, _Candidate(root, (), (), 0), [])
    unknown = [c for c in found if c.rank == _UNKNOWN]
    if not known and len(unknown) > 1:
        return Contents(root, root, several=tuple(".".join(c.path) for c in unknown))
    return _chosen(root, found[0], found[1:]) if found else Contents(root, root)


@dataclass(frozen=True)
class _Candidate:
    """Weights below the root; ``around`` holds the containers that lead to them, the root first."""

    node: Any
    path: tuple[str, ...]
    around: tuple[Any, ...]
    rank: int

    @property
    def chain(self) -> tuple[Any, ...]:
        return (*self.around, self.node)


def _chosen(root: Any, chosen: _Candidate, others: list[_Candidate]) -> Contents:
    weights = {id(node) for candidate in (chosen, *others) for node in candidate.chain}
    beside = [(k, v) for holder in chosen.around for k, v in _entries(holder) if id(v) not in weights]
    around = chosen.around
    if is_state(chosen.node):
        tensors = {id(value) for _, value in tensor_items(chosen.node)}
        beside += [(k, v) for k, v in _entries(chosen.node) if id(v) not in tensors and not _is_packed(k)]
        around = chosen.chain
    left_out = tuple(".".join(other.path) for other in others)
    return Contents(root, chosen.node, chosen.path, around, tuple(beside[: LIMITS.texts]), left_out)


def _candidates(root: Any) -> Iterator[_Candidate]:
    """Every state dict and module below ``root``, at most a few levels deep, each once."""
    waiting = [_Candidate(root, (), (), 0)]
    seen = {id(root)}
    while waiting:
        at = waiting.pop()
        for key, value in _entries(at.node):
            name = key.lower()
            if (
                id(value) in seen
                or name.startswith(_ELSEWHERE)
                or not isinstance(value, (Pairs, Call, list, tuple))
            ):
                continue
            seen.add(id(value))
            rank = max(at.rank, _rank(key))
            found = _Candidate(value, (*at.path, key), (*at.around, at.node), rank)
            if is_module(value) or (is_state(value) and (rank != _UNKNOWN or _has_weight(value))):
                yield found
            if not is_module(value) and len(found.path) < _LEVELS and not _is_optimiser(value):
                waiting.append(found)


def _rank(key: str) -> int:
    if key in WRAPPERS:
        return WRAPPERS.index(key)
    return _AVERAGE + AVERAGES.index(key) if key in AVERAGES else _UNKNOWN


def _entries(node: Any) -> list[tuple[str, Any]]:
    """What a dictionary, list or tuple holds, by key; places in a list are numbered."""
    if isinstance(node, (list, tuple)):
        return [(str(i), value) for i, value in enumerate(node[: LIMITS.texts])]
    return [(key, value) for key, value in items_of(node) if isinstance(key, str)]


def is_state(node: Any) -> bool:
    """Whether ``node`` is a dictionary that holds tensors."""
    return bool(tensor_items(node))


def _has_weight(node: Any) -> bool:
    return any(key.rpartition(".")[2] == "weight" for key, _ in tensor_items(node) if isinstance(key, str))


def _is_optimiser(node: Any) -> bool:
    return any(key == "param_groups" for key, _ in _entries(node))


def _is_packed(key: str) -> bool:
    return key.endswith("_packed_params._packed_params")


def tensor_items(node: Any) -> list[tuple[Any, Any]]:
    """The tensors of a dictionary, by key. Arrays of numpy count where there is no tensor of torch.

    The weight and bias that torch packs into one entry of a quantised layer are named as those of a plain layer.
    """
    found: list[tuple[Any, Any]] = []
    for key, value in items_of(node):
        if is_tensor(value):
            found.append((key, value))
        elif isinstance(key, str) and _is_packed(key) and isinstance(value, tuple):
            layer = key.removesuffix("_packed_params._packed_params")
            parts = zip(("weight", "bias"), value, strict=False)
            found += [(f"{layer}{name}", part) for name, part in parts if is_tensor(part)]
    return found or [(key, value) for key, value in items_of(node) if array_of(value) is not None]
