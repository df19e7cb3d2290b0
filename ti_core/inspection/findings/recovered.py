"""The trigger of the backdoor that an inspection suspects, by the stream that found it."""

from __future__ import annotations

import torch

from ti_core.inspection.reasons import suspected_class
from ti_core.inspection.result import Inspection
from ti_core.inspection.trigger_recovery import (
    RecoveredTrigger,
    recover_for_source,
    recover_trigger,
    solved_trigger,
)
from ti_core.streams import Context


def suspected_source(result: Inspection) -> int | None:
    """The only class that the suspected backdoor works on; None if it works on all."""
    mapping = None if result.leading is None else result.readings[result.leading].mapping
    return None if mapping is None else mapping.source


def recovered(result: Inspection, scores: torch.nn.Module, shown: Context) -> RecoveredTrigger | None:
    """The trigger of the suspected class: searched, or as a solved gate tells; None if there is none to show.

    Parameters
    ----------
    scores : the suspect's class scores.
    shown : the clean images and their labels.
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
    if result.leading is not None:
        return solved_trigger(scores, images, labels, result.evidence[result.leading])
    return recover_trigger(scores, images, labels, target, result.evidence.get("windowed"))
