"""One model, end to end, without reference models: for a model that no reference pack fits.

::

    model file -> loading -> preprocessing -> streams of evidence on the user's clean images -> own classes -> report
"""

from __future__ import annotations

import torch

from ti_core.classifier.classifier import Classifier, Declared
from ti_core.classifier.decide import decided
from ti_core.classifier.fast.work import work
from ti_core.classifier.scores import batches
from ti_core.classifier.understand import understand
from ti_core.classifier.unlabelled import count_classes, understand_unlabelled
from ti_core.detector.detector import Assessment
from ti_core.detector.own_classes import Alone, alone, telling
from ti_core.errors import ModelBehaviourError, SettingsError
from ti_core.inspection.budget.look_alone import Look, evidence_key
from ti_core.inspection.budget.so_far import Tell, with_alternatives
from ti_core.inspection.clock import Clock
from ti_core.inspection.findings.alone import reasons_alone, understood_alone
from ti_core.inspection.findings.recovered import recovered, show_recovered
from ti_core.inspection.forecast import Forecast, Known
from ti_core.inspection.reason import COMPARISON, plain
from ti_core.inspection.reasons import doubts, left_out, suspected_class, with_recovered
from ti_core.inspection.report_records import make_report
from ti_core.inspection.result import Inspection
from ti_core.inspection.trigger_occlusion import IMAGES, occlude
from ti_core.reconstruction.model import Model
from ti_core.reference.own_images import OwnImages
from ti_core.results.cautions import cautions, own_values
from ti_core.results.report import Report
from ti_core.settings import Settings
from ti_core.stream_registry import STREAMS
from ti_core.streams import Context, Stream, make_streams
from ti_core.streams.searches.search import are_large
from ti_core.streams.searches.sparing import Sparing
from ti_core.system.cache import Cache
from ti_core.system.progress import StageProgress, silent_stage

COVERED = (IMAGES, IMAGES // 2, IMAGES // 4)
"""Stamped images that are covered place by place, by the level of :mod:`ti_core.streams.searches.sparing`."""


def inspect_alone(
    model: Model,
    own: OwnImages,
    settings: Settings | None = None,
    progress: StageProgress = silent_stage,
    cache: Cache | None = None,
    device: str = "cpu",
    forecast: Forecast | None = None,
    so_far: Tell | None = None,
) -> Inspection:
    """Say whether a model is backdoored, from the user's own clean images alone.

    Parameters
    ----------
    model : from :func:`ti_core.loading.load_model`.
    own : from :func:`ti_core.reference.own_images.load_own_images`, scaled to the model's size.
    settings : its "streams" and what it declares of the model are used. The paper's stream is left out: it needs
        reference models.
    progress, cache, device, forecast, so_far : as in :func:`ti_core.inspection.with_pack.inspect`.

    Raises
    ------
    ModelBehaviourError : the network gives no class scores for the images.
    SettingsError : no deep stream is switched on.
    CancelledError : from ``progress``.
    TooLongError : from ``forecast``.
    """
    settings = settings or Settings()
    cache, clock = cache or Cache(None), Clock(progress)
    streams = _streams(settings, own)
    result = Inspection()
    with clock.stage("preprocessing"):
        model = decided_alone(model, own)
        classes, result.classifier, labels = understand_alone(model, own, settings, forecast)
        result.classifier.scores.to(device)
        context = Context(own.images.to(device), labels.to(device), classes, settings, rounded=True)
        names = own.names_of(classes)
    assessment, found = None, None
    result.sparing = _sparing(result.classifier.scores, context, forecast)
    if model.settled and understood_alone(result.classifier, own):
        kept = _spared(streams, result, context)
        if forecast is not None:
            known = [s.name for s in kept if cache.holds(evidence_key(s, model, own, result.classifier))]
            forecast.update(Known(known), result.classifier.scores, context.images)
            result.sparing = forecast.sparing
            kept = _spared(streams, result, context)
        Look(model, own, context, names, result, cache, clock).through(kept, forecast, so_far)
        with clock.stage("verdict"):
            found = alone(result.evidence)
            result.class_scores = {name: scores[None] for name, scores in found.streams.items()}
            assessment, result.leading = with_alternatives(result, streams, found.assess())
        if assessment.verdict == "backdoored":
            with clock.stage("trigger"):
                assessment = _recover(result, context, assessment)
    result.report = _report(result, found, assessment, model, own, names, settings, cache, clock)
    return result


def _sparing(scores: torch.nn.Module, context: Context, forecast: Forecast | None) -> Sparing:
    """How far the searches are shortened. The first pass of a forecast has counted the work already."""
    if forecast is not None:
        return forecast.sparing
    images, names = context.images, context.settings.streams
    return Sparing.of(work(scores, images), context.classes, names, large=are_large(*images.shape[2:]))


def _spared(streams: list[Stream], result: Inspection, context: Context) -> list[Stream]:
    """The streams that run, with searches as short as the result says."""
    for stream in streams:
        stream.sparing = result.sparing
    names = context.settings.streams
    left = [s for s in streams if result.sparing.leaves_out(s.name, names, context.classes)]
    result.too_long = tuple(s.name for s in left)
    return [s for s in streams if s not in left]


def _streams(settings: Settings, own: OwnImages) -> list[Stream]:
    """The streams that tell a network's own classes apart; an error if none is switched on."""
    switched_on = make_streams(settings, own.pixels.shape[2:])
    streams = [s for s in switched_on if s.usual is not None or s.by_itself]
    if all(s.by_itself for s in streams):
        names = ", ".join(telling(STREAMS))
        raise SettingsError(
            f"Without a reference pack the verdict rests on {names}: switch at least one of them on."
        )
    return streams


def _recover(result: Inspection, context: Context, assessment: Assessment) -> Assessment:
    """Make the trigger of the suspected class, and see where on stamped images the decision hangs.

    Returns the assessment with the trigger's kind.
    """
    assert result.classifier is not None
    scores = result.classifier.scores
    pattern = result.proof or recovered(result, scores, context)
    occlusion = (
        None
        if pattern is None
        else occlude(scores, context.images, pattern, most=COVERED[result.sparing.level])
    )
    show_recovered(result, scores, context, pattern, occlusion)
    return with_recovered(assessment, result.trigger)


def decided_alone(model: Model, own: OwnImages) -> Model:
    """The model with the network that the images speak for, where its file leaves that open."""
    return decided(model, own.images, None if own.labels is None else torch.from_numpy(own.labels))


def _class_count(model: Model, own: OwnImages, declared: Declared) -> int:
    """The model's number of classes K, checked against the images' labels."""
    classes = count_classes(model, own.images, declared)
    if classes < 2:
        raise ModelBehaviourError(f"{model.file} tells no classes apart: it gives {classes} score an image.")
    if own.labels is not None and int(own.labels.max()) >= classes:
        raise ModelBehaviourError(
            f"{own.name} has labels up to {int(own.labels.max())}, but {model.file} tells {classes} classes apart."
        )
    return classes


def understand_alone(
    model: Model, own: OwnImages, settings: Settings, forecast: Forecast | None
) -> tuple[int, Classifier, torch.Tensor]:
    """The number of classes K, the model's class scores, and the images' labels ``N``: their own, or its answers.

    Parameters
    ----------
    settings : may declare something of the model.

    Raises
    ------
    ModelBehaviourError : it tells no classes apart, or the labels name more classes than it has.
    """
    declared = Declared.of(settings)
    classes = _class_count(model, own, declared)
    if own.labels is not None:
        labels = torch.from_numpy(own.labels)
        return classes, understand(model, own.images, labels, classes, declared, gauge=forecast), labels
    found = understand_unlabelled(model, own.images, classes, declared, forecast)
    with torch.no_grad():
        answers = torch.cat([found.scores(x).argmax(1) for x in batches(found.scores, own.images)])
    return classes, found, answers


def _report(
    result: Inspection,
    found: Alone | None,
    assessment: Assessment | None,
    model: Model,
    own: OwnImages,
    names: tuple[str, ...],
    settings: Settings,
    cache: Cache,
    clock: Clock,
) -> Report:
    backdoored = assessment is not None and assessment.verdict == "backdoored"
    _, channels, height, width = own.pixels.shape
    images = {
        "file": own.name,
        "sha256": own.sha256,
        "count": len(own.pixels),
        "labelled": own.labels is not None,
    }
    pack = {
        "name": None,
        "sha256": None,
        "detects": {},
        "images": images,
        "changed_settings": own_values(settings, Settings()),
    }
    why = [*plain(doubts(model)), *reasons_alone(result, found, assessment, own, names)]
    if found:
        weak = plain(cautions(pack, settings.as_dict()), COMPARISON)
        why = [*plain(left_out(result)), *weak, *why]
    return make_report(
        result,
        assessment,
        suspected_class(result) if backdoored else None,
        why,
        model=model,
        class_names=names,
        input_shape=(channels, height, width),
        pack=pack,
        settings=settings,
        clock=clock,
        cache=cache,
    )
