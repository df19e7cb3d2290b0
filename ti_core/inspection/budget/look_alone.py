"""The streams' look at one model without a pack, which ends early where the verdict cannot change any more."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass, replace
from functools import partial

from ti_core.classifier.classifier import Classifier
from ti_core.detector.own_classes import alone, read_alone, telling
from ti_core.inspection.budget.limit import Limit
from ti_core.inspection.budget.so_far import Tell, ahead_of, so_far_alone, with_alternatives
from ti_core.inspection.clock import Clock
from ti_core.inspection.findings.recovered import recovered
from ti_core.inspection.forecast import Forecast
from ti_core.inspection.result import Inspection
from ti_core.reconstruction.model import Model
from ti_core.reference.own_images import OwnImages
from ti_core.streams import Context, Stream, in_turn
from ti_core.streams.base import Array
from ti_core.system.cache import Cache
from ti_core.system.progress import ShareProgress

CERTAIN = 0.95
"""Share of unseen images from which on a recovered trigger is proof, where the verdict so far is "backdoored"."""


@dataclass
class Look:
    """The streams' look at one model. What they find is put into ``result``.

    Parameters
    ----------
    names : of the classes.
    """

    model: Model
    own: OwnImages
    context: Context
    names: tuple[str, ...]
    result: Inspection
    cache: Cache
    clock: Clock
    _tried: int | None = None
    """The class whose trigger was searched last to be certain."""

    def through(self, streams: list[Stream], forecast: Forecast | None, tell: Tell | None) -> None:
        """Ask the streams, in the order of what they tell by the second."""
        result, limit, turn = self.result, Limit(self.result, self.clock, forecast), in_turn(streams)
        for number, stream in enumerate(turn):
            judged = bool(telling(result.evidence))
            if self._is_certain(streams):
                too_late = {} if forecast is None else forecast.left_out
                result.not_needed = tuple(s.name for s in turn[number:] if s.name not in too_late)
                break
            if not limit.has_time(stream, judged):
                continue
            self._say_so_far(streams, forecast, tell)
            evidence = limit.run(stream, judged, partial(self._evidence, stream))
            if evidence is None:
                continue
            result.evidence[stream.name] = evidence
            result.readings[stream.name] = read_alone(stream, evidence, self.names)
            result.in_order_of_report()
        result.left_out = {} if forecast is None else forecast.left_out

    def _is_certain(self, streams: list[Stream]) -> bool:
        """Whether what the streams say so far is "backdoored", and no later stream can change that.

        What a stream finds by itself stays. What the classes say together could change, unless the trigger that is
        recovered from it turns nearly all unseen images. It is only asked of large networks, where the rest takes long.
        """
        result = self.result
        if not result.sparing.level or not telling(result.evidence):
            return False
        found = alone(result.evidence)
        so_far, leading = with_alternatives(result, streams, found.assess())
        if so_far.verdict != "backdoored":
            return False
        by_themselves = replace(found.assess(), probability=0.0, verdict="clean")
        if with_alternatives(result, streams, by_themselves)[0].verdict == "backdoored":
            return True
        if leading is not None or self._tried == found.target:
            return False
        self._tried = found.target
        result.class_scores = {name: scores[None] for name, scores in found.streams.items()}
        assert result.classifier is not None
        with self.clock.stage("trigger"):
            pattern = recovered(result, result.classifier.scores, self.context, CERTAIN)
        if pattern is None or pattern.flip_share < CERTAIN:
            return False
        result.proof = pattern
        return True

    def _say_so_far(self, streams: list[Stream], forecast: Forecast | None, tell: Tell | None) -> None:
        """Tell what the streams that are done say, if what is ahead takes some time."""
        left = {*self.result.too_large, *(() if forecast is None else forecast.left_out)}
        kept = [s for s in streams if s.name not in left]
        ahead = () if tell is None else ahead_of(kept, self.result, forecast)
        said = so_far_alone(kept, self.result, self.names, ahead) if ahead else None
        if tell is not None and said is not None:
            tell(said)

    def _evidence(self, stream: Stream, share: ShareProgress) -> dict[str, Array]:
        assert self.result.classifier is not None
        scores = self.result.classifier.scores
        key = evidence_key(stream, self.model, self.own, self.result.classifier)
        context = replace(self.context, found=self.result.evidence)
        with self.clock.origin(stream.name, self.cache):
            return self.cache.arrays(key, lambda: stream.evidence(scores, context, share))


def evidence_key(stream: Stream, model: Model, own: OwnImages, found: Classifier) -> str:
    """The key in the cache of a stream's evidence of one model on these images."""
    parts = [
        "evidence alone, on a grid",
        stream.sparing.level,
        stream.name,
        stream.version,
        f"{model.key}/{found.key}",
        own.sha256,
    ]
    return "evidence/" + hashlib.sha256(json.dumps(parts).encode()).hexdigest()
