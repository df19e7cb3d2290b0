"""What changed in the weights of a model between two files, as plain data and in words."""

from __future__ import annotations

from collections.abc import Mapping
from statistics import median
from typing import Any

from pydantic import Field

from ti_core.system.records import Group, Number, Text, Whole
from ti_core.system.schema import checked
from ti_core.text import few

MOST = 100_000
"""Tensors of a model that are told."""


class TensorChange(Group):
    """One tensor that both files hold in the same shape.

    Attributes
    ----------
    share : of its values that differ, 0 to 1.
    relative : Euclidean norm of the change over that of the old values; None where all of those are 0.
    """

    name: Text
    shape: list[Whole]
    share: Number = Field(ge=0, le=1)
    relative: Number | None = Field(ge=0)


class Shape(Group):
    """A tensor whose shape differs."""

    name: Text
    old: list[Whole]
    new: list[Whole]


class Changes(Group):
    """``changes.json`` of a job.

    Attributes
    ----------
    old, new : names of the files.
    same_file : whether both have the same digest.
    old_network, new_network : architecture or sketch of each.
    compared : tensors that both hold in the same shape, in the new network's order.
    reshaped, only_old, only_new : the others.
    """

    old: Text
    new: Text
    same_file: bool
    old_network: Text
    new_network: Text
    compared: list[TensorChange] = Field(max_length=MOST)
    reshaped: list[Shape] = Field(max_length=MOST)
    only_old: list[Text] = Field(max_length=MOST)
    only_new: list[Text] = Field(max_length=MOST)

    @property
    def changed(self) -> list[TensorChange]:
        """The tensors with a value that differs."""
        return [one for one in self.compared if one.share > 0]

    def sentences(self) -> list[str]:
        """What changed, the main thing first."""
        if self.same_file:
            return ["Both are the same file."]
        lines = [self._shared(), *self._apart()]
        return [line for line in lines if line]

    def _shared(self) -> str:
        changed, total = self.changed, len(self.compared)
        if not total:
            return "The two networks share no tensor: they are not two versions of one model."
        if not changed:
            return f"All {total} tensors that both hold are equal bit by bit."
        largest = max(changed, key=lambda one: one.relative or 0.0)
        far = f", the most in {largest.name} (by {largest.relative or 0:.1%} of its norm)"
        return f"{len(changed)} of {total} tensors differ{far}. {self._pattern(changed)}".rstrip()

    def _pattern(self, changed: list[TensorChange]) -> str:
        """What such a change is like."""
        last = _layer(self.compared[-1].name)
        if len(changed) < len(self.compared) and all(_layer(one.name) == last for one in changed):
            return f"Only the last layer, {last}, changed: as by training it anew, or by an edit of it."
        if len(changed) >= 0.9 * len(self.compared):
            usual = median(one.relative or 0.0 for one in changed)
            return f"Nearly all changed, by {usual:.1%} of their norm on the median: as by further training."
        where = few(dict.fromkeys(_layer(one.name) for one in changed))
        return f"The others are equal bit by bit: as by training, or an edit, of some layers ({where})."

    def _apart(self) -> list[str]:
        lines = []
        if self.reshaped:
            lines.append(f"The shape differs of {few(one.name for one in self.reshaped)}.")
        for names, file in ((self.only_old, self.old), (self.only_new, self.new)):
            if names:
                lines.append(f"Only {file} has {few(names)}.")
        return lines


def _layer(name: str) -> str:
    """The layer that a tensor belongs to."""
    return name.rpartition(".")[0] or name


def read_changes(record: Mapping[str, Any]) -> Changes:
    """The changes that ``changes.json`` describes.

    Raises
    ------
    ValueError : it is not what the task writes. The message is one sentence.
    """
    return checked(Changes, "What changed in the weights of a model between two files", record)
