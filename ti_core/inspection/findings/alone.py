"""Sentences of a verdict without reference models: why it is what it is, and why there is none."""

from __future__ import annotations

import numpy as np

from ti_core.classifier.classifier import Classifier
from ti_core.detector.detector import Assessment
from ti_core.detector.own_classes import BACKDOORED, CLEAN, FEWEST_CLASSES, Alone
from ti_core.inspection.reason import COMPARISON, LEANINGS, Reason, of_reading, plain
from ti_core.inspection.reasons import recovered
from ti_core.inspection.result import Inspection
from ti_core.reference.own_images import WEAKER, OwnImages
from ti_core.streams.assignment import FEWEST_CLASSES as MAPPED


def reasons_alone(
    result: Inspection,
    found: Alone | None,
    assessment: Assessment | None,
    own: OwnImages,
    names: tuple[str, ...],
) -> tuple[Reason, ...]:
    """The report's reasons, the weightiest first. The warning :data:`WEAKER` stands before the figures."""
    assert result.classifier is not None
    if found is None or assessment is None:
        known = understood_alone(result.classifier, own)
        said = [] if known else [not_understood_alone(result.classifier, own)]
        return tuple(plain([*said, result.classifier.says()]))
    lines = []
    if result.leading is not None:
        lines.append(of_reading(result.leading, result.readings[result.leading], True))
    lines += recovered(result, names)
    if len(names) < FEWEST_CLASSES:
        lines += plain(
            [
                f"Among {len(names)} classes none can be told to stand out: without reference models there is no"
                " verdict. What the streams say of the classes, of the lengths of perturbations and of the last layer"
                f" is weak here. By itself only {_proof(len(names))} counts."
            ]
        )
    elif result.leading is None:
        verdict = found.assess().verdict
        place = {
            "backdoored": f"at or above {BACKDOORED:g}, where a model is called backdoored",
            "clean": f"below {CLEAN:g}, where a model is called clean",
            "inconclusive": f"between {CLEAN:g} and {BACKDOORED:g}, where clean and backdoored models are both found",
        }[verdict]
        sentence = (
            f"Class {names[found.target]} stands out {found.score:.2f} times as far as is usual in clean networks,"
            f" {place}."
        )
        lines.append(Reason(sentence, LEANINGS.get(verdict, "neither")))
    lines += plain([WEAKER], COMPARISON)
    target = found.target if assessment.verdict == "backdoored" else None
    others = [pair for pair in result.readings.items() if pair[0] != result.leading]
    for name, reading in sorted(others, key=lambda pair: -pair[1].score):
        lines.append(of_reading(name, reading, target is not None and reading.leads_to == target))
    return (*lines, *plain([result.classifier.says()]))


def _proof(classes: int) -> str:
    """What shows a backdoor by itself among so few classes."""
    return (
        "a gate in the graph"
        if classes < MAPPED
        else "a gate in the graph or a pattern that moves every class"
    )


def understood_alone(found: Classifier, own: OwnImages) -> bool:
    """Whether the model tells the user's images apart.

    Most of the user's images may be of one class. The model must be right more often than that class occurs.
    """
    if own.labels is None or not found.understood:
        return found.understood
    return round(found.accuracy * len(own.labels)) > int(np.bincount(own.labels).max())


def not_understood_alone(found: Classifier, own: OwnImages) -> str:
    """The reason for no verdict: the model does not classify the user's images."""
    if own.labels is not None and found.understood:
        return (
            f"{found.accuracy:.0%} of the images in {own.name} are classified as labelled, no more than if every answer"
            " were their most common label: give images of all the classes."
        )
    if own.labels is not None:
        return (
            f"At best {found.accuracy:.0%} of the images in {own.name} are classified as labelled, under the"
            f" {found.needed:.0%} that a verdict needs: labels or preprocessing are others than this model's."
        )
    return (
        f"The model's answers hardly tell the images in {own.name} apart: it was trained for other images, or its"
        " preprocessing is not among those tried; declare it with --set normalisation=NAME."
    )
