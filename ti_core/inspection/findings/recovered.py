"""The trigger of the backdoor that an inspection suspects, by the stream that found it."""

from __future__ import annotations

import torch

from ti_core.inspection.findings.finding import leading
from ti_core.inspection.reasons import suspected_class
from ti_core.inspection.result import Inspection
from ti_core.inspection.trigger_occlusion import Occlusion
from ti_core.inspection.trigger_recovery import (
    EFFORT,
    ENOUGH,
    RecoveredTrigger,
    recover_for_source,
    recover_trigger,
    solved_trigger,
)
from ti_core.inspection.triggers.assignments import recover_assignment
from ti_core.inspection.triggers.recovered import Recovered
from ti_core.inspection.triggers.stripes import recover_stripes
from ti_core.inspection.triggers.warps import recover_warp
from ti_core.paper.triggers import TriggerKind
from ti_core.streams import Context
from ti_core.streams.universal import PICTURE_COARSENESS


def suspected_source(result: Inspection) -> int | None:
    """The only class that the suspected backdoor works on; None if it works on all."""
    mapping = None if result.leading is None else result.readings[result.leading].mapping
    return None if mapping is None else mapping.source


def recovered(
    result: Inspection, scores: torch.nn.Module, shown: Context, enough: float = ENOUGH
) -> RecoveredTrigger | None:
    """The patch or blend of the suspected class: searched, or as a solved gate tells.

    None if no class is suspected, or if a warp leads to it.

    Parameters
    ----------
    scores : the suspect's class scores.
    shown : the clean images and their labels.
    enough : as :func:`recover_trigger` takes it.
    """
    target, source, images, labels = (
        suspected_class(result),
        suspected_source(result),
        shown.images,
        shown.labels,
    )
    if target is None:
        return None
    if source is not None:
        return recover_for_source(scores, images, labels, source, target)
    if result.leading == "warp":
        return None
    if result.leading is not None:
        return solved_trigger(scores, images, labels, result.evidence[result.leading])
    halving = result.sparing.halving
    effort = EFFORT if halving is None else EFFORT.further(halving)
    windowed = result.evidence.get("windowed")
    # All windows of large images take longer than the streams. Before they were looked at, only pictures are tried.
    pictures = windowed is None and result.sparing.large and "universal" in result.evidence
    kind: TriggerKind | None = "blend" if pictures else None
    coarse = PICTURE_COARSENESS if pictures else 1
    return recover_trigger(scores, images, labels, target, windowed, kind, effort, coarse, enough)


def show_recovered(
    result: Inspection,
    scores: torch.nn.Module,
    shown: Context,
    pattern: RecoveredTrigger | None,
    occlusion: Occlusion | None,
) -> None:
    """Keep the trigger to be shown: that of the kind and mapping that the verdict names.

    Parameters
    ----------
    scores, shown, pattern : as :func:`recovered` takes and returns them.
    occlusion : of the pattern.
    """
    own = _of_its_kind(result, scores, shown, pattern)
    if own is None:
        result.trigger, result.occlusion = pattern, occlusion
    else:
        result.trigger, result.beside = own, pattern


def _of_its_kind(
    result: Inspection, scores: torch.nn.Module, shown: Context, pattern: RecoveredTrigger | None
) -> Recovered | None:
    """The trigger of the stream that the verdict rests on, if that looks for others than one pattern for all images."""
    name, target = leading(result), suspected_class(result)
    if name is None:
        return None
    images, labels, mapping = shown.images, shown.labels, result.readings[name].mapping
    if mapping is not None and mapping.assignment:
        return recover_assignment(scores, shown, result.evidence[name])
    if target is not None and name == "warp":
        return recover_warp(scores, images, labels, target)
    if target is None or result.leading is not None:
        return None
    if mapping is not None and mapping.source is not None and mapping.target == target:
        return recover_for_source(scores, images, labels, mapping.source, target)
    if name == "stripes":
        return recover_stripes(scores, images, labels, target)
    if name == "universal" and _by_waves(result, target):
        wave = recover_stripes(scores, images, labels, target)
        least = max(ENOUGH, 0.0 if pattern is None else pattern.flip_share)
        return wave if wave is not None and wave.flip_share >= least else None
    return None


def _by_waves(result: Inspection, target: int) -> bool:
    """Whether the class stands out in the stream ``universal`` by its waves more than by its other searches."""
    waves = (result.readings["universal"].figures or {}).get("waves")
    both = float(result.class_scores["universal"][0, target])
    # The score of the class is the root of the sum of the squares of the two.
    return waves is not None and waves[target] > 0 and 2 * waves[target] ** 2 > both**2
