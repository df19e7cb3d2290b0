"""Opens a file as a :class:`Model`. This is the one place that knows every format."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from torch import nn

from ti_core.errors import ModelFileError, RefusedFileError
from ti_core.loading.facts import facts_of
from ti_core.loading.limits import LIMITS
from ti_core.loading.match import match
from ti_core.loading.model import Model
from ti_core.loading.pickles.records import Record
from ti_core.loading.pickles.torch_file import read_checkpoint
from ti_core.loading.pickles.whole_network import module_of
from ti_core.loading.refusals import REFUSED_FORMATS
from ti_core.loading.safetensors_file import hint_of, read_header, read_tensors
from ti_core.loading.sniff import FileFormat, sniff
from ti_core.loading.state_dict import tensors_of, unwrapped
from ti_core.text import shown


def open_model(path: Path, architecture: str | None = None, companions: Sequence[Path] = ()) -> Model:
    """See :func:`ti_core.loading.load_model`."""
    data = read_file(path)
    kind = sniff(data, path.name)
    if kind is FileFormat.ONNX:
        from ti_core.loading.onnx import load_onnx

        return load_onnx(path, companions)
    if kind in REFUSED_FORMATS:
        raise REFUSED_FORMATS[kind].error()
    digest = hashlib.sha256(data).hexdigest()
    if kind is FileFormat.SAFETENSORS:
        header = read_header(data)
        hint = hint_of(header.metadata)
        return _from_state(
            read_tensors(data), header.metadata, hint, architecture, path.name, digest, "safetensors"
        )
    content, notes = unwrapped(read_checkpoint(data))
    if isinstance(content, Record):
        name, module = module_of(content)
        return _model(module, name, path.name, digest, "torch module", notes, {})
    return _from_state(content, notes, {}, architecture, path.name, digest, "torch state dict")


def read_file(path: Path) -> bytes:
    """The whole file, read once, so that the same bytes are checked, hashed and loaded."""
    try:
        size = path.stat().st_size
        if size > LIMITS.file_bytes:
            raise RefusedFileError(
                f"The file has {size / 2**30:.1f} GiB; the limit is {LIMITS.file_bytes / 2**30:.0f} GiB."
            )
        return path.read_bytes()
    except OSError as error:
        raise ModelFileError(
            f"The file {shown(path.name)} cannot be read: {error.strerror or 'it is no plain file'}."
        ) from error


def _from_state(
    content: Any,
    metadata: dict[str, str],
    hint: Mapping[str, Any],
    architecture: str | None,
    file: str,
    digest: str,
    kind: str,
) -> Model:
    matched = match(tensors_of(content), architecture, hint)
    model = _model(matched.module, matched.architecture, file, digest, kind, metadata, matched.variants)
    return model


def _model(
    module: nn.Module,
    architecture: str,
    file: str,
    digest: str,
    kind: str,
    metadata: dict[str, str],
    variants: Mapping[str, Any],
) -> Model:
    classes, input_shape = facts_of(module)
    return Model(
        module=module,
        file=file,
        sha256=digest,
        format=kind,
        architecture=architecture,
        parameters=sum(p.numel() for p in module.parameters()),
        classes=classes,
        input_shape=input_shape,
        metadata=metadata,
        variants=variants,
        declared=metadata.get("normalisation"),
    )
