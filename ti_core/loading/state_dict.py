"""The state dict that a file holds: its tensors by name, and the names without what wrappers put before them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import torch

from ti_core.errors import ModelFileError
from ti_core.loading.names import check_name
from ti_core.text import few, shown

State = dict[str, torch.Tensor]

_COUNTER = "n_averaged"


def tensors_of(content: Any) -> State:
    """The tensors of a state dict, by name.

    Raises
    ------
    ModelFileError : ``content`` is no dictionary of named tensors, or a name exceeds the limits.
    """
    if not isinstance(content, Mapping):
        raise ModelFileError(
            f"The file holds a {shown(type(content).__name__)} where a state dict was expected."
        )
    state = {key: value for key, value in content.items() if isinstance(value, torch.Tensor)}
    if not state:
        keys = few([str(key) for key in content])
        raise ModelFileError(f"The file holds no state dict: its keys are {keys or 'none at all'}.")
    for key in state:
        check_name(key)
    # torch's average of a network's weights counts the steps beside them.
    others = state.keys() - {_COUNTER}
    return {key: state[key] for key in state if key in others} if _averaged(state, others) else state


def _averaged(state: State, others: set[str]) -> bool:
    return _COUNTER in state and bool(others) and all(key.startswith("module.") for key in others)


def spellings(state: State) -> Iterator[State]:
    """The state dict with its own names, then without the first part of every name, as long as all names share it.

    Wrappers such as DataParallel (``module.``) and torch.compile (``_orig_mod.``) put such a part there, and so does
    every class that holds the whole network under one name (``model.``, ``net.``, ``backbone.``).
    """
    yield state
    for _ in range(4):
        first, dot, _ = next(iter(state)).partition(".")
        prefix = first + dot
        if not dot or not all(key.startswith(prefix) and key != prefix for key in state):
            return
        state = {key.removeprefix(prefix): value for key, value in state.items()}
        yield state
