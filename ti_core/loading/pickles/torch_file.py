"""Torch checkpoints: checked as an outline, then read by torch's restricted reader."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from ti_core.errors import ModelFileError, RefusedFileError
from ti_core.loading.findings import Finding, Severity, worst
from ti_core.loading.pickles.archive import TorchArchive, open_torch_archive
from ti_core.loading.pickles.checks import check
from ti_core.loading.pickles.machine import Outline
from ti_core.loading.pickles.outline import outline_of


@dataclass(frozen=True)
class Examined:
    """What is known of a checkpoint before its tensors are read."""

    archive: TorchArchive
    outline: Outline
    findings: tuple[Finding, ...]


def examine(data: bytes) -> Examined:
    """Check the archive and its pickle. Faults of the pickle are findings; faults of the archive are raised."""
    archive = open_torch_archive(data)
    outline = outline_of(archive.pickle)
    return Examined(archive, outline, tuple(check(outline, archive.storage_bytes)))


def read_checkpoint(data: bytes) -> Any:
    """The content of a checkpoint that passed every check.

    Raises
    ------
    RefusedFileError : the checkpoint could run code, or exceeds the limits.
    ModelFileError : the checkpoint is damaged.
    """
    examined = examine(data)
    gravest = worst(list(examined.findings))
    if gravest is not None:
        kind = RefusedFileError if gravest.severity.rank >= Severity.REFUSED.rank else ModelFileError
        raise kind(gravest.sentence)
    from ti_core.loading.pickles.records import read_archive

    return read_archive(examined.archive, examined.outline.refs)
