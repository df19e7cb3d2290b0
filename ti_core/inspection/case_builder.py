"""The case of an inspection: the arrays that its pictures and charts need.

This is the last step inside the worker process. Its result is plain data (:mod:`ti_core.results.case_files`).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import torch

from ti_core.classifier.scores import Scores
from ti_core.detector.detector import Detector
from ti_core.errors import SettingsError
from ti_core.inspection.attribution.methods import METHODS, attribution_maps, unfit
from ti_core.inspection.case_trigger import floats, half, trigger_arrays
from ti_core.inspection.reasons import suspected_class
from ti_core.inspection.result import Inspection
from ti_core.paper.actmax import maximise
from ti_core.paper.probes import Probes
from ti_core.reference.pack import Member, Pack
from ti_core.reference.reference import Reference
from ti_core.results.case import Array, Case, Decision
from ti_core.results.case_files import save_case
from ti_core.settings import Settings
from ti_core.streams import make_streams, stream_class
from ti_core.system.cache import Cache
from ti_core.system.code_digest import code_digest

SHOWN = 16
"""Number of probe images that a case keeps of each row, if they are small."""
MOST_VALUES = 6_000_000
"""Maximum number of values in all pictures of probes. Of large images fewer are kept."""
STRIP, WAY, LEAST_WAY = 4, 24, 6
"""Images in the film of activation maximisation; steps kept of each if they are small, and in any case."""
MOST_FILM = 600_000
"""Maximum number of values in the film of one network, in half precision. Of larger images fewer steps are kept."""
MOST_TENSORS = 400


def case_of(
    inspection: Inspection,
    pack: Pack,
    settings: Settings,
    file: Mapping[str, Any] | None = None,
    before: Case | None = None,
) -> Case:
    """The case of an inspection. Before the joint verdict it is an unfinished case.

    Parameters
    ----------
    pack, settings : those of the inspection.
    file : :meth:`ti_core.loading.FileReport.as_dict` of the model file.
    before : the unfinished case of the same inspection; its pictures are used again.
    """
    deep = any(not stream.on_probes for stream in make_streams(settings))
    case = Case(
        report=inspection.report,
        finished=not inspection.detectors or not deep or "joint" in inspection.detectors,
        class_names=pack.class_names,
        file=card(file or {}),
        code=code_digest(),
        created=datetime.now(UTC).isoformat(timespec="seconds"),
    )
    if inspection.classifier is None or inspection.probes is None:
        return case
    reference = _reference(pack, settings)
    scores, probes = inspection.classifier.scores, inspection.probes
    arrays = _verdict_arrays(inspection, reference)
    decisions = _decisions(inspection)
    witness = _witness(reference, inspection)
    networks = {"suspect": scores, "witness": pack.scores(witness)}
    if before is not None:
        targeted = METHODS[settings.attribution].targeted
        more, notes = _attributed(networks, inspection, settings, pack) if targeted else ({}, before.notes)
        return replace(
            before,
            report=case.report,
            finished=case.finished,
            created=case.created,
            decisions=decisions,
            notes=notes,
            arrays={**before.arrays, **arrays, **more},
        )
    arrays |= _strips(scores, reference, probes)
    late = METHODS[settings.attribution].targeted and not case.finished
    more, notes = ({}, ()) if late else _attributed(networks, inspection, settings, pack)
    cannot = unfit(scores, probes.stack[:1])
    return replace(
        case,
        kinds=probes.kinds,
        maker=reference.maker().id if settings.probes_from == "reference" else "",
        witness=witness.id,
        decisions=decisions,
        attributions=tuple(name for name in METHODS if name not in cannot),
        unfit=cannot,
        notes=notes,
        arrays={**arrays, **_pictures(networks, probes), **more},
    )


def _decisions(inspection: Inspection) -> dict[str, Decision]:
    return {
        name: Decision(d.names, d.calibration.low, d.calibration.high)
        for name, d in inspection.detectors.items()
    }


def _strips(scores: Scores, reference: Reference, probes: Probes) -> dict[str, Array]:
    """The strips of activation maximisation, of the network that made the probes and of the suspect."""
    makers, settings = {"suspect": scores}, reference.settings
    if settings.probes_from == "reference":
        makers = {"maker": reference.pack.scores(reference.maker()), "suspect": scores}
    strips: dict[str, Array] = {}
    for name, network in makers.items():
        strips |= _strip(network, probes.stack, settings, f"actmax/{name}")
    return strips


def _pictures(networks: Mapping[str, Scores], probes: Probes) -> dict[str, Array]:
    """The first probes of each row with both networks' saliency and answers."""
    shown = _shown(probes.images)
    arrays = {"probes": half(shown)}
    for name, network in networks.items():
        arrays[f"saliency/{name}"] = _maps(network, shown, "saliency")
        arrays[f"seen/{name}"] = _seen(network, shown)
    return arrays


def _attributed(
    networks: Mapping[str, Scores], inspection: Inspection, settings: Settings, pack: Pack
) -> tuple[dict[str, Array], tuple[str, ...]]:
    """Both networks' maps by the chosen method, if it is not saliency, and what is to be said of them."""
    method, target = METHODS[settings.attribution], suspected_class(inspection)
    if method.name == "saliency":
        return {}, ()
    assert inspection.probes is not None
    shown = _shown(inspection.probes.images)
    try:
        found = {f"attribution/{k}": _maps(v, shown, method.name, target) for k, v in networks.items()}
    except SettingsError as error:
        return {}, (f"{error} Saliency is shown instead of {method.title}.",)
    if not method.targeted or target is None:
        return found, ()
    return found, (f"{method.title} carries every image to class {pack.class_names[target]}.",)


def _verdict_arrays(inspection: Inspection, reference: Reference) -> dict[str, Array]:
    """Evidence, feature contributions and recovered trigger: everything but the pictures of the probes."""
    arrays = _evidence(inspection, reference)
    for name, detector in inspection.detectors.items():
        pairs = dict(detector.contributions(inspection.rows[name]))
        arrays[f"why/{name}"] = np.array([pairs[feature] for feature in detector.names], dtype=np.float32)
        arrays[f"base/{name}"] = _base(detector, inspection.rows[name], sum(pairs.values()))
        arrays[f"oof/{name}"] = np.asarray(detector.oof, dtype=np.float32)
    if inspection.trigger is not None and inspection.probes is not None:
        arrays |= trigger_arrays(inspection, reference.pack.images.to(inspection.probes.stack.device))
    return arrays


def _base(detector: Detector, row: Array, moved: float) -> Array:
    """The calibrated log-odds that the contributions begin at, and the factor that calibrates each of them."""
    slope, intercept = detector.calibration.slope, detector.calibration.intercept
    logit = float(detector.logit(np.asarray(row, dtype=np.float64)[None])[0])
    return np.array([slope * (logit - moved) + intercept, slope], dtype=np.float32)


def _reference(pack: Pack, settings: Settings) -> Reference:
    return Reference(pack, settings, Cache(None))


def _witness(reference: Reference, inspection: Inspection) -> Member:
    """The clean reference model with the median peak saliency; the gallery shows it beside the suspect."""
    clean = [m for m in reference.fitted if not m.trojaned]
    stacked = inspection.reference.get("saliency")
    if stacked is None:
        return clean[len(clean) // 2]
    peaks = np.median(reference.clean(stacked)["per_image"][..., -1], axis=(1, 2))
    return clean[int(np.argsort(peaks)[len(peaks) // 2])]


def _shown(images: torch.Tensor) -> torch.Tensor:
    """The first few of each row of the probes ``G x 3N x C x H x W``, as ``G x 3 x n x C x H x W``."""
    groups, total = images.shape[:2]
    rows = images.reshape(groups, 3, total // 3, *images.shape[2:])
    each = int(np.prod(images.shape[2:])) * 2 * 3 * groups
    return rows[:, :, : max(1, min(SHOWN, total // 3, MOST_VALUES // each))]


def _maps(network: Scores, shown: torch.Tensor, method: str, target: int | None = None) -> Array:
    maps = attribution_maps(network, shown.flatten(0, 2), method, target)
    return np.asarray(maps.reshape(*shown.shape[:3], *maps.shape[1:]).cpu().numpy(), dtype=np.float32)


@torch.no_grad()
def _seen(network: Scores, shown: torch.Tensor) -> Array:
    flat = shown.flatten(0, 2)
    classes = torch.cat([network(part).argmax(1) for part in flat.split(256)])
    return np.asarray(classes.reshape(shown.shape[:3]).cpu().numpy(), dtype=np.float32)


def _strip(network: Scores, stack: torch.Tensor, settings: Settings, name: str) -> dict[str, Array]:
    """Activation maximisation and its inverse of a few clean probes: the way, and ``log p(c|x)`` along it."""
    images = stack[: len(stack) // 3][:STRIP]
    with torch.no_grad():
        classes = network(images).argmax(1)
    options = (settings.actmax_iterations, settings.actmax_step, settings.actmax_lambda)
    fitting = max(LEAST_WAY, MOST_FILM // (2 * images.numel()))
    keep = min(WAY, fitting, settings.actmax_iterations + 1)
    ways = [maximise(network, images, classes, *options, inverse=i, keep_path=keep) for i in (False, True)]
    return {
        f"{name}/images": half(torch.stack([torch.stack(way.path or (way.images,)) for way in ways])),
        f"{name}/scores": np.stack([floats(way.log_probability) for way in ways]),
        f"{name}/classes": floats(classes),
    }


def _evidence(inspection: Inspection, reference: Reference) -> dict[str, Array]:
    """The suspect's evidence. The reference models' is added if the pack's baseline does not hold it."""
    arrays: dict[str, Array] = {}
    for name, own in inspection.evidence.items():
        arrays |= {f"evidence/{name}/{k}": np.asarray(v, dtype=np.float32) for k, v in own.items()}
        if not reference.serves_baseline(stream_class(name)(reference.settings)):
            stacked = inspection.reference.get(name, {})
            arrays |= {f"reference/{name}/{k}": np.asarray(v, dtype=np.float32) for k, v in stacked.items()}
    return {k: np.nan_to_num(v, posinf=0.0, neginf=0.0) for k, v in arrays.items()}


def card(file: Mapping[str, Any]) -> dict[str, Any]:
    """The description of the model file, with long lists cut to :data:`MOST_TENSORS` entries."""
    return {k: list(v[:MOST_TENSORS]) if isinstance(v, list) else v for k, v in file.items()} | (
        {f"{k}_total": len(file[k]) for k in ("tensors", "members") if k in file}
    )


class CaseWriter:
    """Writes the case of an inspection into a folder: ``partial`` on the way, ``case`` at the end.

    Parameters
    ----------
    folder : the folder to write into.
    pack, settings : of the inspection.
    file : see :func:`case_of`.
    progress : told of the stages "pictures" and "case".
    partial : called with the name of the unfinished case once it is written.
    """

    def __init__(
        self,
        folder: Path,
        pack: Pack,
        settings: Settings,
        file: Mapping[str, Any],
        progress: Callable[[str, float], None],
        partial: Callable[[str], None],
    ) -> None:
        self._folder, self._pack, self._settings, self._file = folder, pack, settings, file
        self._progress, self._partial = progress, partial
        self._before: Case | None = None

    def observe(self, inspection: Inspection) -> None:
        """Write the unfinished case."""
        self._progress("pictures", 0.0)
        self._before = case_of(inspection, self._pack, self._settings, self._file)
        save_case(self._before, self._folder, "partial")
        self._progress("pictures", 1.0)
        self._partial("partial")

    def finish(self, inspection: Inspection) -> Case:
        """Write the finished case."""
        self._progress("case", 0.0)
        case = case_of(inspection, self._pack, self._settings, self._file, self._before)
        save_case(case, self._folder)
        self._progress("case", 1.0)
        return case
