"""The report of an inspection: its records of the model and of every stream, as plain data fit for JSON."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from ti_core.classifier.classifier import Classifier
from ti_core.classifier.unlabelled import Guessed
from ti_core.detector.detector import Assessment
from ti_core.inspection.clock import Clock
from ti_core.inspection.findings.finding import finding_of, mapping_record
from ti_core.inspection.findings.looked_for import coverage
from ti_core.inspection.reason import Reason
from ti_core.inspection.reasons import trigger_sentence
from ti_core.inspection.result import Inspection
from ti_core.loading.onnx.network import OnnxNetwork
from ti_core.reconstruction.model import Model, Reconstructed
from ti_core.reference.pack import Pack
from ti_core.results.cautions import own_values
from ti_core.results.report import Report
from ti_core.results.versions import versions
from ti_core.settings import Settings
from ti_core.system.cache import Cache


def pack_record(pack: Pack, settings: Settings, result: Inspection, deep: bool) -> dict[str, Any]:
    """The report's record of the reference pack.

    Parameters
    ----------
    settings : of the inspection.
    deep : whether a deep stream took part.
    """
    record = {
        "name": pack.name,
        "sha256": pack.sha256,
        "detects": pack.performance(result.decided_by),
        "changed_settings": own_values(settings, pack.settings.for_inspection()),
    }
    if result.detectors and not deep:
        record["all_streams"] = pack.performance("joint")
    return record


def make_report(
    result: Inspection,
    assessment: Assessment | None,
    target: int | None,
    reasons: Sequence[Reason],
    *,
    model: Model,
    class_names: tuple[str, ...],
    input_shape: tuple[int, int, int],
    pack: dict[str, Any],
    settings: Settings,
    clock: Clock,
    cache: Cache,
) -> Report:
    """The report of an inspection; without an assessment it is inconclusive.

    Parameters
    ----------
    target : the suspected class, or None.
    class_names, input_shape : of the images that the model was inspected on.
    pack : what the report says of the reference pack, or of the images that took its place.
    """
    assert result.classifier is not None
    found = finding_of(result, assessment, target)
    if found is not None:
        target = found.target
    graph = isinstance(result.classifier.scores.network, OnnxNetwork)
    looked_for = coverage(result, found, pack, settings, graph)
    return Report(
        verdict=assessment.verdict if assessment else "inconclusive",
        probability=assessment.probability if assessment else 0.5,
        trigger_kind=found.kind if found else None,
        target_class=target,
        target_class_name=class_names[target] if target is not None else None,
        mapping=mapping_record(found.mapping if found else None, class_names),
        reasons=tuple(reason.sentence for reason in reasons),
        bearings=[reason.bearing() for reason in reasons],
        coverage=[row.as_dict() for row in looked_for],
        streams=stream_records(result, class_names),
        model=model_record(model, result.classifier, len(class_names), input_shape),
        pack=pack,
        settings=settings.as_dict(),
        timings=clock.timings,
        cache=clock.sources | ({"problem": cache.problem} if cache.problem else {}),
        versions=versions(),
    )


def model_record(
    model: Model, found: Classifier, classes: int, input_shape: tuple[int, int, int]
) -> dict[str, Any]:
    """The report's record of the model. ``classes`` and ``input_shape`` are used where the file gives none."""
    labelled = not isinstance(found, Guessed)
    return {
        "file": model.file,
        "sha256": model.sha256,
        "format": model.format,
        "architecture": model.architecture,
        "parameters": model.parameters,
        "classes": model.classes or classes,
        # A network that takes images of any size has a 0 for height and width.
        "input_shape": [a or b for a, b in zip(model.input_shape or input_shape, input_shape, strict=True)],
        "preprocessing": found.as_dict(),
        "clean_accuracy": round(found.accuracy, 4) if labelled else None,
        **({"remarks": list(model.remarks)} if model.remarks else {}),
        **({"notes": dict(model.metadata)} if model.metadata else {}),
        **({"sketch": model.sketch} if model.sketch else {}),
        **({"reconstruction": _reconstruction(model.reconstructed)} if model.reconstructed else {}),
    }


MOST_EQUAL = 8
"""Further networks as likely that a report names."""


def _reconstruction(found: Reconstructed) -> dict[str, Any]:
    return {
        "first": round(found.first, 4),
        "second": None if found.second is None else round(found.second, 4),
        "agreement": round(found.agreement, 4),
        "runner_up": found.runner_up,
        "images": found.images,
        "labelled": found.labelled,
        "equal": list(found.equal[:MOST_EQUAL]),
    }


def stream_records(result: Inspection, class_names: tuple[str, ...]) -> dict[str, dict[str, Any]]:
    """The report's records of every stream and of the recovered trigger."""
    streams: dict[str, dict[str, Any]] = {}
    for name, reading in result.readings.items():
        streams[name] = {
            "score": _plain(reading.score),
            "clean_share": _plain(reading.clean_share),
            "target_class": reading.target,
            "sentence": reading.sentence,
            "figures": _plain(reading.figures or {}),
        }
        if name in result.detectors:
            own = result.detectors[name].assess(result.rows[name])
            streams[name] |= {
                "probability": own.probability,
                "verdict": own.verdict,
                "trigger_kind": own.trigger_kind,
            }
    if result.trigger is not None:
        found = result.trigger
        streams["recovered_trigger"] = {
            "kind": found.kind,
            "target_class": found.target,
            **({} if found.source is None else {"source_class": found.source}),
            **found.figures(),
            "flip_share": found.flip_share,
            "unseen_images": len(found.images_used),
            "sentence": trigger_sentence(found, class_names),
        }
        if result.occlusion is not None:
            covered = result.occlusion
            streams["recovered_trigger"]["occlusion"] = {
                "side": max(covered.height, covered.width),
                "height": covered.height,
                "width": covered.width,
                "top": covered.top,
                "left": covered.left,
                "turned": round(covered.most_turned, 6),
                "images": covered.images,
                "sentence": covered.sentence(),
            }
    return streams


def _plain(value: Any) -> Any:
    """Numpy numbers and arrays as plain ones, NaN and infinities as None: fit for JSON."""
    if isinstance(value, dict):
        return {str(k): _plain(v) for k, v in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(v) for v in value]
    if isinstance(value, np.ndarray):
        return _plain(value.tolist())
    if isinstance(value, (np.integer, np.bool_)):
        return value.item()
    if isinstance(value, (float, np.floating)):
        return round(float(value), 6) if np.isfinite(value) else None
    return value
