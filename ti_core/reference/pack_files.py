"""The large files of a reference pack, and their checks: a stranger may have written them.

Nothing is allocated before what a file declares is compared with its size. Every fault is a :class:`PackError`.
"""

from __future__ import annotations

import io
import math
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from ti_core.errors import PackError, TrojanInterpretError
from ti_core.reference.float16 import EXPONENT, unpacked
from ti_core.system.arrays import ArraysError, ArraysFile
from ti_core.text import shown

if TYPE_CHECKING:
    import torch

    from ti_core.architectures import Architecture
    from ti_core.loading.pickles.tensors import TensorInfo

MOST_BYTES = 1 << 30
"""Limit for the size of one file, and for all arrays of one file."""
LARGEST_EXPONENT = 200
_T = TypeVar("_T")


class PackFiles:
    """Reads the files of one pack.

    Parameters
    ----------
    pack : name of the pack, for messages.
    content : the bytes of a file of the pack by its name; raises :class:`PackError`.
    """

    def __init__(self, pack: str, content: Callable[[str], bytes]) -> None:
        self._pack, self._content = pack, content

    def _of(self, name: str, read: Callable[[ArraysFile], _T]) -> _T:
        try:
            return read(ArraysFile(io.BytesIO(self._content(name)), MOST_BYTES))
        except ArraysError as error:
            raise PackError(f"File {name} of pack {shown(self._pack)!r} cannot be used: {error}.") from error

    def images(
        self, shape: tuple[int, int, int], classes: int
    ) -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
        """Images ``N x C x H x W`` uint8 and their labels ``N``."""

        def read(file: ArraysFile) -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
            images, labels = file["images"], file["labels"]
            if images.dtype != np.uint8 or images.ndim != 4 or images.shape[1:] != shape or not len(images):
                raise ArraysError("its images have not the type and shape that the record names")
            if labels.dtype.kind not in "iu" or labels.shape != images.shape[:1]:
                raise ArraysError("it has not one label for each image")
            if labels.min() < 0 or labels.max() >= classes:
                raise ArraysError("a label is none of the classes")
            return images.astype(np.uint8, copy=False), labels.astype(np.int64)

        return self._of("images.npz", read)

    def baseline(self, members: int) -> dict[str, dict[str, NDArray[np.float32]]]:
        """By stream and array name, the stacked evidence of that many members."""

        def read(file: ArraysFile) -> dict[str, NDArray[np.float32]]:
            stored = file.all()
            for key, values in stored.items():
                if key.endswith(EXPONENT):
                    fits = (
                        values.shape == ()
                        and values.dtype.kind == "i"
                        and abs(int(values)) <= LARGEST_EXPONENT
                    )
                else:
                    fits = values.dtype.kind == "f" and values.ndim >= 1 and len(values) == members
                if not fits or key.count("/") != 1:
                    raise ArraysError(f"its array {shown(key)!r} is no evidence of {members} members")
            found = unpacked(stored)
            if odd := next((key for key, values in found.items() if not np.isfinite(values).all()), None):
                raise ArraysError(f"its array {shown(odd)!r} holds numbers that are not finite")
            return found

        streams: dict[str, dict[str, NDArray[np.float32]]] = {}
        for key, values in self._of("baseline.npz", read).items():
            stream, array = key.split("/", 1)
            streams.setdefault(stream, {})[array] = values
        return streams

    def trigger(
        self, member: str, shape: tuple[int, int, int]
    ) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """A member's mask ``H x W`` and pattern ``C x H x W``, in [0, 1]."""

        def read(file: ArraysFile) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
            mask, pattern = file[f"{member}/mask"], file[f"{member}/pattern"]
            for values, expected in ((mask, shape[1:]), (pattern, shape)):
                if values.dtype.kind != "f" or values.shape != expected:
                    raise ArraysError(f"the trigger of {shown(member)} has not the images' shape")
                if not (values.min() >= 0 and values.max() <= 1):
                    raise ArraysError(f"the trigger of {shown(member)} is not between 0 and 1")
            return mask.astype(np.float32), pattern.astype(np.float32)

        return self._of("triggers.npz", read)

    def stored_triggers(self, members: Collection[str]) -> dict[str, NDArray[Any]]:
        """The arrays of these members as they are stored, by ``<member id>/<array>``."""

        def read(file: ArraysFile) -> dict[str, NDArray[Any]]:
            return {name: file[name] for name in file.names if name.split("/")[0] in members}

        return self._of("triggers.npz", read)


def size_of(shapes: Iterable[Sequence[int]]) -> tuple[int, int]:
    """The number of parameters of tensors of these shapes, and that of layers with weights: of several dimensions."""
    found = [tuple(shape) for shape in shapes]
    return sum(math.prod(shape) for shape in found if shape), sum(len(shape) >= 2 for shape in found)


class Weights:
    """The members' weights, a safetensors file whose header was checked.

    Parameters
    ----------
    path, content : of the file. The tensors are read from the path when they are needed.

    Raises
    ------
    PackError : the header is damaged, or does not fit the file.
    """

    def __init__(self, path: Path, content: bytes, pack: str) -> None:
        from ti_core.loading.safetensors_file import read_header

        self._path, self._pack = path, pack
        try:
            self._tensors: dict[str, TensorInfo] = {t.name: t for t in read_header(content).tensors}
        except TrojanInterpretError as error:
            raise self._fault(str(error).rstrip(".")) from error

    def _fault(self, reason: str) -> PackError:
        return PackError(f"File {self._path.name} of pack {shown(self._pack)!r} cannot be used: {reason}.")

    def network(self, member: str, architecture: str, options: Mapping[str, Any]) -> Architecture:
        """The network of that member with its weights, as float32.

        Raises
        ------
        PackError : there is no such architecture, it takes no such options, or the weights are not those of it.
        """
        from safetensors import SafetensorError, safe_open

        from ti_core.architectures import ARCHITECTURES, build
        from ti_core.loading.match import expected_shapes

        if architecture not in ARCHITECTURES:
            raise PackError(
                f"Member {shown(member)} of pack {shown(self._pack)!r} is of the architecture {shown(architecture)!r};"
                f" known are {', '.join(ARCHITECTURES)}."
            )
        settled = {k: tuple(v) if isinstance(v, list) else v for k, v in options.items()}
        expected = expected_shapes(ARCHITECTURES[architecture], settled)
        if expected is None:
            raise PackError(
                f"Member {shown(member)} of pack {shown(self._pack)!r} has options that make no {architecture}."
            )
        self._compare(member, expected)
        network = build(architecture, **options)
        try:
            with safe_open(self._path, framework="pt") as zoo:
                state = {key: zoo.get_tensor(f"{member}/{key}") for key in network.state_dict()}
        except (SafetensorError, OSError, ValueError, RuntimeError) as error:
            raise self._fault(f"the weights of {shown(member)} are damaged") from error
        network.load_state_dict({k: self._settled(v, member) for k, v in state.items()})
        return network

    def size(self, member: str) -> tuple[int, int]:
        """The number of that member's parameters, and of its layers with weights."""
        return size_of(self._shapes.get(member, ()))

    @cached_property
    def _shapes(self) -> dict[str, list[Sequence[int]]]:
        """By member, the shapes of its tensors."""
        found: dict[str, list[Sequence[int]]] = {}
        for name, tensor in self._tensors.items():
            found.setdefault(name.partition("/")[0], []).append(tensor.shape)
        return found

    def stored(self, member: str) -> dict[str, torch.Tensor]:
        """The tensors of that member as they are stored, by their names in its network.

        Raises
        ------
        PackError : the file is damaged.
        """
        from safetensors import SafetensorError, safe_open

        before = f"{member}/"
        names = [name for name in self._tensors if name.startswith(before)]
        try:
            with safe_open(self._path, framework="pt") as zoo:
                return {name.removeprefix(before): zoo.get_tensor(name) for name in names}
        except (SafetensorError, OSError, ValueError, RuntimeError) as error:
            raise self._fault(f"the weights of {shown(member)} are damaged") from error

    def _compare(self, member: str, expected: Mapping[str, tuple[int, ...]]) -> None:
        """The tensors of a network that is not made yet: nothing is allocated for one that the file cannot hold."""
        for key, shape in expected.items():
            found = self._tensors.get(f"{member}/{key}")
            if found is None or tuple(found.shape) != shape:
                has = "none" if found is None else " x ".join(map(str, found.shape)) or "one number"
                raise self._fault(f"of the tensor {shown(key)} of {shown(member)} it has {has}")

    def _settled(self, tensor: torch.Tensor, member: str) -> torch.Tensor:
        if not tensor.is_floating_point():
            return tensor
        values = tensor.float()
        if not math.isfinite(float(values.sum())) and not bool(values.isfinite().all()):
            raise self._fault(f"the weights of {shown(member)} are not finite")
        return values
