"""The values in a pickle's outline, and walks over them that visit each value once.

Deep nesting and shared values therefore cannot make a walk long.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True)
class Ref:
    """A name that the pickle imports, as ``module.name`` in Python 3."""

    path: str


@dataclass
class Call:
    """A call of ``function``, with the states and items that are put into its result afterwards."""

    function: Any
    args: Any
    new: bool = False
    states: list[Any] = field(default_factory=list)
    items: list[tuple[Any, Any]] = field(default_factory=list)


@dataclass
class Pairs:
    """A dictionary as a list of its items, so that keys from a file are never hashed."""

    items: list[tuple[Any, Any]] = field(default_factory=list)

    def get(self, key: str) -> Any:
        return next((value for k, value in reversed(self.items) if isinstance(k, str) and k == key), None)


@dataclass
class Stored:
    """A persistent id, which in a torch file stands for a tensor's storage."""

    pid: Any


@dataclass
class Opaque:
    """A value that cannot be known from the file."""

    opcode: str


def items_of(node: Any) -> list[tuple[Any, Any]]:
    """The items of a dictionary, ordinary or ordered. Python 2 hands an ordered one its items as a list of pairs."""
    if isinstance(node, Pairs):
        return node.items
    if not isinstance(node, Call):
        return []
    match node:
        case Call(function=Ref("collections.OrderedDict"), args=([*pairs],)):
            given = [tuple(pair) for pair in pairs if isinstance(pair, (list, tuple)) and len(pair) == 2]
            return [*given, *node.items]
    return node.items


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


def walk(root: Any, inside: Callable[[Any], Iterator[Any]] = children) -> Iterator[Any]:
    """Every value in the outline, once, even if values contain themselves. ``inside`` gives those of one value."""
    seen: set[int] = set()
    stack = [root]
    while stack:
        node = stack.pop()
        if id(node) in seen:
            continue
        if isinstance(node, _INNER):
            seen.add(id(node))
        yield node
        stack.extend(inside(node))


def depth_of(root: Any, inside: Callable[[Any], Iterator[Any]] = children) -> int | None:
    """Length of the longest chain of nested values, or None if a value contains itself."""
    depth: dict[int, int] = {}
    entered: set[int] = set()
    stack = [(root, False)]
    while stack:
        node, leaving = stack.pop()
        if leaving:
            inner = (depth.get(id(child), 0) for child in inside(node))
            depth[id(node)] = 1 + max(inner, default=0)
            entered.discard(id(node))
        elif isinstance(node, _INNER) and id(node) not in depth:
            if id(node) in entered:
                return None
            entered.add(id(node))
            stack.append((node, True))
            # A child closes a cycle if its own visit has begun and not ended, not if it only waits on the
            # stack.
            for child in inside(node):
                if id(child) in entered:
                    return None
                stack.append((child, False))
    return depth.get(id(root), 0)


_INNER = (list, tuple, Pairs, Call, Stored)
