"""Finds the state dict inside a checkpoint, whatever else a training script saved with it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import torch

from ti_core.errors import ModelFileError
from ti_core.loading.limits import LIMITS
from ti_core.loading.names import check_name
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
"""Keys under which training scripts save the weights or the whole module."""

PREFIXES = ("module.", "_orig_mod.", "model.", "net.", "network.", "backbone.", "encoder.", "classifier.")
"""Prefixes that wrappers such as DataParallel and torch.compile put before every name."""

State = dict[str, torch.Tensor]


def unwrapped(content: Any) -> tuple[Any, dict[str, str]]:
    """The content inside a checkpoint's outer dictionaries, and the short notes stored beside it."""
    notes: dict[str, str] = {}
    for _ in range(4):
        if not isinstance(content, Mapping) or any(isinstance(v, torch.Tensor) for v in content.values()):
            break
        inner = next(
            (key for key in WRAPPERS if key in content and not isinstance(content[key], _NOTES)), None
        )
        if inner is None:
            break
        for key, value in content.items():
            if isinstance(key, str) and isinstance(value, _NOTES) and len(notes) < LIMITS.texts:
                notes.setdefault(shown(key), shown(str(value)[: LIMITS.text], LIMITS.text))
        content = content[inner]
    return content, notes


_NOTES = (str, int, float)


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
    rest = [
        str(key)
        for key, value in content.items()
        if not isinstance(value, (torch.Tensor, *_NOTES, type(None)))
    ]
    if rest:
        raise ModelFileError(f"The file's state dict holds entries that are no tensors: {few(rest)}.")
    for key in state:
        check_name(key)
    return state


def spellings(state: State) -> Iterator[State]:
    """The state dict with its own names, then with common prefixes removed one after the other."""
    yield state
    for _ in range(4):
        prefix = next((p for p in PREFIXES if all(key.startswith(p) and key != p for key in state)), None)
        if prefix is None:
            return
        state = {key.removeprefix(prefix): value for key, value in state.items()}
        yield state
