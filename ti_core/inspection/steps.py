"""The steps of an inspection with a reference pack; :mod:`ti_core.inspection.with_pack` puts them in order.

Every step reads what earlier ones left in :attr:`Steps.result`, adds its own part, and is timed under a stage's name.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from dataclasses import replace
from functools import cached_property

from ti_core.classifier.classifier import Declared
from ti_core.classifier.decide import decided
from ti_core.detector.detector import Assessment
from ti_core.inspection.budget.known import known_work
from ti_core.inspection.budget.limit import Limit
from ti_core.inspection.budget.so_far import Tell, ahead_of, judged, so_far_with_pack, unlike
from ti_core.inspection.clock import Clock
from ti_core.inspection.findings.kept import recovered_once
from ti_core.inspection.findings.recovered import show_recovered
from ti_core.inspection.forecast import Forecast
from ti_core.inspection.reason import COMPARISON, plain
from ti_core.inspection.reasons import (
    doubts,
    left_out,
    not_understood,
    reasons,
    reconstruction,
    suspected_class,
    with_recovered,
)
from ti_core.inspection.report_records import make_report, pack_record
from ti_core.inspection.result import Inspection
from ti_core.inspection.trigger_cache import Found
from ti_core.reconstruction.model import Model
from ti_core.reference.choosing import understand_with
from ti_core.reference.judge import Judge, Judgement
from ti_core.reference.pack import Pack
from ti_core.reference.reference import Reference, evidence_key
from ti_core.results.cautions import cautions
from ti_core.settings import Settings
from ti_core.streams import Evidence, Stream, make_streams
from ti_core.streams.base import Array, as_stack
from ti_core.system.cache import Cache
from ti_core.system.progress import ShareProgress


class Steps:
    """One inspection on its way.

    Attributes
    ----------
    result : everything that was found so far.
    streams : the streams that are switched on, in the order they report.
    """

    def __init__(
        self,
        model: Model,
        pack: Pack,
        settings: Settings,
        clock: Clock,
        cache: Cache,
        device: str,
        forecast: Forecast | None = None,
    ) -> None:
        self._forecast = forecast
        if forecast is not None:
            forecast.settings = settings
        self.result = Inspection()
        self.streams = make_streams(settings)
        self._model, self._pack, self._clock, self._device = model, pack, clock, device
        self._reference = Reference(pack, settings, cache, device)
        self._judge = Judge(self._reference, self.streams, self.result.reference)
        self._limit = Limit(self.result, clock, forecast)
        self._paper: Judgement | None = None
        self._judged: Judgement | None = None
        self._assessment: Assessment | None = None

    @property
    def understood(self) -> bool:
        """Whether the suspect classifies the pack's images about as well as its reference models do."""
        return (
            self._model.settled and self.result.classifier is not None and self.result.classifier.understood
        )

    @property
    def doubtful(self) -> bool:
        """Whether the suspect is not below the lower threshold of the last meta-model."""
        if self._assessment is None:
            return False
        return self._assessment.probability >= self.result.detectors[self.result.decided_by].calibration.low

    @cached_property
    def _name(self) -> str:
        """A name that no other weights or preprocessing share, for cache keys."""
        assert self.result.classifier is not None
        return f"{self._model.key}/{self.result.classifier.key}"

    def find_preprocessing(self) -> None:
        """Find out on the pack's labelled images how the suspect wants its images, and where its class scores are.

        Where the file leaves its network open, the images decide that first.
        """
        if self._model.proposal is not None:
            with self._clock.stage("reconstruction"):
                self._model = decided(self._model, self._pack.images, self._pack.labels)
        with self._clock.stage("preprocessing"):
            declared = Declared.of(self._reference.settings)
            self.result.classifier = understand_with(self._model, self._pack, declared, self._forecast)

    def tell_forecast(self) -> None:
        """Tell how long the stages take, now that it is known how the network is used and what the cache holds."""
        if self._forecast is None:
            return
        assert self.result.classifier is not None
        scores = self.result.classifier.scores.to(self._device)
        known = known_work(self._reference, self.streams, self._name)
        self._forecast.update(known, scores, self._reference.context(None).images)
        self._leave_out()

    @property
    def _could_judge(self) -> bool:
        """Whether a verdict can be given already."""
        return self._paper is not None or any(
            s.name in self.result.evidence for s in self._judge.deep_streams
        )

    def has_time(self, stream: Stream) -> bool:
        """Whether there is time for a stream. It is left out if earlier ones took longer than was expected."""
        found = self._limit.has_time(stream, self._could_judge)
        self._leave_out()
        return found

    def _leave_out(self) -> None:
        """Go on without the streams that have to be left out, as if they had been switched off."""
        self.result.left_out = {} if self._forecast is None else dict(self._forecast.left_out)
        without = {*self.result.left_out, *self.result.too_large}
        kept = [s for s in self.streams if s.name not in without]
        if len(kept) == len(self.streams):
            return
        self.streams = kept
        settings = self._reference.settings.with_(streams=tuple(s.name for s in kept))
        self._reference = replace(self._reference, settings=settings)
        self._judge = Judge(self._reference, self.streams, self.result.reference)

    def make_probes(self) -> None:
        """Algorithm 1, lines 3 to 8, with a trojaned reference model or with the suspect."""
        assert self.result.classifier is not None
        scores = self.result.classifier.scores.to(self._device)
        with self._clock.stage("probes"):
            self.result.probes = self._reference.probes(scores, self._clock.share)

    def suspect_evidence(self, stream: Stream) -> Evidence | None:
        """The stream's evidence of the suspect, from the cache where it was inspected before.

        None if time or memory ended in the middle of it; then it is left out.
        """
        assert self.result.classifier is not None
        scores, reference, probes = self.result.classifier.scores, self._reference, self.result.probes
        key = evidence_key(stream, self._name, self._pack, probes)
        context = reference.context(probes, self.result.evidence)

        def compute(share: ShareProgress) -> Evidence:
            with self._clock.origin(stream.name, reference.cache):
                return reference.cache.arrays(key, lambda: stream.evidence(scores, context, share))

        found = self._limit.run(stream, self._could_judge, compute)
        self._leave_out()
        return found

    def reference_evidence(self, stream: Stream) -> dict[str, Array]:
        """The stream's stacked evidence of the fitted reference models, as a rule from the pack's baseline."""
        stage = f"{stream.name} reference"
        with self._clock.stage(stage):
            stacked = self._reference.evidence(stream, self.result.probes, self._clock.share)
            ships = self._reference.serves_baseline(stream)
            self._clock.source(stage, "baseline" if ships or not stacked else "computed")
        return stacked

    def read(self, stream: Stream, suspect: Evidence, reference: dict[str, Array]) -> None:
        """Keep both sides of a stream, and what the suspect's evidence says beside the clean reference models'."""
        self.result.evidence[stream.name] = dict(suspect)
        if reference:
            self.result.reference[stream.name] = reference
        clean = self._reference.clean(reference)
        self.result.readings[stream.name] = stream.read(suspect, clean, self._pack.class_names)
        self.result.in_order_of_report()

    def judge_by_paper(self) -> None:
        """Algorithm 1, line 17: the paper's meta-model on the suspect's stacked histograms."""
        with self._clock.stage("saliency verdict"):
            self._paper = self._judge.by_paper(self._own)
            self._assessment = self._paper.assess()
        self._keep("saliency", self._paper)

    def say_so_far(self, tell: Tell | None) -> None:
        """Tell what the streams that are done say, if what is ahead takes some time."""
        ahead = () if tell is None else ahead_of(self.streams, self.result, self._forecast)
        said = so_far_with_pack(self._judge, self.result, self._paper, ahead) if ahead else None
        if tell is not None and said is not None:
            tell(said)

    def judge_jointly(self) -> None:
        """The meta-model over all streams that compare classes, and the odds of the backdoors that it does not see.

        Without streams that compare classes the paper's meta-model takes its place.
        """
        assert self.result.classifier is not None
        with self._clock.stage("verdict"):
            found = judged(self._judge, self._own, self.result.classifier.accuracy, self._paper)
            if found is None:
                return
            self.result.class_scores = found.class_scores
            self.result.unlike = unlike(self._judge, self.result, found)
            self._assessment = found.assess(self.result.readings, unlike=self.result.unlike)
        self._judged = found
        if self._judge.deep_streams:
            self._keep("joint", found)
        self.result.leading = found.leading[0] if self._assessment.verdict == "backdoored" else None

    def show(self, observe: Callable[[Inspection], None] | None) -> None:
        """Show the inspection as it stands, where further streams follow."""
        if observe is not None and self._judge.deep_streams:
            self._report(reconstruction(self._model))
            observe(self.result)

    def recover_trigger(self) -> None:
        """Make the suspected class's trigger, and try it on unseen images.

        It counts as evidence if hardly any clean reference model gives way as far. It is shown if the verdict is
        "backdoored", with where on the images the decision hangs.
        """
        assert self._judged is not None and self.result.classifier is not None
        with self._clock.stage("trigger"):
            trigger, occlusion = self._recovered()
            if trigger is not None and self.result.leading is None and self._judged.class_scores:
                share = self._judge.share_beyond(trigger.recovery)
                trigger = replace(trigger, clean_share=None if math.isnan(share) else share)
                self._assessment = self._judged.assess(self.result.readings, share, self.result.unlike)
            if self._assessment is not None and self._assessment.verdict == "backdoored":
                scores, shown = self.result.classifier.scores, self._reference.context(None)
                show_recovered(self.result, scores, shown, trigger, occlusion)
                self._assessment = with_recovered(self._assessment, self.result.trigger)

    def finish(self) -> Inspection:
        """Write the report."""
        self._report(reconstruction(self._model))
        return self.result

    def finish_without_verdict(self) -> Inspection:
        """Write the report of a suspect that does not classify the pack's images."""
        assert self.result.classifier is not None
        why = not_understood(self.result.classifier) if not self.result.classifier.understood else ()
        self._report((*doubts(self._model), *why))
        return self.result

    @property
    def _own(self) -> dict[str, dict[str, Array]]:
        return {name: as_stack(evidence) for name, evidence in self.result.evidence.items()}

    def _keep(self, name: str, found: Judgement) -> None:
        self.result.detectors[name], self.result.rows[name] = found.detector, found.rows[0]

    def _recovered(self) -> Found:
        assert self.result.classifier is not None
        version = {s.name: s.version for s in self.streams}.get("windowed")
        cache, images = self._reference.cache, self._pack.record["files"]["images.npz"]
        shown, scores = self._reference.context(None), self.result.classifier.scores
        with self._clock.origin("trigger", cache):
            return recovered_once(self.result, scores, shown, cache, self._name, images, version)

    def _report(self, of_the_model: Iterable[str]) -> None:
        pack, result = self._pack, self.result
        backdoored = self._assessment is not None and self._assessment.verdict == "backdoored"
        target = suspected_class(result) if backdoored else None
        settings = self._reference.settings
        record = pack_record(pack, settings, result, bool(self._judge.deep_streams))
        said = plain(of_the_model)
        if self._assessment:
            why = reasons(result, self._assessment, pack, target)
            weak = plain(cautions(record, settings.as_dict()), COMPARISON)
            said = [*plain(left_out(result)), *weak, *why, *said]
        result.report = make_report(
            result,
            self._assessment,
            target,
            said,
            model=self._model,
            class_names=pack.class_names,
            input_shape=pack.input_shape,
            pack=record,
            settings=settings,
            clock=self._clock,
            cache=self._reference.cache,
        )
