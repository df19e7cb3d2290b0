"""Which names of a pickle are classes of modules that nobody registered, and which part of such a module is read.

Such a class is a name only: nothing is imported, and nothing of it runs. Of its state the layers, the tensors and the
hooks are read. Other attributes are the program's own notes, and are ignored.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

from ti_core.loading.pickles.allowed import ALLOWED, may_stand_beside
from ti_core.loading.pickles.nodes import Call, Pairs, Ref, children

STRUCTURE = ("_modules", "_parameters", "_buffers")


def is_module(node: Any) -> bool:
    """Whether ``node`` is a module of torch as torch.save writes it whole."""
    return (
        isinstance(node, Call)
        and node.new
        and any(isinstance(state, Pairs) and state.get("_modules") is not None for state in node.states)
    )


def is_own(node: Any) -> bool:
    """Whether ``node`` is a module whose class is not known, and may be a class of the author's own."""
    if not is_module(node) or not isinstance(node.function, Ref):
        return False
    path = node.function.path
    return path not in ALLOWED and may_stand_beside(path)


def read_of(name: Any) -> bool:
    """Whether the attribute of this name is read from a module of an unknown class."""
    return isinstance(name, str) and (name in STRUCTURE or "_hook" in name)


def read_parts(node: Any) -> Iterator[Any]:
    """The values inside ``node`` that are read: of a module of an unknown class, its layers, tensors and hooks."""
    if not is_own(node):
        yield from children(node)
        return
    yield node.function
    yield node.args
    for state in node.states:
        if isinstance(state, Pairs):
            yield from (value for name, value in state.items if read_of(name))
        else:
            yield state


def own_classes(nodes: Iterable[Any]) -> list[str]:
    """The unknown classes of the modules among ``nodes``, each once."""
    return list(dict.fromkeys(node.function.path for node in nodes if is_own(node)))
