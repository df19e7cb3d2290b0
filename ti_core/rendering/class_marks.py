"""Which classes a stream's chart points out, and what that says under each verdict."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from ti_core.results.report import Report


def marked_classes(report: Report, stream: Mapping[str, Any]) -> tuple[int | None, int | None]:
    """The suspected target class, and the class that the stream points to where that is another one.

    Only a verdict of "backdoored" has a suspected target. Every network has a class that stands out most. A stream of a
    stranger's case may point to a class that does not exist.
    """
    target = report.target_class if report.verdict == "backdoored" else None
    own = stream.get("target_class")
    exists = isinstance(own, int) and 0 <= own < report.model["classes"]
    return target, own if exists and own != target else None


def marks_sentence(
    report: Report, streams: Sequence[Mapping[str, Any]], class_names: Sequence[str], finished: bool = True
) -> str:
    """What the diamonds in the charts of these streams are, and how many of them stand above what is usual.

    Parameters
    ----------
    streams : records of the streams that are drawn, with "values" and, unless images of the user's own took the pack's
        place, "high" among their figures.
    finished : whether the verdict is the final one.
    """
    alone = bool(report.pack.get("images"))
    usual = "the line" if alone else "the band"
    target = marked_classes(report, {})[0]
    others = [(s, marked_classes(report, s)[1]) for s in streams]
    pointed = [(s, index) for s, index in others if index is not None]
    said = []
    if target is not None:
        above = sum(_above(s, target, alone) for s in streams)
        said.append(
            f"The filled diamond is the suspected target, class {class_names[target]}. It stands above {usual} in"
            f" {above} of {_charts(len(streams))}."
        )
        if pointed:
            said.append("An open diamond is another class that stands out more in that chart.")
        return " ".join(said)
    if not finished:
        said.append("There is no joint verdict yet, so no class is suspected.")
    elif report.verdict == "backdoored" and (report.mapping or {}).get("kind") == "all to all":
        said.append("The backdoor leads each class to another one, so no class is the target.")
    elif report.verdict == "backdoored":
        said.append("The verdict is backdoored, but it names no target class.")
    else:
        said.append(f"The verdict is {report.verdict}, so no class is suspected.")
    if pointed:
        above = sum(_above(s, index, alone) for s, index in pointed)
        said.append(
            "The open diamond is the class that stands out most in each chart; every model has one. It stands above"
            f" {usual} in {above} of {_charts(len(pointed))}."
        )
    return " ".join(said)


def _above(stream: Mapping[str, Any], index: int, alone: bool) -> bool:
    """Whether the figure of a class is above what is usual for it."""
    figures = stream["figures"]
    return bool(figures["values"][index] > (1.0 if alone else figures["high"][index]))


def _charts(count: int) -> str:
    return f"{count} chart" + ("" if count == 1 else "s")
