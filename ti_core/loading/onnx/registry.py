"""The table from ONNX operators to functions on tensors; importing :mod:`.operators` fills it.

A function takes the operator's inputs by position (None for an absent optional input) and its attributes by
keyword, under their ONNX names. It returns a tensor or a tuple of tensors.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Any, TypeVar

from ti_core.loading.onnx import sizes

Function = TypeVar("Function", bound=Callable[..., Any])


@dataclass(frozen=True)
class Operator:
    """The meaning of one operator from a certain opset on.

    Parameters
    ----------
    name, domain : the names in ONNX. The domain is "" for the standard operators.
    since : the first opset with this meaning.
    function : the function that computes the operator.
    attributes : the attributes that the function understands.
    inputs : the largest number of inputs, or None for any number.
    lists : positions of inputs that are passed as Python numbers or lists of them. Their values must not
        depend on the pixels, because they decide the shape of the result.
    scalars : positions of inputs that are passed as a Python number if they are constant and have no dimensions.
    singles : positions of inputs that are passed as a Python number if they are constant and hold one number, whatever
        their dimensions. The result has those of the first input.
    of_shapes : whether the result depends on the shapes of the inputs alone.
    constant : whether all inputs must be constant, because the shape of the result depends on their values.
    of_batch : whether, with the keywords that it is given, the result for an image depends on the other images of its
        batch. The first input must then be constant.
    joins : whether the result for an image depends a little on the other images that are given with it, so that they
        have to go through one at a time.
    size : computes from the same arguments how many numbers the operator makes; see :mod:`.sizes`.
    wants_outputs : whether the function takes the number of outputs as the keyword ``outputs``.
    """

    name: str
    domain: str
    since: int
    function: Callable[..., Any]
    attributes: frozenset[str]
    inputs: int | None
    lists: frozenset[int]
    scalars: frozenset[int]
    singles: frozenset[int]
    of_shapes: bool
    constant: bool
    of_batch: Callable[..., bool]
    joins: bool
    size: Callable[..., int]
    wants_outputs: bool


_TABLE: dict[tuple[str, str], list[Operator]] = {}


def _never(**_: Any) -> bool:
    return False


def operator(
    name: str,
    since: int = 1,
    *,
    domain: str = "",
    lists: Iterable[int] = (),
    scalars: Iterable[int] = (),
    singles: Iterable[int] = (),
    of_shapes: bool = False,
    constant: bool = False,
    of_batch: Callable[..., bool] = _never,
    joins: bool = False,
    size: Callable[..., int] = sizes.broadcast,
) -> Callable[[Function], Function]:
    """Enter a function into the table. :class:`Operator` explains the parameters."""

    def enter(function: Function) -> Function:
        keywords, inputs = _signature(function)
        entry = Operator(
            name=name,
            domain=domain,
            since=since,
            function=function,
            attributes=keywords - {"outputs"},
            inputs=inputs,
            lists=frozenset(lists),
            scalars=frozenset(scalars),
            singles=frozenset(singles),
            of_shapes=of_shapes,
            constant=constant,
            of_batch=of_batch,
            joins=joins,
            size=size,
            wants_outputs="outputs" in keywords,
        )
        versions = _TABLE.setdefault((domain, name), [])
        versions.append(entry)
        versions.sort(key=lambda one: one.since)
        return function

    return enter


def _signature(function: Callable[..., Any]) -> tuple[frozenset[str], int | None]:
    """The names of keyword parameters, and the number of positional parameters (None for any number)."""
    try:
        parameters = list(inspect.signature(function).parameters.values())
    except (
        ValueError
    ):  # torch's built-in functions have no signature; none of those used here has an attribute
        return frozenset(), None
    kinds = [p.kind for p in parameters]
    named = (inspect.Parameter.POSITIONAL_OR_KEYWORD, inspect.Parameter.KEYWORD_ONLY)
    keywords = frozenset(p.name for p in parameters if p.kind in named)
    if inspect.Parameter.VAR_POSITIONAL in kinds:
        return keywords, None
    return keywords, sum(k == inspect.Parameter.POSITIONAL_OR_KEYWORD for k in kinds)


def find(domain: str, name: str, opset: int) -> Operator | None:
    """The meaning of an operator in an opset, or None if it has none."""
    older = [one for one in _TABLE.get((domain, name), ()) if one.since <= opset]
    return older[-1] if older else None


def entries() -> Iterator[Operator]:
    """Every entry, by domain, name and opset."""
    for key in sorted(_TABLE):
        yield from _TABLE[key]
