"""Tensors as a file declares them: name, shape and type, without their numbers."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

from ti_core.loading.limits import LIMITS
from ti_core.loading.pickles.allowed import STORAGES
from ti_core.loading.pickles.nodes import Call, Pairs, Ref, Stored


class UnfitError(Exception):
    """A declared tensor is impossible; the text completes "a tensor that ..."."""


@dataclass(frozen=True)
class TensorInfo:
    """A tensor's declared name, shape and element type."""

    name: str
    shape: tuple[int, ...]
    dtype: str

    @property
    def elements(self) -> int:
        return math.prod(self.shape)


def tensor_of(call: Call, name: str = "") -> TensorInfo:
    """The tensor that a call of ``_rebuild_tensor_v2`` or ``_rebuild_parameter`` would make.

    Raises
    ------
    UnfitError : the arguments are not those of torch.save, or the tensor reaches beyond its storage.
    """
    match call:
        case Call(function=Ref("torch._utils._rebuild_parameter"), args=(Call() as inner, bool(), hooks)):
            if (
                not isinstance(inner.function, Ref)
                or inner.function.path != "torch._utils._rebuild_tensor_v2"
            ):
                raise UnfitError("is a parameter of something other than a tensor")
            if not _is_empty(hooks):
                raise UnfitError("carries hooks")
            return tensor_of(inner, name)
        case Call(
            function=Ref("torch._utils._rebuild_tensor_v2"),
            args=(
                Stored(pid=(_, Ref(path=path), _, _, int(count))),
                int(offset),
                tuple(size),
                tuple(stride),
                bool(),
                hooks,
                *more,
            ),
        ):
            if not _is_empty(hooks):
                raise UnfitError("carries hooks")
            if len(more) > 1 or any(extra is not None and not _is_empty(extra) for extra in more):
                raise UnfitError("carries flags of its own")
            if path not in STORAGES:
                raise UnfitError("has numbers of an unknown type")
            _check_bounds(count, offset, size, stride)
            return TensorInfo(name, size, STORAGES[path][0])
    raise UnfitError("is rebuilt in a way that torch.save never writes")


def _check_bounds(count: int, offset: int, size: tuple[Any, ...], stride: tuple[Any, ...]) -> None:
    numbers = (offset, *size, *stride)
    if any(type(n) is not int or n < 0 for n in numbers) or len(size) != len(stride) or len(size) > 8:
        raise UnfitError("has an impossible shape")
    elements = math.prod(size)
    reach = offset + sum((n - 1) * step for n, step in zip(size, stride, strict=True)) + 1 if elements else 0
    # A stride of zero repeats numbers, so a file of a few bytes could declare a tensor of any size.
    if reach > count or elements > count:
        raise UnfitError("reaches beyond its storage")


def _is_empty(node: Any) -> bool:
    match node:
        case Call(function=Ref("collections.OrderedDict"), args=(), states=[], items=[]):
            return True
        case Pairs(items=[]):
            return True
    return False


_SILENT = {"_modules", "_parameters", "_buffers"}


def tensors_in(root: Any) -> list[TensorInfo]:
    """Every tensor below ``root``, named by its place. Impossible tensors are left out."""
    found: list[TensorInfo] = []
    seen: set[int] = set()
    stack: list[tuple[Any, str]] = [(root, "")]
    while stack:
        node, name = stack.pop()
        # Only extreme nesting makes a name longer than the limit. The name grows with every level.
        if not isinstance(node, (Call, Pairs, list, tuple)) or id(node) in seen or len(name) > LIMITS.name:
            continue
        seen.add(id(node))
        if (
            isinstance(node, Call)
            and isinstance(node.function, Ref)
            and node.function.path.startswith("torch._utils.")
        ):
            try:
                found.append(tensor_of(node, name))
            except UnfitError:
                continue
        elif isinstance(node, (Call, Pairs)):
            inner = [(value, _joined(name, key)) for key, value in node.items]
            inner += [(state, name) for state in (node.states if isinstance(node, Call) else ())]
            stack.extend(reversed(inner))
        else:
            stack.extend((value, _joined(name, str(i))) for i, value in reversed(list(enumerate(node))))
    return found


def _joined(name: str, key: Any) -> str:
    if key in _SILENT:
        return name
    return f"{name}.{key}" if name else str(key)
