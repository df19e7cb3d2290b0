"""The description of a model file as plain data. It is checked, since the file may have taken over its writer."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from typing import Annotated, Any

from pydantic import AfterValidator

from ti_core.loading.findings import Severity
from ti_core.system.records import Digest, Group, Text, Whole, absent
from ti_core.system.schema import Schema


def _severity(name: str) -> str:
    if name.upper() not in Severity.__members__ or name != name.lower():
        raise ValueError("it is no severity of a finding")
    return name


Rank = Annotated[Text, AfterValidator(_severity)]


class MemberRecord(Group):
    """A file in an archive, or beside an ONNX graph."""

    name: Text
    size: Whole
    stored: Whole


class TensorRecord(Group):
    """A tensor that the file declares."""

    name: Text
    shape: list[Whole]
    dtype: Text


class GlobalRecord(Group):
    """A name that a pickle in the file would import."""

    name: Text
    severity: Rank
    sentence: Text


class FindingRecord(Group):
    """One finding about the file."""

    severity: Rank
    sentence: Text


class FileRecord(Group):
    """:meth:`ti_core.loading.file_report.FileReport.as_dict`."""

    file: Text
    format: Text
    sha256: Digest
    size: Whole
    severity: Rank
    is_safe: bool
    opens: bool
    members: list[MemberRecord]
    tensors: list[TensorRecord]
    globals: list[GlobalRecord]
    findings: list[FindingRecord]


class Described(FileRecord):
    """``file.json`` of a job: the description, and the same in sentences."""

    sentences: list[Text]


class Card(FileRecord):
    """The description in a case, whose long lists are cut; the totals are the whole lists' lengths."""

    tensors_total: Whole = absent("Tensors in the whole file.")
    members_total: Whole = absent("Members in the whole file.")


@cache
def _schema(model: type[FileRecord]) -> Schema:
    return Schema(model, "TrojanInterpret's description of a model file")


def check_description(record: Mapping[str, Any]) -> None:
    """Check ``file.json``.

    Raises
    ------
    ValueError : it is no description of a file. The message is one sentence.
    """
    if found := _schema(Described).problems(record):
        raise ValueError(found[0])


def as_card(record: dict[str, Any]) -> dict[str, Any]:
    """The same record. A case may also come without one, as an empty group.

    Raises
    ------
    ValueError : it is no description of a file.
    """
    found = _schema(Card).problems(record) if record else []
    if found:
        raise ValueError(found[0])
    return record
