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
from ti_core.errors import SettingsError
from ti_core.inspection.attribution import TITLES, attribution_maps, available
from ti_core.inspection.case_trigger import floats, half, trigger_arrays
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
STRIP, WAY = 4, 6
"""Images in the strip of activation maximisation, and steps kept of each."""
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
    decisions = {
        name: Decision(d.names, d.calibration.low, d.calibration.high)
        for name, d in inspection.detectors.items()
    }
    if before is not None:
        return replace(
            before,
            report=case.report,
            finished=case.finished,
            created=case.created,
            decisions=decisions,
            arrays={**before.arrays, **arrays},
        )
    maker, witness = reference.maker(), _witness(reference, inspection)
    pictures, notes = _pictures(scores, pack.scores(witness), probes, settings)
    makers = {"suspect": scores}
    if settings.probes_from == "reference":
        makers = {"maker": pack.scores(maker), "suspect": scores}
    for name, network in makers.items():
        pictures |= _strip(network, probes.stack, settings, f"actmax/{name}")
    return replace(
        case,
        kinds=probes.kinds,
        maker=maker.id if settings.probes_from == "reference" else "",
        witness=witness.id,
        decisions=decisions,
        attributions=available(scores, probes.stack[:1]),
        notes=notes,
        arrays={**arrays, **pictures},
    )


def _pictures(
    suspect: Scores, witness: Scores, probes: Probes, settings: Settings
) -> tuple[dict[str, Array], tuple[str, ...]]:
    """The first probes of each row with both networks' maps and answers, and what could not be shown."""
    networks, shown = {"suspect": suspect, "witness": witness}, _shown(probes.images)
    arrays = {"probes": half(shown)}
    for name, network in networks.items():
        arrays[f"saliency/{name}"] = _maps(network, shown, "saliency")
        arrays[f"seen/{name}"] = _seen(network, shown)
    if settings.attribution == "saliency":
        return arrays, ()
    try:
        other = {f"attribution/{k}": _maps(v, shown, settings.attribution) for k, v in networks.items()}
    except SettingsError as error:
        return arrays, (f"{error} Saliency is shown instead of {TITLES[settings.attribution]}.",)
    return arrays | other, ()


def _verdict_arrays(inspection: Inspection, reference: Reference) -> dict[str, Array]:
    """Evidence, feature contributions and recovered trigger: everything but the pictures of the probes."""
    arrays = _evidence(inspection, reference)
    for name, detector in inspection.detectors.items():
        pairs = dict(detector.contributions(inspection.rows[name]))
        arrays[f"why/{name}"] = np.array([pairs[feature] for feature in detector.names], dtype=np.float32)
        arrays[f"oof/{name}"] = np.asarray(detector.oof, dtype=np.float32)
    if inspection.trigger is not None and inspection.probes is not None:
        arrays |= trigger_arrays(inspection, reference.pack.images.to(inspection.probes.stack.device))
    return arrays


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


def _maps(network: Scores, shown: torch.Tensor, method: str) -> Array:
    maps = attribution_maps(network, shown.flatten(0, 2), method)
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
    keep = min(WAY, settings.actmax_iterations + 1)
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
