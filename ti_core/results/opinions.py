"""Second opinions in the JSON report: what methods of other publications say, apart from the verdict."""

from __future__ import annotations

from typing import Literal, Self

from pydantic import Field, model_validator

from ti_core.system.records import Group, Name, Number, Text, Whole


class SecondOpinion(Group):
    """What one method says, or why it was not asked."""

    method: Name = Field(description="Name of the method.")
    title: Text = Field(description="Its title.")
    source: Text = Field(description="Its publication.")
    measures: Text = Field(description="What its statistic is. A larger one is more suspicious.")
    statistic: Number | None = Field(description="Its statistic; null if it was not asked.")
    threshold: Number | None = Field(
        description="The published value above which a network counts as backdoored; null if it has none."
    )
    decision: Literal["backdoored", "clean"] | None = Field(
        description='Its own decision, "backdoored" or "clean"; null if it makes none on networks, or was not asked.'
    )
    target_class: Whole | None = Field(description="The class that it suspects, counted from 0.")
    sentence: Text = Field(description="The opinion in words; if it was not asked, the need that is not met.")
    beside: Text | None = Field(
        description="Where the statistic stands among those of the pack's held-out members; null if they are not known."
    )
    seconds: Number = Field(ge=0, description="Seconds that it took.")

    @model_validator(mode="after")
    def _as_decided(self) -> Self:
        if self.statistic is None and (self.decision is not None or self.beside is not None):
            raise ValueError("a method that was not asked has a decision")
        return self
