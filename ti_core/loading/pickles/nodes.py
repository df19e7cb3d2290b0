"""The values in a pickle's outline, and ways through them that no nesting or sharing can make long."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True)
class Ref:
    """A name that the pickle imports, as ``module.name`` in today's spelling."""

    path: str


@dataclass
class Call:
    """A call of ``function``, and what is put into its result afterwards: states, and items."""

    function: Any
    args: Any
    new: bool = False
    states: list[Any] = field(default_factory=list)
    items: list[tuple[Any, Any]] = field(default_factory=list)


@dataclass
class Pairs:
    """A dictionary as the list of its items: keys from a file are never hashed."""

    items: list[tuple[Any, Any]] = field(default_factory=list)

    def get(self, key: str) -> Any:
        return next((value for k, value in reversed(self.items) if isinstance(k, str) and k == key), None)


@dataclass
class Stored:
    """A persistent id, which in a torch file stands for a tensor's storage."""

    pid: Any


@dataclass
class Opaque:
    """A value that this machine does not follow."""

    opcode: str


def children(node: Any) -> Iterator[Any]:
    """The values directly inside ``node``."""
    if isinstance(node, (list, tuple)):
        yield from node
    elif isinstance(node, Pairs):
        yield from (part for item in node.items for part in item)
    elif isinstance(node, Call):
        yield node.function
        yield node.args
        yield from node.states
        yield from (part for item in node.items for part in item)
    elif isinstance(node, Stored):
        yield node.pid


def walk(root: Any) -> Iterator[Any]:
    """Every value in the outline once; each cycle is entered once."""
    seen: set[int] = set()
    stack = [root]
    while stack:
        node = stack.pop()
        if id(node) in seen:
            continue
        if isinstance(node, _INNER):
            seen.add(id(node))
        yield node
        stack.extend(children(node))


def depth_of(root: Any) -> int | None:
    """Length of the longest chain of values inside values, or None where a value contains itself."""
    depth: dict[int, int] = {}
    entered: set[int] = set()
    stack = [(root, False)]
    while stack:
        node, leaving = stack.pop()
        if leaving:
            inner = (depth.get(id(child), 0) for child in children(node))
            depth[id(node)] = 1 + max(inner, default=0)
            entered.discard(id(node))
        elif isinstance(node, _INNER) and id(node) not in depth:
            if id(node) in entered:
                return None
            entered.add(id(node))
            stack.append((node, True))
            # A child that is still being visited from above closes a cycle; one waiting on the stack does
            # not.
            for child in children(node):
                if id(child) in entered:
                    return None
                stack.append((child, False))
    return depth.get(id(root), 0)


_INNER = (list, tuple, Pairs, Call, Stored)
