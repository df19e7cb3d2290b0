"""The recovered trigger with its occlusion map, searched once for each model, images and class."""

from __future__ import annotations

import torch

from ti_core.inspection.findings.recovered import recovered, suspected_source
from ti_core.inspection.reasons import suspected_class
from ti_core.inspection.result import Inspection
from ti_core.inspection.trigger_cache import Found, kept_trigger
from ti_core.inspection.trigger_occlusion import occlude
from ti_core.streams import Context
from ti_core.system.cache import Cache


def recovered_once(
    result: Inspection,
    scores: torch.nn.Module,
    shown: Context,
    cache: Cache,
    model: str,
    images: str,
    windowed: int | None,
) -> Found:
    """The trigger of the suspected class and where on stamped images the decision hangs; None for what there is not.

    Parameters
    ----------
    scores, shown : as for :func:`ti_core.inspection.findings.recovered.recovered`.
    cache, model, images, windowed : as for :func:`ti_core.inspection.trigger_cache.kept_trigger`.
    """
    target, source = suspected_class(result), suspected_source(result)
    if target is None:
        return None, None

    def search() -> Found:
        trigger = recovered(result, scores, shown)
        return trigger, None if trigger is None else occlude(scores, shown.images, trigger)

    if result.leading is not None and source is None:
        # A solved gate's trigger is in the evidence.
        return search()
    return kept_trigger(cache, model, images, target, windowed if source is None else None, search, source)
