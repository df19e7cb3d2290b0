"""What is known of a model before it is inspected, as plain data.

It is checked where it is read, since the file may have taken over the process that wrote it.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pydantic import Field

from ti_core.stream_registry import EFFORTS
from ti_core.system.records import Group, Number, Text, Whole
from ti_core.system.schema import checked
from ti_core.text import plain

LONGEST = 1e9
"""Seconds of a forecast; more than 30 years are none."""


class FirstLook(Group):
    """``look.json`` of a job.

    Attributes
    ----------
    format, architecture, sketch, parameters, classes, input_shape : as of :class:`ti_core.reconstruction.model.Model`.
    doubt : why no verdict can rest on the network, or "".
    fitting : names of the packs that have the model's channels and classes.
    pack : the pack that it would be compared with; "" if images decide it, or if none fits.
    why : one sentence on that.
    seconds : expected seconds of each effort; none if no pack fits.
    """

    format: Text
    architecture: Text
    sketch: Text
    parameters: Whole = Field(ge=0)
    classes: Whole | None = Field(ge=0)
    input_shape: list[Whole] | None = Field(min_length=3, max_length=3)
    doubt: Text
    fitting: list[Text] = Field(max_length=1000)
    pack: Text
    why: Text
    seconds: dict[Text, Number] = Field(max_length=len(EFFORTS))

    @property
    def network(self) -> str:
        """The architecture in words; untrusted text."""
        return f"reconstructed: {self.sketch}" if self.sketch else self.architecture

    @property
    def takes(self) -> str:
        """The images that the network takes, in words."""
        if self.input_shape is None:
            return "not said by the file"
        channels, height, width = self.input_shape
        return f"{channels} × {height} × {width}" if height and width else f"{channels} channels, any size"

    def sentences(self) -> list[str]:
        """The look in sentences, for a terminal."""
        classes = "not said by the file" if self.classes is None else f"{self.classes:,}"
        what = f"{self.format}, {plain(self.network, 300)}. Weights: {self.parameters:,}; classes: {classes}; input:"
        return [f"{what} {self.takes}.", self.why, *([self.doubt] if self.doubt else [])]


def first_look(record: Mapping[str, Any]) -> FirstLook:
    """The look that ``look.json`` describes.

    Raises
    ------
    ValueError : it is not what the task writes. The message is one sentence.
    """
    look = checked(FirstLook, "What is known of a model before it is inspected", record)
    if look.seconds and list(look.seconds) != list(EFFORTS):
        raise ValueError("It does not forecast every effort.")
    if not all(0 <= seconds <= LONGEST for seconds in look.seconds.values()):
        raise ValueError("It forecasts an impossible time.")
    return look
