"""The verdict so far: what the streams that are done say, by the same judgement as the final verdict."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property

import numpy as np

from ti_core.detector.alternatives import Alternatives
from ti_core.detector.detector import Assessment, Detector
from ti_core.detector.own_classes import BACKDOORED, CLEAN, alone, probability_of, telling
from ti_core.inspection.forecast import Forecast
from ti_core.inspection.reasons import target_of
from ti_core.inspection.result import Inspection
from ti_core.reference.judge import Judge, Judgement
from ti_core.results.so_far import TRIGGER, SoFar
from ti_core.streams import Evidence, Stream, in_turn
from ti_core.streams.base import as_stack

LEAST_AHEAD = 1.5
"""Seconds that the next piece of work must be expected to take for a verdict so far before it. To judge takes up to .15
s, since the joint meta-model is fitted to the streams that are done."""

Tell = Callable[[SoFar], None]


@dataclass(frozen=True)
class PartJudge(Judge):
    """The judge of some of the streams of a whole one. The paper's meta-model is the whole one's: it is the same."""

    whole: Judge = field(kw_only=True)

    @cached_property
    def paper(self) -> Detector | None:
        return None if self.paper_stream is None else self.whole.paper


def judged(
    judge: Judge, own: Mapping[str, Evidence], accuracy: float, paper: Judgement | None
) -> Judgement | None:
    """The judgement of the judge's streams on one model; None if none of them compares models.

    Parameters
    ----------
    own : the model's evidence by stream, as stacks of one.
    accuracy : its clean accuracy.
    paper : what the paper's meta-model said of it, where its stream took part.
    """
    if judge.deep_streams:
        return judge.jointly(own, [accuracy], paper)
    return None if paper is None else judge.with_alternatives(paper, own)


def unlike(judge: Judge, result: Inspection, found: Judgement) -> tuple[str, ...]:
    """In what the model is unlike the reference models, where the judgement compares classes."""
    if result.classifier is None or not found.class_scores:
        return ()
    scores, accuracy = result.classifier.scores, result.classifier.accuracy
    return judge.unlike(scores, accuracy, result.evidence, found)


def ahead_of(streams: Sequence[Stream], result: Inspection, forecast: Forecast | None) -> tuple[str, ...]:
    """Names of what is still to do, if the next of it takes so long that a verdict so far is worth its time; else none.

    After the last stream, the trigger is left.
    """
    names = tuple(s.name for s in in_turn(streams) if s.name not in result.evidence) or (TRIGGER,)
    seconds = None if forecast is None else forecast.seconds_of(names[0])
    return names if seconds is None or seconds >= LEAST_AHEAD else ()


def so_far(
    streams: Sequence[Stream],
    result: Inspection,
    assessment: Assessment,
    target: str | None,
    ahead: tuple[str, ...],
) -> SoFar:
    """What is told of an assessment. The suspected class is named where the verdict is "backdoored"."""
    done = tuple(s.name for s in in_turn(streams) if s.name in result.evidence)
    named = target if assessment.verdict == "backdoored" else None
    return SoFar(assessment.verdict, assessment.probability, done, ahead, named)


def so_far_with_pack(
    judge: Judge, result: Inspection, paper: Judgement | None, ahead: tuple[str, ...]
) -> SoFar | None:
    """What the streams that are done say beside the pack's members; None if none of them compares models.

    Parameters
    ----------
    judge : of all streams of the inspection.
    paper : what the paper's meta-model said, once its stream is done.
    """
    done = [s for s in judge.streams if s.name in result.evidence]
    if result.classifier is None or not done:
        return None
    settings = judge.reference.settings.with_(streams=tuple(s.name for s in done))
    part = PartJudge(replace(judge.reference, settings=settings), done, judge.fitted, whole=judge)
    own = {name: as_stack(evidence) for name, evidence in result.evidence.items()}
    found = judged(part, own, result.classifier.accuracy, paper)
    if found is None:
        return None
    leading = found.leading[0]
    target = target_of(found.class_scores) if leading is None else result.readings[leading].leads_to
    name = None if target is None else judge.reference.pack.class_names[target]
    assessment = found.assess(result.readings, unlike=unlike(part, result, found))
    return so_far(done, result, assessment, name, ahead)


def so_far_alone(
    streams: Sequence[Stream], result: Inspection, class_names: Sequence[str], ahead: tuple[str, ...]
) -> SoFar | None:
    """What the streams that are done say of the model's own classes; None if none of them tells classes apart."""
    if not telling(result.evidence):
        return None
    found = alone(result.evidence)
    assessment, leading = with_alternatives(result, streams, found.assess())
    target = found.target if leading is None else result.readings[leading].leads_to
    return so_far(streams, result, assessment, None if target is None else class_names[target], ahead)


def with_alternatives(
    result: Inspection, streams: Sequence[Stream], of_classes: Assessment
) -> tuple[Assessment, str | None]:
    """Add the odds of the backdoors that streams find by themselves, without a pack.

    Returns the assessment, and the stream that leads a verdict of "backdoored", if one does.
    """
    found = Alternatives.of(streams, {k: as_stack(e) for k, e in result.evidence.items()})
    assessment = found.assess(of_classes, probability_of(CLEAN), probability_of(BACKDOORED))
    if assessment.verdict != "backdoored":
        return assessment, None
    return assessment, found.leading(np.array([of_classes.probability]))[0]
