"""Matches a bare state dict to the registered architectures by the names and shapes of its tensors."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn

from ti_core.architectures import ARCHITECTURES, Architecture, Options, Shapes
from ti_core.errors import ModelFileError, UnknownArchitectureError
from ti_core.loading.state_dict import State, spellings
from ti_core.loading.weights import as_buffer, as_weight
from ti_core.text import few, shown, ways_without_architecture

_OPTIONAL = "num_batches_tracked"
NEAR = 0.65
"""Share of the tensors of both sides that agree, from which an architecture is named as near.

Of 140 architectures of torchvision and timm that are not registered, 2 reach it, both relatives of registered ones. Of
registered networks with a layer more, a layer less, a renamed head or the last quarter missing, all do.
"""


@dataclass(frozen=True)
class Difference:
    """How a state dict differs from an architecture: names on one side only, and differing shapes."""

    architecture: str
    missing: tuple[str, ...]
    unexpected: tuple[str, ...]
    reshaped: tuple[str, ...]
    agreeing: int

    @property
    def none(self) -> bool:
        return not (self.missing or self.unexpected or self.reshaped)

    @property
    def closeness(self) -> float:
        """Share of the tensors of both sides that agree."""
        return self.agreeing / max(
            1, self.agreeing + len(self.missing) + len(self.unexpected) + len(self.reshaped)
        )

    def __str__(self) -> str:
        parts = [
            f"{word} {few(names)}"
            for word, names in (
                ("lacks", self.missing),
                ("also has", self.unexpected),
                ("differs in", self.reshaped),
            )
            if names
        ]
        return f"{self.architecture} ({'; '.join(parts)})"


@dataclass(frozen=True)
class Matched:
    """A network that fits a state dict. ``variants`` holds the other networks that fit, by name."""

    architecture: str
    module: nn.Module
    variants: Mapping[str, Callable[[], nn.Module]]


def match(state: State, architecture: str | None = None, hint: Mapping[str, Any] | None = None) -> Matched:
    """The registered network that has exactly these tensors.

    Parameters
    ----------
    state : the tensors by name; common prefixes are removed where that helps.
    architecture : consider this registered name only.
    hint : ``architecture`` and ``options`` as the file states them. The hint only decides which of the
        fitting choices comes first.

    Raises
    ------
    UnknownArchitectureError : no architecture fits; the message names the closest ones and the differences.
    ModelFileError : ``architecture`` is not registered, or a tensor is not finite and floating point.
    """
    if architecture is not None and architecture not in ARCHITECTURES:
        raise ModelFileError(
            f"There is no registered architecture {shown(architecture)!r}; there are "
            f"{', '.join(ARCHITECTURES)}."
        )
    names = [architecture] if architecture is not None else list(ARCHITECTURES)
    differences: list[Difference] = []
    for spelled in spellings(state):
        shapes = {key: tuple(value.shape) for key, value in spelled.items()}
        fitting: list[tuple[str, Options]] = []
        for name in names:
            cls = ARCHITECTURES[name]
            options = _inferred(cls, shapes)
            if options is None:
                continue
            expected = expected_shapes(cls, options)
            if expected is None:
                continue
            difference = compare(name, shapes, expected)
            differences.append(difference)
            if difference.none:
                fitting.append((name, options))
        if fitting:
            return _choose(spelled, fitting, hint or {})
    raise UnknownArchitectureError(_no_match(state, names, differences))


def _inferred(cls: type[Architecture], shapes: Shapes) -> Options | None:
    try:
        return cls.infer(shapes)
    except Exception:
        # Shapes from a file can be nonsensical in ways that no architecture foresees.
        return None


def expected_shapes(cls: type[Architecture], options: Options) -> Shapes | None:
    """Names and shapes of an architecture's tensors, or None if the options are invalid."""
    try:
        with torch.device("meta"):
            net = cls(**options)
    except Exception:
        return None
    return {key: tuple(value.shape) for key, value in net.state_dict().items()}


def compare(architecture: str, found: Shapes, expected: Shapes) -> Difference:
    """The difference between a file's shapes and an architecture's. Batch counters may be absent."""
    common = found.keys() & expected.keys()
    reshaped = tuple(
        f"{key} {found[key]} for {expected[key]}"
        for key in found
        if key in common and found[key] != expected[key]
    )
    return Difference(
        architecture,
        tuple(key for key in expected if key not in found and not key.endswith(_OPTIONAL)),
        tuple(key for key in found if key not in expected),
        reshaped,
        len(common) - len(reshaped),
    )


def _no_match(state: State, names: list[str], differences: list[Difference]) -> str:
    shapes = {key: tuple(value.shape) for key, value in state.items()}
    for name in names:
        # An architecture that inferred no options is still compared, with its defaults.
        expected = expected_shapes(ARCHITECTURES[name], {})
        if expected is not None:
            differences.append(compare(name, shapes, expected))
    best: dict[str, Difference] = {}
    for difference in sorted(differences, key=lambda d: -d.closeness):
        if difference.closeness > 0:
            best.setdefault(difference.architecture, difference)
    closest = [difference for difference in best.values() if difference.closeness >= NEAR or len(names) == 1][
        :2
    ]
    if closest:
        told = f"the nearest is {closest[0]}" + "".join(f", then {other}" for other in closest[1:])
    else:
        listed = few([f"{name} {' x '.join(map(str, shape))}".strip() for name, shape in shapes.items()], 4)
        told = f"its tensors are {listed}"
    wanted = f"the architecture {names[0]}" if len(names) == 1 else "no registered architecture"
    verb = "does not fit" if len(names) == 1 else "fits"
    return f"The state dict {verb} {wanted}; {told}.\n{ways_without_architecture(_channels(shapes))}"


def _channels(shapes: Shapes) -> int | str:
    """The channels of the network's images, if its first convolution says them."""
    first = next((shape for shape in shapes.values() if len(shape) == 4), None)
    return first[1] if first is not None and first[1] in (1, 3) else "C"


def _choose(state: State, fitting: list[tuple[str, Options]], hint: Mapping[str, Any]) -> Matched:
    choices = [
        (name, {**options, **variant}, variant)
        for name, options in fitting
        for variant in ARCHITECTURES[name].VARIANTS
    ]
    choices.sort(key=lambda choice: not _hinted(choice[0], choice[2], hint))
    converted = converted_state(state, _tables(*fitting[0]))
    several = len(fitting) > 1
    (name, options, _), others = choices[0], choices[1:]
    return Matched(
        name,
        assemble(ARCHITECTURES[name], options, converted),
        {_named(n, variant, several): _factory(ARCHITECTURES[n], o, converted) for n, o, variant in others},
    )


def _hinted(name: str, variant: Options, hint: Mapping[str, Any]) -> bool:
    if not hint or hint.get("architecture", name) != name:
        return False
    options = hint.get("options")
    if not isinstance(options, Mapping):
        return True
    return all(options.get(key, value) == value for key, value in variant.items())


def _named(name: str, variant: Options, several: bool) -> str:
    options = ", ".join(f"{key}={value}" for key, value in variant.items())
    return f"{name}: {options}" if several or not options else options


def _factory(cls: type[Architecture], options: Options, state: State) -> Callable[[], nn.Module]:
    return lambda: assemble(cls, options, {key: value.clone() for key, value in state.items()})


def _tables(name: str, options: Options) -> frozenset[str]:
    """Names of an architecture's buffers that hold whole numbers, such as tables of positions."""
    with torch.device("meta"):
        net = ARCHITECTURES[name](**options)
    return frozenset(key for key, value in net.state_dict().items() if not value.is_floating_point())


def converted_state(state: State, tables: Collection[str] = ()) -> State:
    """The tensors converted for computation; see :mod:`ti_core.loading.weights`.

    Parameters
    ----------
    tables : names of the tensors that hold whole numbers, beside the batch counters.
    """
    return {
        key: as_buffer(value, key) if key.endswith(_OPTIONAL) or key in tables else as_weight(value, key)
        for key, value in state.items()
    }


def assemble(cls: type[Architecture], options: Options, state: State) -> nn.Module:
    """A frozen network in evaluation mode that holds the tensors of ``state`` themselves, not copies.

    The network is first built without memory. So no random weights are drawn, and the caller's random state
    does not change.
    """
    with torch.device("meta"):
        net = cls(**options)
    counters = {key for key in net.state_dict() if key.endswith(_OPTIONAL)} - state.keys()
    zero = {key: torch.zeros((), dtype=torch.long) for key in counters}
    net.load_state_dict({**state, **zero}, assign=True)
    return settled(net, lambda: cls(**options))


def settled(net: nn.Module, rebuild: Callable[[], nn.Module]) -> nn.Module:
    """Freeze ``net`` and set evaluation mode. Buffers that no file holds are taken from ``rebuild``."""
    hollow = [name for name, tensor in net.named_buffers() if tensor.is_meta]
    if hollow:
        with torch.random.fork_rng(devices=[]):
            whole = dict(rebuild().named_buffers())
        for name in hollow:
            owner, _, last = name.rpartition(".")
            net.get_submodule(owner)._buffers[last] = whole[name]
    net.requires_grad_(False)
    return net.eval()
