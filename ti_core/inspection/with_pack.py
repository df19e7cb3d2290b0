"""One model, end to end: the whole flow at a glance.

::

    model file -> loading -> preprocessing -> probes -> streams of evidence -> meta-model -> report
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from ti_core.classifier.classifier import Declared
from ti_core.detector.detector import Assessment, log_odds
from ti_core.inspection.clock import Clock, Progress, silent
from ti_core.inspection.reasons import not_understood, reasons, target_of, with_recovered
from ti_core.inspection.report_records import model_record, stream_records
from ti_core.inspection.result import Inspection
from ti_core.inspection.trigger_cache import Found, kept_trigger
from ti_core.inspection.trigger_occlusion import occlude
from ti_core.inspection.trigger_recovery import recover_trigger
from ti_core.loading.model import Model
from ti_core.reference.choosing import understand_with
from ti_core.reference.pack import Pack
from ti_core.reference.reference import Reference, evidence_key
from ti_core.results.report import Report, versions
from ti_core.settings import Settings
from ti_core.streams import Stream, make_streams
from ti_core.streams.base import Array, as_stack
from ti_core.system.cache import Cache


def inspect(
    model: Model,
    pack: Pack,
    settings: Settings | None = None,
    progress: Progress = silent,
    cache: Cache | None = None,
    device: str = "cpu",
    observe: Callable[[Inspection], None] | None = None,
) -> Inspection:
    """Say, with evidence, whether a model is backdoored.

    Parameters
    ----------
    model : from :func:`ti_core.loading.load_model`.
    pack : the reference models it is compared with.
    settings : by default those that the pack was made with.
    progress : called as the stages go on.
    cache : where evidence is kept between inspections; by default nowhere.
    device : "cpu" or "cuda".
    observe : shown the inspection with the saliency stream's own verdict, before the deep streams begin.

    Raises
    ------
    ModelBehaviourError : the network does not classify this pack's images.
    CancelledError : from ``progress``.
    """
    settings = settings or pack.settings
    clock = Clock(progress)
    reference = Reference(pack, settings, cache or Cache(None), device)
    result = Inspection()

    with clock.stage("preprocessing"):
        result.classifier = understand_with(model, pack, Declared.of(settings))
    if not result.classifier.understood:
        result.report = replace(
            _report(result, None, model, reference, clock), reasons=not_understood(result.classifier)
        )
        return result

    scores = result.classifier.scores.to(device)
    with clock.stage("probes"):
        result.probes = reference.probes(scores)

    assessment: Assessment | None = None
    streams = make_streams(settings)
    for stream in streams:
        with clock.stage(stream.name):
            suspect = _suspect_evidence(stream, model, result, reference, clock)
        with clock.stage(f"{stream.name} reference"):
            stacked = reference.evidence(stream, result.probes, clock.share)
            clock.source(
                f"{stream.name} reference", "baseline" if reference.serves_baseline(stream) else "computed"
            )
        clean = reference.clean(stacked)
        result.evidence[stream.name], result.reference[stream.name] = suspect, stacked
        result.readings[stream.name] = stream.read(suspect, clean, pack.class_names)
        if stream.name == "saliency":
            with clock.stage("saliency verdict"):
                detector = reference.saliency_detector(stream, stacked)
                row = stream.features(as_stack(suspect), clean).matrix[0]
                assessment = detector.assess(row)
            result.detectors["saliency"], result.rows["saliency"] = detector, row
            if observe is not None and stream is not streams[-1]:
                result.report = _report(result, assessment, model, reference, clock)
                observe(result)

    deep = [s for s in streams if s.name != "saliency"]
    if deep:
        with clock.stage("verdict"):
            paper = result.detectors.get("saliency")
            detector = reference.joint_detector(deep, result.reference, paper, reference.ships(streams))
            own = {name: as_stack(evidence) for name, evidence in result.evidence.items()}
            result.class_scores = reference.class_scores(deep, result.reference, own)
            odds = log_odds(assessment.probability)[None] if assessment else None
            row = reference.joint_rows(result.class_scores, [result.classifier.accuracy], odds)[1][0]
            assessment = detector.assess(row)
        result.detectors["joint"], result.rows["joint"] = detector, row
    assert assessment is not None
    if assessment.verdict == "backdoored":
        with clock.stage("trigger"):
            result.trigger, result.occlusion = _recover(model, result, reference, clock)
            assessment = with_recovered(assessment, result.trigger)
    result.report = _report(result, assessment, model, reference, clock)
    return result


def _suspect_evidence(
    stream: Stream, model: Model, result: Inspection, reference: Reference, clock: Clock
) -> dict[str, Array]:
    """The stream's evidence of the suspect, from the cache where it was inspected before."""
    found = result.classifier
    assert found is not None
    key = evidence_key(stream, f"{model.sha256}/{found.key}", reference.pack, result.probes)
    before = len(reference.cache.hits)
    context = reference.context(result.probes)
    arrays = reference.cache.arrays(key, lambda: stream.evidence(found.scores, context, clock.share))
    clock.source(stream.name, "cache" if len(reference.cache.hits) > before else "computed")
    return arrays


def _recover(model: Model, result: Inspection, reference: Reference, clock: Clock) -> Found:
    """The trigger of the suspected class, made and tried on different images, and where its decision hangs."""
    target, found = target_of(result.class_scores), result.classifier
    if target is None or found is None:
        return None, None
    shown, windowed = reference.context(None), result.evidence.get("windowed")

    def search() -> Found:
        trigger = recover_trigger(found.scores, shown.images, shown.labels, target, windowed)
        return trigger, None if trigger is None else occlude(found.scores, shown.images, trigger)

    before = len(reference.cache.hits)
    images = reference.pack.record["files"]["images.npz"]
    version = {s.name: s.version for s in make_streams(reference.settings)}.get("windowed")
    kept = kept_trigger(reference.cache, f"{model.sha256}/{found.key}", images, target, version, search)
    clock.source("trigger", "cache" if len(reference.cache.hits) > before else "computed")
    return kept


def _report(
    result: Inspection, assessment: Assessment | None, model: Model, reference: Reference, clock: Clock
) -> Report:
    pack, found = reference.pack, result.classifier
    assert found is not None
    backdoored = assessment is not None and assessment.verdict == "backdoored"
    target = target_of(result.class_scores) if backdoored else None
    names = pack.class_names
    return Report(
        verdict=assessment.verdict if assessment else "inconclusive",
        probability=assessment.probability if assessment else 0.5,
        trigger_kind=assessment.trigger_kind if assessment else None,
        target_class=target,
        target_class_name=names[target] if target is not None else None,
        reasons=reasons(result, assessment, pack, target) if assessment else (),
        streams=stream_records(result, names),
        model=model_record(model, found, len(names), pack.input_shape),
        pack={
            "name": pack.name,
            "sha256": pack.sha256,
            "detects": pack.performance(result.decided_by),
        },
        settings=reference.settings.as_dict(),
        timings=clock.timings,
        cache=clock.sources | ({"problem": reference.cache.problem} if reference.cache.problem else {}),
        versions=versions(),
    )
