"""What a job found of a sketch, as plain data. It is checked, since the file may have taken over its writer."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pydantic import Field

from ti_core.system.records import Group, Number, Text
from ti_core.system.schema import checked


class FitRecord(Group):
    """A layer of the sketch, and the layer of the file that it takes."""

    layer: Text
    tensors: Text


class SketchRecord(Group):
    """``sketch.json`` of a job."""

    problem: Text
    fits: list[FitRecord] = Field(max_length=1000)
    missing: list[Text] = Field(max_length=1000)
    left: list[Text] = Field(max_length=1000)
    accuracy: Number | None = Field(ge=0, le=1)
    pack: Text
    normalisation: Text


def check_sketch(record: Mapping[str, Any]) -> None:
    """Check ``sketch.json``.

    Raises
    ------
    ValueError : it is not what the task writes. The message is one sentence.
    """
    checked(SketchRecord, "What a job found of a sketch", record)
