"""Reasons: sentences that say why the verdict is what it is, and how far to trust it."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any

from ti_core.classifier.classifier import Classifier
from ti_core.detector.detector import Assessment, Detector
from ti_core.detector.grounds import GROUND
from ti_core.detector.joint import EASE, suspected
from ti_core.detector.likeness import UNLIKE_SURE
from ti_core.inspection.reason import COMPARISON, LEANINGS, TRIGGER, Reason, of_reading, plain
from ti_core.inspection.result import Inspection
from ti_core.inspection.trigger_recovery import ENOUGH
from ti_core.inspection.triggers.recovered import Recovered
from ti_core.reconstruction.model import Model
from ti_core.reference.pack import Pack
from ti_core.results.groups import Speaks
from ti_core.streams import Reading
from ti_core.streams.base import Array
from ti_core.system.time_left import duration

TELLING = 0.25
"""Minimum contribution to a verdict, in log-odds, that is given as a reason."""
SHORTENED = (
    "The network is large for this time, so the searches were shortened: every class and place got a few steps, and"
    " those that stood out then, with some others, the full search. A thorough inspection searches all in full.",
    "The network is very large for this time, so the searches were cut short: every class and place got a few steps,"
    " and the few that stood out then, with some others, about a fifth of the full search. Weak backdoors are missed."
    " A thorough inspection searches all in full.",
)
"""What is said of searches that were shortened, by level."""
SURE_AUC = 0.9
"""Held-out AUC below which a kind of trigger is called poorly detected, in every report."""


def target_of(class_scores: Mapping[str, Array]) -> int | None:
    """The suspected target class: the largest joint class score. None if no stream gives class scores."""
    return int(suspected(dict(class_scores))[0]) if class_scores else None


def suspected_class(result: Inspection) -> int | None:
    """The suspected target class: that of the stream that found a backdoor by itself, else the joint score's."""
    return (
        target_of(result.class_scores) if result.leading is None else result.readings[result.leading].leads_to
    )


def with_recovered(assessment: Assessment, trigger: Recovered | None) -> Assessment:
    """The assessment with the kind of the recovered trigger, if that flips at least ``ENOUGH`` of the images.

    On the fitted members of the MNIST pack the recovered trigger names the right kind as often as the meta-model does
    (4 in 5). With it, the report names the kind of the trigger that it shows.
    """
    if trigger is None or trigger.flip_share < ENOUGH:
        return assessment
    return replace(assessment, trigger_kind=trigger.kind)


def left_out(result: Inspection) -> tuple[str, ...]:
    """What was left out for want of time or memory, a sentence each."""
    lines = []
    if result.sparing.level:
        lines.append(SHORTENED[result.sparing.level - 1])
    if result.too_long:
        lines.append(
            "Left out, since the network is large or tells many classes apart: "
            f"{', '.join(result.too_long)}. A thorough inspection looks there too."
        )
    if result.not_needed:
        lines.append(
            f"Not run, since the verdict was certain before: {', '.join(result.not_needed)}. A thorough inspection"
            " looks there too."
        )
    if result.left_out:
        named = ", ".join(
            f"{name} (about {duration(seconds)})"
            for name, seconds in sorted(result.left_out.items(), key=lambda x: x[1])
        )
        lines.append(f"The time allowed was too short for some streams, which were left out: {named}.")
    if result.too_large:
        lines.append(
            "There was not enough memory for some streams, which were left out:"
            f" {', '.join(result.too_large)}. Allow more with --memory."
        )
    return tuple(lines)


def not_understood(found: Classifier) -> tuple[str, ...]:
    """The reasons for no verdict: the model does not classify the labelled images."""
    return (
        f"At best {found.accuracy:.0%} of the pack's labelled images are classified correctly, under the"
        f" {found.needed:.0%} that a verdict needs: the model was trained for other images, or its preprocessing"
        " is not among those tried; declare it with --set normalisation=NAME.",
        found.says(),
    )


def reconstruction(model: Model) -> tuple[str, ...]:
    """How the model's network was reconstructed, and how sure that is."""
    return (model.reconstructed.says(),) if model.reconstructed is not None else ()


def doubts(model: Model) -> tuple[str, ...]:
    """Why no verdict can rest on a reconstructed network, with how it was reconstructed."""
    found = model.reconstructed
    return (found.doubt, found.says()) if found is not None and found.doubt else reconstruction(model)


def outside_sentence(assessment: Assessment) -> str:
    return (
        f"The evidence lies outside everything in the reference set ({assessment.distance:.1f} times as far from its"
        " nearest reference model as any of those from another)."
    )


def reasons(result: Inspection, assessment: Assessment, pack: Pack, target: int | None) -> tuple[Reason, ...]:
    """The report's reasons, the weightiest first."""
    assert result.classifier is not None
    lines = []
    if result.leading is not None:
        lines.append(of_reading(result.leading, result.readings[result.leading], True))
    lines += recovered(result, pack.class_names)
    lines += _decision(result, assessment)
    lines += plain(result.unlike)
    if assessment.verdict == "backdoored" and target is None and result.leading is None:
        lines += plain(["The streams that were used do not name a target class."])
    lines += [of_reading(name, r, target is not None and r.leads_to == target) for name, r in ranked(result)]
    lines += [
        Reason(sentence, "against")
        for sentence in mistakes(result.detectors[result.decided_by], result.rows[result.decided_by])
    ]
    lines += plain(detection_sentences(pack.performance(result.decided_by)), COMPARISON)
    lines += plain([result.classifier.says()])
    return tuple(lines)


def _decision(result: Inspection, assessment: Assessment) -> Iterator[Reason]:
    """The probability beside the pack's thresholds, and why it did not decide where it did not."""
    c = result.detectors[result.decided_by].calibration
    p = assessment.probability
    outside = assessment.outside
    found = f"The probability of a backdoor, {p:.1%},"
    above = f"{found} is above this pack's threshold of {c.high:.1%}"
    if assessment.verdict == "backdoored":
        yield Reason(f"{above}.", LEANINGS["backdoored"])
    elif assessment.verdict == "clean":
        yield Reason(f"{found} is below {c.low:.1%}, where this pack calls a model clean.", LEANINGS["clean"])
    elif p < c.low:
        outside = False
        yield from plain([outside_sentence(assessment), "It is therefore not called clean."])
    elif p >= c.high:
        unlike = f"the model is unlike the reference models. For such a model {UNLIKE_SURE:.0%} are needed."
        usual = (
            f"no search of a class finds the model unusual: in each, more than {GROUND:.0%} of the clean reference"
            " models go as far."
        )
        why = unlike if result.unlike and p < UNLIKE_SURE else usual
        yield from plain([f"{above}, but {why}", "It is therefore not called backdoored."])
    else:
        yield Reason(f"{found} lies between this pack's thresholds of {c.low:.1%} and {c.high:.1%}.")
    if outside:
        yield Reason(outside_sentence(assessment))


def ranked(result: Inspection) -> list[tuple[str, Reading]]:
    """Streams and their readings, the most unusual first; those without clean models for comparison last.

    The stream that leads is left out.
    """
    others = [pair for pair in result.readings.items() if pair[0] != result.leading]
    return sorted(others, key=lambda pair: (math.isnan(pair[1].clean_share), pair[1].clean_share))


def mistakes(detector: Detector, row: Array) -> list[str]:
    """A sentence if the model makes more mistakes than the reference models and that lowered the log-odds."""
    figures = dict(zip(detector.names, row, strict=True))
    less = -dict(detector.contributions(row)).get(EASE, 0.0)
    if less < TELLING:
        return []
    return [
        f"The model makes {1 - figures[EASE]:.1f} times as many mistakes as the median reference model. In a network"
        f" that has learnt less some class gives way sooner: the evidence counts for less, by {less:.1f} in log-odds."
    ]


def recovered(result: Inspection, class_names: tuple[str, ...]) -> list[Reason]:
    """What is said of the recovered trigger, where the decision hangs, and of the pattern that counted beside it."""
    lines = [] if result.trigger is None else [_of_trigger(result.trigger, class_names)]
    if result.occlusion is not None:
        # Where the decision hangs is no evidence of its own.
        speaks: Speaks = "neither" if lines and lines[0].speaks == "against" else "for"
        lines.append(Reason(result.occlusion.sentence(), speaks, TRIGGER))
    if result.beside is not None:
        lines.append(_of_trigger(result.beside, class_names))
    return lines


def _of_trigger(trigger: Recovered, class_names: tuple[str, ...]) -> Reason:
    """A recovered trigger speaks for a backdoor unless clean models give way as far."""
    usual = trigger.clean_share is not None and trigger.clean_share > GROUND
    return Reason(trigger_sentence(trigger, class_names), "against" if usual else "for", TRIGGER)


def trigger_sentence(trigger: Recovered, class_names: tuple[str, ...]) -> str:
    """The recovered trigger and its flip share on unseen images, as a sentence."""
    images = "" if trigger.source is None else f" of class {class_names[trigger.source]}"
    into = (
        "the class assigned to theirs" if trigger.target is None else f"class {class_names[trigger.target]}"
    )
    return (
        f"A recovered trigger, {trigger.what()}, turns {trigger.flip_share:.0%} of {len(trigger.images_used)} unseen"
        f" clean images{images} into {into}{_beside_clean(trigger.clean_share)}."
    )


def _beside_clean(share: float | None) -> str:
    """What the recovered trigger says beside the clean reference models, to end its sentence."""
    if share is None:
        return ""
    if share <= GROUND:
        return f"; at most {share:.1%} of the clean reference models give way as far to as small a change"
    return (
        f"; {share:.0%} of the clean reference models give way as far to as small a change, so that this alone is no"
        " evidence"
    )


def detection_sentences(figures: Mapping[str, Any]) -> list[str]:
    """How well this pack detects patches and blends on held-out models, a sentence each.

    The other kinds and mappings are in the table of what was looked for.
    """
    lines = []
    for kind in ("blend", "patch"):
        if kind in figures:
            f = figures[kind]
            weak = " - too little to rule such a trigger out" if f["auc"] < SURE_AUC else ""
            lines.append(
                f"On {f['trojaned']} held-out {kind} and {f['clean']} clean models this pack reaches AUC {f['auc']:.2f}"
                f" (95 % interval {f['low']:.2f} to {f['high']:.2f}) and finds {f['found']:.0%} at"
                f" {f['false_alarms']:.0%} false alarms{weak}."
            )
    return lines
