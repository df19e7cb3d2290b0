"""Tensors as a file declares them: name, shape, type and place, without their numbers."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Any, TypeGuard

from ti_core.loading.limits import LIMITS
from ti_core.loading.pickles.allowed import ALLOWED, DTYPES, Kind
from ti_core.loading.pickles.nodes import Call, Pairs, Ref, items_of
from ti_core.loading.pickles.values.arrays import array_of
from ti_core.loading.pickles.values.storages import StorageRef, UnfitError, stored_of, typed


@dataclass(frozen=True)
class Steps:
    """How the whole numbers of a quantised tensor become real: ``(number - zero_point) * scale``.

    With an ``axis`` there is a scale and a zero point for each place along it; these are tensors or lists of numbers.
    """

    scale: Any
    zero_point: Any
    axis: int | None = None


@dataclass(frozen=True)
class TensorInfo:
    """A tensor's declared name, shape and element type."""

    name: str
    shape: tuple[int, ...]
    dtype: str

    @property
    def elements(self) -> int:
        return math.prod(self.shape)


@dataclass(frozen=True)
class Declared:
    """A tensor as declared: what it is, where its numbers are, and how they are to be read."""

    info: TensorInfo
    storage: StorageRef
    offset: int
    stride: tuple[int, ...]
    steps: Steps | None = None


_V2 = "torch._utils._rebuild_tensor_v2"
_PARAMETERS = {"torch._utils._rebuild_parameter", "torch._utils._rebuild_parameter_with_state"}
_OLD_PARAMETERS = {"torch.nn.parameter.Parameter", "torch.autograd.variable.Variable"}
_PLAIN_CLASSES = {"torch.Tensor", "torch.nn.parameter.Parameter"}
_OTHER = {
    "torch._utils._rebuild_sparse_tensor": "is sparse; make it dense with to_dense() before saving",
    "torch._utils._rebuild_sparse_csr_tensor": "is sparse; make it dense with to_dense() before saving",
    "torch._utils._rebuild_nested_tensor": "is nested; save its parts as tensors of their own",
    "torch._utils._rebuild_meta_tensor_no_storage": "has a shape but no numbers; save the trained network",
    "torch._utils._rebuild_wrapper_subclass": "is of a class of its own; save plain tensors",
    "torch._utils._rebuild_device_tensor_from_numpy": "was saved on another device; move the network to the CPU first",
    "torch._utils._rebuild_device_tensor_from_cpu_tensor": "was saved on another device; move the network to the CPU "
    "first",
}


def is_tensor(node: Any) -> TypeGuard[Call]:
    """Whether ``node`` is a call that makes a tensor of torch."""
    return (
        isinstance(node, Call)
        and isinstance(node.function, Ref)
        and ALLOWED.get(node.function.path) is Kind.TENSOR
    )


def tensor_of(call: Call, name: str = "") -> TensorInfo:
    """What :func:`declared_of` says of a tensor's name, shape and type. An array of numpy counts as a tensor."""
    array = array_of(call)
    return TensorInfo(name, array.shape, array.dtype) if array is not None else declared_of(call, name).info


def declared_of(call: Any, name: str = "") -> Declared:
    """The tensor that a call of one of torch's functions for it would make.

    Raises
    ------
    UnfitError : the arguments are not those of torch.save, or the tensor reaches beyond its storage.
    """
    match call:
        case Call(function=Ref(path=path), states=[_, *_]) if path not in _OLD_PARAMETERS:
            raise UnfitError("is changed after it is made, as torch.save never does")
        case Call(function=Ref(path=path)) if path in _OTHER:
            raise UnfitError(f"{_OTHER[path]} ({path})")
        case Call(function=Ref(path=path), args=(inner, bool(), hooks, *rest)) if path in _PARAMETERS:
            _check_empty(hooks)
            return _inside(inner, name, len(rest) <= 1)
        case Call(function=Ref(path=path), args=(inner, *rest), states=states) if path in _OLD_PARAMETERS:
            return _inside(inner, name, len(rest) <= 1 and all(map(_is_old_state, states)))
        case Call(
            function=Ref("torch._tensor._rebuild_from_type_v2"), args=(Ref() as made, Ref(path=cls), args, _)
        ):
            if cls not in _PLAIN_CLASSES:
                raise UnfitError(f"is of the class {cls[:80]}; save plain tensors")
            return _inside(Call(made, args), name, made.path != "torch._tensor._rebuild_from_type_v2")
        case Call(function=Ref("torch._utils._rebuild_tensor"), args=(storage, offset, size, stride)):
            return _real(_placed(name, stored_of(storage), offset, size, stride))
        case Call(function=Ref(path=path), args=(storage, offset, size, stride, *more)) if path == _V2:
            _check_flags(more[:2], more[2:])
            return _real(_placed(name, stored_of(storage), offset, size, stride))
        case Call(
            function=Ref("torch._utils._rebuild_tensor_v3"),
            args=(storage, offset, size, stride, rg, hooks, Ref(path=dtype), *more),
        ):
            _check_flags([rg, hooks], more)
            return _real(_placed(name, typed(stored_of(storage), dtype), offset, size, stride))
        case Call(
            function=Ref("torch._utils._rebuild_qtensor"),
            args=(storage, offset, size, stride, params, *more),
        ):
            _check_flags(more, [])
            placed = _placed(name, stored_of(storage), offset, size, stride)
            if not placed.storage.dtype.startswith("q"):
                raise UnfitError("has numbers of an unknown type")
            return replace(placed, steps=_steps(params, placed.info))
    raise UnfitError("is rebuilt in a way that torch.save never writes")


def _inside(inner: Any, name: str, fits: bool) -> Declared:
    if not fits or not is_tensor(inner) or inner.function.path in _PARAMETERS | _OLD_PARAMETERS:
        raise UnfitError("is a parameter of something other than a tensor")
    return declared_of(inner, name)


def _is_old_state(state: Any) -> bool:
    """A parameter's state before torch 0.4: requires_grad, volatile, hooks."""
    match state:
        case (bool(), bool(), hooks):
            return _is_empty(hooks)
    return False


def _check_flags(flags: list[Any], more: list[Any]) -> None:
    if len(flags) != 2 or not isinstance(flags[0], bool):
        raise UnfitError("is rebuilt in a way that torch.save never writes")
    _check_empty(flags[1])
    if len(more) > 1 or any(extra is not None and not _is_empty(extra) for extra in more):
        raise UnfitError("carries flags of its own")


def _check_empty(hooks: Any) -> None:
    if hooks is not None and not _is_empty(hooks):
        raise UnfitError("carries hooks")


def _real(declared: Declared) -> Declared:
    if declared.storage.dtype == "bytes" or declared.storage.dtype.startswith("q"):
        raise UnfitError("has numbers of an unknown type")
    return declared


def _placed(name: str, storage: StorageRef, offset: Any, size: Any, stride: Any) -> Declared:
    size, stride = _as_tuple(size), _as_tuple(stride)
    numbers = (offset, *size, *stride)
    if any(type(n) is not int or n < 0 for n in numbers) or len(size) != len(stride) or len(size) > 8:
        raise UnfitError("has an impossible shape")
    elements = math.prod(size)
    reach = offset + sum((n - 1) * step for n, step in zip(size, stride, strict=True)) + 1 if elements else 0
    # A stride of zero repeats numbers, so a file of a few bytes could declare a tensor of any size.
    if reach > storage.count or elements > storage.count:
        raise UnfitError("reaches beyond its storage")
    return Declared(TensorInfo(name, size, storage.dtype), storage, offset, stride)


def _as_tuple(sizes: Any) -> tuple[Any, ...]:
    match sizes:
        case tuple():
            return sizes
        case Call(function=Ref("torch.Size"), args=(tuple() as inner,)):
            return inner
    raise UnfitError("has an impossible shape")


def _steps(params: Any, info: TensorInfo) -> Steps:
    match params:
        case (Ref("torch.per_tensor_affine"), float() | int() as scale, int(zero_point)):
            if math.isfinite(scale) and abs(zero_point) < 1 << 31:
                return Steps(float(scale), zero_point)
        case (
            Ref("torch.per_channel_affine" | "torch.per_channel_affine_float_qparams"),
            scales,
            points,
            int(axis),
        ):
            if 0 <= axis < len(info.shape):
                given = [_counted(scales), _counted(points)]
                if all(count == info.shape[axis] for count in given):
                    return Steps(scales, points, axis)
    raise UnfitError("is quantised in a way that torch.save never writes")


def _counted(values: Any) -> int:
    """How many numbers a list or a tensor of one dimension has; -1 for anything else."""
    if isinstance(values, list):
        return len(values) if all(type(v) in (int, float) for v in values) else -1
    declared = declared_of(values)
    return declared.info.shape[0] if len(declared.info.shape) == 1 and declared.steps is None else -1


def _is_empty(node: Any) -> bool:
    match node:
        case Call(function=Ref("collections.OrderedDict"), args=() | ([],), states=[], items=[]):
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
        if is_tensor(node):
            try:
                found.append(tensor_of(node, name))
            except UnfitError:
                continue
        elif isinstance(node, (Call, Pairs)):
            inner = [(value, _joined(name, key)) for key, value in items_of(node)]
            inner += [(state, name) for state in (node.states if isinstance(node, Call) else ())]
            stack.extend(reversed(inner))
        else:
            stack.extend((value, _joined(name, str(i))) for i, value in reversed(list(enumerate(node))))
    return found


def _joined(name: str, key: Any) -> str:
    if isinstance(key, str) and key in _SILENT:
        return name
    told = key if isinstance(key, str) else str(key) if type(key) is int and abs(key) < 1 << 63 else "?"
    return f"{name}.{told}" if name else told


_CONVERTED = ("float16", "bfloat16", "float64", *(name for name in DTYPES if name.startswith("float8")))


def precision_remarks(dtypes: Iterable[str]) -> list[str]:
    """A sentence that names the types of the weights that are converted to float32, if there are any."""
    found = set(dtypes)
    converted = [name for name in _CONVERTED if name in found]
    if not converted:
        return []
    whose = "Its weights are" if "float32" not in found else "Some of its weights are"
    return [f"{whose} stored as {' and '.join(converted)}; they were converted to float32."]
