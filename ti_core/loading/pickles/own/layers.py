"""The layers of a whole module of an unknown class in order of registration, and what it says beside their tensors."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import pairwise
from typing import Any

import torch
from torch import nn

from ti_core.errors import ModelFileError, RefusedFileError
from ti_core.loading.limits import LIMITS
from ti_core.loading.match import converted_state
from ti_core.loading.names import check_name
from ti_core.loading.pickles.layer_table import LAYERS, WRAPPERS
from ti_core.loading.pickles.layers import LayerBuilder
from ti_core.loading.pickles.networks import NETWORK_CLASSES, NETWORK_PARTS
from ti_core.loading.pickles.own.drawing import EMPTY, drawn
from ti_core.loading.pickles.rebuild import check_attributes
from ti_core.loading.pickles.records import Record
from ti_core.loading.state_dict import State
from ti_core.reconstruction.layers.file_layers import FileLayer, file_layers
from ti_core.reconstruction.sketch import Layer
from ti_core.reconstruction.whole.choices import acts_of, pools_of
from ti_core.reconstruction.whole.facts import Gap, Stated
from ti_core.text import shown

_PATH = "torch.nn.modules.container."
_IN_A_ROW = f"{_PATH}Sequential"
_CONTAINERS = (_IN_A_ROW, f"{_PATH}ModuleList")


def unknown_class(record: Record) -> str:
    """The first class in a module that is not known, so that only its layers can be read; "" if all are."""
    if unwrapped(record).path in (*NETWORK_CLASSES, *NETWORK_PARTS):
        return ""
    waiting: list[Any] = [unwrapped(record)]
    seen: set[int] = set()
    while waiting:
        at = waiting.pop()
        if id(at) in seen or not isinstance(at, Record):
            continue
        seen.add(id(at))
        if at.path not in LAYERS and at.path not in WRAPPERS:
            return at.path
        if at.path in _CONTAINERS or at.path in WRAPPERS:
            waiting += reversed(at.children.values())
    return ""


def unwrapped(record: Record) -> Record:
    """The module inside of the wrappers that only call it."""
    while record.path in WRAPPERS:
        check_attributes(record, nn.Identity(), "model")
        inner = record.children.get("module")
        if not isinstance(inner, Record):
            raise ModelFileError("The file holds a DataParallel wrapper with no network inside.")
        record = inner
    return record


@dataclass(frozen=True)
class Described:
    """A whole module's tensors by name, its layers, and the facts about it.

    Parameters
    ----------
    strange : layers without weights that no sketch can name, in words.
    """

    state: State
    layers: tuple[FileLayer, ...]
    stated: Stated
    strange: tuple[str, ...] = ()


@dataclass(frozen=True)
class _Place:
    """A layer without parts: its name, the parts that it lies in, and what it is; ``layer`` is None if unknown."""

    name: str
    inside: tuple[tuple[str, bool], ...]
    layer: Layer | None
    weighted: bool = False


@dataclass
class _Walk:
    builder: LayerBuilder = field(default_factory=LayerBuilder)
    state: State = field(default_factory=dict)
    places: list[_Place] = field(default_factory=list)
    own: set[str] = field(default_factory=set)
    sums: set[str] = field(default_factory=set)
    strange: list[str] = field(default_factory=list)
    _at: dict[int, _Place | None] = field(default_factory=dict)
    _count: int = 0

    def enter(self, record: Record, name: str, inside: tuple[tuple[str, bool], ...]) -> None:
        self._count += 1
        if self._count > LIMITS.modules:
            raise RefusedFileError(f"The file's module has more than {LIMITS.modules} layers.")
        if record.path in WRAPPERS:
            record = unwrapped(record)
        if record.path in LAYERS and record.path not in _CONTAINERS:
            self._leaf(record, name, inside)
            return
        if id(record) in self._at:
            # The same part under a second name runs elsewhere; its tensors are there already.
            return
        self._at[id(record)] = None
        self._part(record, name, inside)

    def _part(self, record: Record, name: str, inside: tuple[tuple[str, bool], ...]) -> None:
        row = record.path == _IN_A_ROW
        check_attributes(record, nn.Module(), name or "model", allowed=_anything(record))
        tensors = {**record.parameters, **record.buffers}
        held = {key: value for key, value in tensors.items() if isinstance(value, torch.Tensor)}
        within = (*inside, (name, row))
        for key, value in held.items():
            self.state[_joined(name, key)] = value
        if held:
            self.places.append(_Place(name, within, None, weighted=True))
        children = {key: child for key, child in record.children.items() if child is not None}
        if not row and record.path != f"{_PATH}ModuleList":
            self.own.add(name)
            if any(isinstance(child, Record) and _is_empty(child) for child in children.values()):
                self.sums.add(name)
        if not children and not held and not row:
            self.places.append(_Place(name, inside, None))
        for key, child in children.items():
            if not isinstance(child, Record):
                raise RefusedFileError(f"The file's part {shown(_joined(name, key))} is no layer.")
            self.enter(child, _joined(name, key), within)

    def _leaf(self, record: Record, name: str, inside: tuple[tuple[str, bool], ...]) -> None:
        known = self._at.get(id(record))
        if known is not None and not inside[-1][1]:
            # Registered again outside of a row: its first place says more, or as much.
            return
        built = self.builder.build(record, name or "model")
        if isinstance(built, EMPTY):
            return
        tensors = built.state_dict()
        if known is not None and known.weighted:
            self._forget(known)
        for key, value in tensors.items():
            self.state[_joined(name, key)] = value
        place = _Place(name, inside, drawn(built), weighted=bool(tensors))
        if place.layer is None and not place.weighted:
            self.strange.append(f"{shown(name, 80)} ({type(built).__name__})")
        self.places.append(place)
        self._at[id(record)] = place if place.weighted else None

    def _forget(self, place: _Place) -> None:
        self.places.remove(place)
        for key in [key for key in self.state if key.rpartition(".")[0] == place.name]:
            del self.state[key]


def _anything(record: Record) -> set[str]:
    """Attributes of a part that is never called may have any name but that of a hook."""
    return {name for name in record.state if "_hook" not in name}


def _is_empty(record: Record) -> bool:
    return record.path.endswith(".Identity") or (record.path in _CONTAINERS and not record.children)


def _joined(name: str, last: str) -> str:
    return f"{name}.{last}" if name else last


def described(record: Record) -> Described:
    """The layers of a module whose class is not known, as far as torch.nn knows them.

    Raises
    ------
    RefusedFileError : a layer carries hooks, or settings beyond the limits.
    ModelFileError : a layer's tensors do not fit its settings, or there are no tensors.
    """
    walk = _Walk()
    walk.enter(unwrapped(record), "", ())
    if not walk.state:
        raise ModelFileError("The file's module holds no weights.")
    for key in walk.state:
        check_name(key)
    state = converted_state(walk.state)
    options = {place.name: place.layer for place in walk.places if place.weighted}
    layers = tuple(replace(layer, stated=options.get(layer.name)) for layer in file_layers(state))
    plain = [place.layer for place in walk.places if place.layer is not None and not place.weighted]
    stated = Stated(
        dict(_gaps(walk.places)),
        acts_of(plain),
        pools_of(plain),
        frozenset(walk.own),
        frozenset(walk.sums),
    )
    return Described(state, layers, stated, tuple(walk.strange))


def _gaps(places: list[_Place]) -> Iterator[tuple[tuple[str, str], Gap]]:
    """Between each two neighbours with weights, what is registered there."""
    ends = [None, *(place for place in places if place.weighted), None]
    rest = list(places)
    for before, behind in pairwise(ends):
        between: list[_Place] = []
        while rest and not rest[0].weighted:
            between.append(rest.pop(0))
        if rest:
            rest.pop(0)
        known = [(place.name, place.layer) for place in between if place.layer is not None]
        complete = len(known) == len(between)
        sure = complete and all(_in_a_row(before, one) or _in_a_row(one, behind) for one in between)
        outer = before or behind
        exact = sure and (_in_a_row(before, behind) if before and behind else _alone(outer))
        names = (before.name if before else "", behind.name if behind else "")
        yield names, Gap(tuple(known), exact, sure)


def _in_a_row(before: _Place | None, behind: _Place | None) -> bool:
    """Whether containers that run their parts in a row hold everything from one layer to the other."""
    if before is None or behind is None:
        return False
    ends = (before.inside, behind.inside)
    shared = 0
    while shared < min(map(len, ends)) and ends[0][shared] == ends[1][shared]:
        shared += 1
    return all(row for end in ends for _, row in end[shared - 1 :])


def _alone(place: _Place | None) -> bool:
    """Whether nothing but rows lies around a layer, so that the network begins or ends with what is registered."""
    return place is not None and all(row for _, row in place.inside)


def agreeing(networks: Iterable[nn.Module], found: Described) -> bool:
    """Whether one of the networks has the options that the file states, and its activations."""
    return any(_agrees(network, found) for network in networks)


def _agrees(network: nn.Module, found: Described) -> bool:
    parts = {name: drawn(part) for name, part in network.named_modules()}
    own = acts_of(layer for layer in parts.values() if layer is not None) or (Layer("relu"),)
    names = _spelt([layer.name for layer in found.layers], parts)
    options = [(parts[names[one.name]], one.stated) for one in found.layers if one.name in names]
    return (
        len(options) == len(found.layers)
        and all(theirs is None or ours is None or ours == theirs for ours, theirs in options)
        and set(found.stated.acts) <= set(own)
    )


def _spelt(names: Sequence[str], parts: Mapping[str, Layer | None]) -> dict[str, str]:
    """The names without the first parts that wrappers put before all of them, so that they are names of ``parts``."""
    for dropped in range(5):
        short = {name: ".".join(name.split(".")[dropped:]) for name in names}
        if all(name in parts for name in short.values()):
            return short
    return {}
