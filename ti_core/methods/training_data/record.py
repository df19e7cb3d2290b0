"""What was found in training data, as plain data. It is checked: the model file may have taken over its writer."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from ti_core.errors import DataError
from ti_core.system.records import Digest, Group, Number, Text, Whole
from ti_core.system.schema import checked
from ti_core.text import few

FILE, PICTURES = "training.json", "training.safetensors"
LARGEST_FILE, LARGEST_PICTURES = 40_000_000, 80_000_000
MOST_NAMED = 200
"""Maximum number of images of a class that are named."""
MOST_SHOWN, MOST_PICTURES = 24, 4000
"""Maximum number of pictures of a class, and of all classes."""
SIDE = 64
"""Longer side of a picture, in pixels."""


class ImageRecord(Group):
    """An image that stands out in its class."""

    place: Text
    clustered: bool
    removed: bool
    score: Number = Field(ge=0)
    picture: Whole | None


class ClassRecord(Group):
    """One class. ``silhouette`` and what follows it are missing where they could not be computed."""

    index: Whole = Field(ge=0)
    name: Text
    count: Whole = Field(ge=0)
    examined: bool
    silhouette: Number | None
    share: Number | None
    as_label: Whole | None
    as_other: Whole | None
    other: Text | None
    suspicious: bool
    clustered: Whole = Field(ge=0)
    removed: Whole = Field(ge=0)
    both: Whole = Field(ge=0)
    images: list[ImageRecord] = Field(max_length=MOST_NAMED)


class TrainingRecord(Group):
    """``training.json`` of a job."""

    model: Text
    sha256: Digest
    images: Text
    images_sha256: Digest
    count: Whole = Field(ge=1)
    of: Whole = Field(ge=1)
    width: Whole = Field(ge=1)
    accuracy: Number = Field(ge=0, le=1)
    rate: Number = Field(gt=0, le=0.5)
    classes: list[ClassRecord] = Field(max_length=10_000)


@dataclass(frozen=True)
class Found:
    """What a job found: its record, and pictures ``T x C x h x w`` uint8."""

    record: Mapping[str, Any]
    pictures: NDArray[np.uint8]

    @classmethod
    def of(cls, record: Mapping[str, Any], pictures: bytes) -> Found:
        """
        Raises
        ------
        DataError : the job left something else.
        """
        from safetensors import SafetensorError
        from safetensors.numpy import load

        try:
            checked(TrainingRecord, "What was found in training data", record)
        except ValueError as error:
            raise DataError(f"The process that opened the file left no valid result: {error}") from error
        try:
            shown = load(pictures)["pictures"]
        except (SafetensorError, KeyError, ValueError, TypeError) as error:
            raise DataError("The process that opened the file left no valid pictures.") from error
        if (
            shown.dtype != np.uint8
            or shown.ndim != 4
            or len(shown) > MOST_PICTURES
            or shown.shape[1] not in (1, 3)
            or not 0 < max(shown.shape[2:]) <= SIDE
        ):
            raise DataError("The process that opened the file left pictures of another form.")
        named = [image["picture"] for one in record["classes"] for image in one["images"]]
        if any(number is not None and not 0 <= number < len(shown) for number in named):
            raise DataError("The process that opened the file left fewer pictures than it names.")
        return cls(record, shown)

    @property
    def suspicious(self) -> list[Mapping[str, Any]]:
        """The classes with poison, by Activation Clustering."""
        return [one for one in self.record["classes"] if one["suspicious"]]

    def sentence(self) -> str:
        """What was found, in a sentence."""
        record, found = self.record, self.suspicious
        looked = sum(one["examined"] for one in record["classes"])
        if not found:
            return (
                f"Activation Clustering finds no poisoned class among {looked}. That is no proof: poison that the"
                " hidden layer does not set apart is not found."
            )
        named = few([f"{one['name']} ({one['clustered']} of {one['count']} images)" for one in found])
        return f"Activation Clustering finds poison in {len(found)} of {looked} classes: {named}."


def class_sentence(one: Mapping[str, Any]) -> str:
    """What was found of one class, in sentences."""
    if not one["examined"]:
        return f"{one['count']} images are too few to tell two clusters apart; the class was not examined."
    if one["silhouette"] is None:
        return "The hidden layer gives all images of the class the same values, so there are no clusters."
    parts = (
        f"Of {one['count']} images the smaller cluster has {one['share']:.0%}, with a silhouette of"
        f" {one['silhouette']:.2f}."
    )
    if one["as_label"] is None:
        return f"{parts} It is too large, or lies too near, to be poison."
    told = f" A classifier that never saw the cluster gives {one['as_label']} of its images the class's own label"
    if one["as_other"]:
        told += f" and {one['as_other']} the label {one['other']}"
    return (
        f"{parts}{told}: {'this is poison' if one['suspicious'] else 'these are rare images of the class'}."
    )
