"""Torch checkpoints: the layout and the outline are checked, then the weights are built from the outline."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from ti_core.errors import ModelFileError, RefusedFileError
from ti_core.loading.findings import Finding, Severity, worst
from ti_core.loading.pickles.checks import Subject, check, ignored_names
from ti_core.loading.pickles.contents import Contents, contents_of, tensor_items
from ti_core.loading.pickles.files.archive import open_torch_archive
from ti_core.loading.pickles.files.container import Container
from ti_core.loading.pickles.files.legacy import open_legacy
from ti_core.loading.pickles.machine import Outline
from ti_core.loading.pickles.tensors import declared_of, is_tensor, precision_remarks, tensor_of
from ti_core.loading.pickles.values.arrays import array_of
from ti_core.loading.pickles.values.text import text_of
from ti_core.text import few, shown

_ZIP = b"PK\x03\x04"


@dataclass(frozen=True)
class Examined:
    """What is known of a checkpoint before its tensors are read. ``ignored`` names what stands beside the weights."""

    container: Container
    contents: Contents
    findings: tuple[Finding, ...]
    ignored: tuple[str, ...]

    @property
    def outline(self) -> Outline:
        return self.container.outline


@dataclass(frozen=True)
class Checkpoint:
    """A checkpoint's weights: tensors by name, or the record of a whole module.

    Parameters
    ----------
    notes : what stands beside the weights, as text.
    remarks : what was done beyond reading, in sentences.
    """

    content: Any
    notes: dict[str, str] = field(default_factory=dict)
    remarks: tuple[str, ...] = ()


def examine(data: bytes) -> Examined:
    """Check the layout and the pickle. Faults of the pickle are findings; faults of the layout are raised."""
    container: Container = open_torch_archive(data) if data[:4] == _ZIP else open_legacy(data)
    return _examined(container, contents_of(container.outline.root))


def _examined(container: Container, contents: Contents) -> Examined:
    subject = Subject(container.outline, contents, container.storage_bytes, container.has_checksums)
    return Examined(container, contents, tuple(check(subject)), tuple(ignored_names(subject)))


def open_checkpoint(data: bytes) -> Checkpoint:
    """The weights of a checkpoint that passed every check.

    Raises
    ------
    RefusedFileError : the checkpoint could run code, or exceeds the limits.
    ModelFileError : the checkpoint is damaged.
    """
    examined = examine(data)
    _raise_gravest(examined)
    contents = examined.contents
    notes = {shown(key): text_of(value) for key, value in reversed(contents.beside)}
    remarks = (*contents.remarks(), *_remarks(examined))
    return Checkpoint(_built(examined), dict(reversed(notes.items())), remarks)


def read_checkpoint(data: bytes) -> Any:
    """The whole content of a checkpoint in which everything, not the weights alone, passes every check.

    Raises
    ------
    RefusedFileError, ModelFileError : as :func:`open_checkpoint`.
    """
    container = examine(data).container
    examined = _examined(container, Contents(container.outline.root, container.outline.root, everything=True))
    _raise_gravest(examined)
    from ti_core.loading.pickles.values.builder import Builder

    return Builder(container).value(container.outline.root)


def _raise_gravest(examined: Examined) -> None:
    gravest = worst(list(examined.findings))
    if gravest is not None:
        kind = RefusedFileError if gravest.severity.rank >= Severity.REFUSED.rank else ModelFileError
        raise kind(gravest.sentence)
    examined.container.check()


def _built(examined: Examined) -> Any:
    # Nothing of torch is imported for a file report.
    from ti_core.loading.pickles.values.builder import Builder

    builder, contents = Builder(examined.container), examined.contents
    if not contents.is_state:
        return builder.value(contents.weights)
    found = {key: builder.weight(node) for key, node in tensor_items(contents.weights)}
    if any(map(_is_quantised, contents.needed)):
        return without_steps(found)
    return found


def without_steps(state: dict[Any, Any]) -> dict[Any, Any]:
    """The tensors of a quantised network without the scales and zero points of its activations."""
    steps = {
        f"{layer}{name}"
        for layer in (
            key.removesuffix("scale") for key in state if isinstance(key, str) and key.endswith("scale")
        )
        for name in ("scale", "zero_point")
        if f"{layer}zero_point" in state
    }
    return {key: tensor for key, tensor in state.items() if key not in steps or tensor.numel() != 1}


def _remarks(examined: Examined) -> Iterable[str]:
    """What was converted and what was ignored."""
    needed = examined.contents.needed
    steps = [declared_of(node).steps for node in needed if _is_quantised(node)]
    # The scales of a quantised tensor are tensors too, but no weights.
    scales = {id(part) for each in steps if each for part in (each.scale, each.zero_point)}
    weights = [node for node in needed if is_tensor(node) or (examined.contents.is_state and array_of(node))]
    yield from precision_remarks(tensor_of(node).dtype for node in weights if id(node) not in scales)
    quantised = len(steps)
    if quantised:
        yield (
            f"{quantised} of its tensors {'is' if quantised == 1 else 'are'} quantised and dequantised to float32. The "
            "network is computed in float32, without the rounding of its activations."
        )
    if examined.ignored:
        yield f"Beside the weights the file names {few(examined.ignored)}. This was ignored, and nothing was imported."


def _is_quantised(node: Any) -> bool:
    return is_tensor(node) and declared_of(node).steps is not None
