"""The tasks of a worker process: named functions, from plain data to result files.

A task runs in a confined process (:mod:`ti_core.worker`), which the file it opens may take over. It is given plain
data, writes its results into its own folder, and reports its progress. Nothing else comes back.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ti_core.inspection.attribution import montage
from ti_core.methods.training_data.task import NEEDS, examine_data
from ti_core.reference.sketch_trial import try_sketch
from ti_core.stream_registry import STREAMS
from ti_core.system.progress import Teller
from ti_core.worker import pack_tasks
from ti_core.worker.request import InspectionRequest

if TYPE_CHECKING:
    from ti_core.inspection.forecast import Forecast
    from ti_core.reconstruction.model import Model
    from ti_core.reference.own_images import OwnImages
    from ti_core.results.so_far import SoFar
    from ti_core.settings import Settings
    from ti_core.system.cache import Cache

Partial = Callable[[str], None]


@dataclass(frozen=True)
class Task:
    """``run(request, folder, progress, partial)``, and the modules to import before the process is confined.

    Parameters
    ----------
    needs : of every request.
    case_needs : of a request for a case. Captum imports Matplotlib, which stores a list of the machine's fonts. A
        confined process could not store it and would search the fonts each time.
    """

    run: Callable[[dict[str, Any], Path, Teller, Partial], None]
    needs: tuple[str, ...] = ()
    case_needs: tuple[str, ...] = ()

    def modules(self, request: Mapping[str, Any]) -> list[str]:
        """The modules that a request needs."""
        return [*self.needs, *(self.case_needs if request.get("case") else ())]


def inspect(request: dict[str, Any], folder: Path, progress: Teller, partial: Partial) -> None:
    """Inspect one model. Writes ``report.json``, and the case if the request asks for it.

    The case (:mod:`ti_core.results.case`) is first written as ``partial``, with the first pictures, before the deep
    streams begin.

    Parameters
    ----------
    request : :class:`~ti_core.worker.request.InspectionRequest` as plain data.
    """
    from ti_core.classifier.classifier import Declared
    from ti_core.inspection.case_builder import CaseWriter
    from ti_core.inspection.forecast import Forecast
    from ti_core.inspection.with_pack import inspect as inspect_model
    from ti_core.reference.choosing import choose_pack_for
    from ti_core.reference.pack import load_pack
    from ti_core.settings import Settings
    from ti_core.system.cache import Cache
    from ti_core.system.devices import device
    from ti_core.system.memory import keep_freed_memory

    keep_freed_memory()
    asked = InspectionRequest.of(request)
    settings = Settings.parse(asked.settings)
    where = device(asked.device)
    if asked.threads:
        import torch

        torch.set_num_threads(asked.threads)
    forecast = Forecast(
        settings, asked.seconds or math.inf, progress, progress.expect, pictures=asked.case, device=where
    )
    progress("opening", 0.0)
    model, card = _opened(asked)
    cache = Cache(Path(asked.cache) if asked.cache else None)
    forecast.alone = asked.images is not None
    if asked.images:
        _inspect_alone(asked, folder, model, card, settings, cache, where, progress, forecast)
        return
    pack = load_pack(asked.pack) if asked.pack else choose_pack_for(model, Declared.of(settings), forecast)
    settings = pack.settings_with(asked.settings)
    writer: CaseWriter | None = None
    if asked.case:
        writer = CaseWriter(folder, pack, settings, card, progress, partial)
    observe = writer.observe if writer else None
    inspection = inspect_model(
        model, pack, settings, progress, cache, where, observe, forecast, _so_far_to(progress)
    )
    cache.close()
    report = replace(inspection.report, isolation=dict(asked.isolation))
    inspection.report = report
    if writer:
        writer.finish(inspection)
    (folder / "report.json").write_text(report.as_json(), encoding="utf-8")


def _so_far_to(progress: Teller) -> Callable[[SoFar], None]:
    """Tells a verdict so far as plain data."""
    return lambda said: progress.so_far(said.as_dict())


def _opened(asked: InspectionRequest) -> tuple[Model, dict[str, Any]]:
    """The model, and the description of its file if a case is asked for, both from the same bytes."""
    from ti_core.errors import ModelFileError
    from ti_core.loading.digest import digest_of_file
    from ti_core.loading.file_report import describe
    from ti_core.loading.model_file import read_model_file
    from ti_core.loading.opening import open_model
    from ti_core.text import shown

    file = read_model_file(Path(asked.model))
    if asked.digest and digest_of_file(file) != asked.digest:
        raise ModelFileError(
            f"The file {shown(file.path.name)} changed after its digest was computed; inspect it once it is complete."
        )
    # Opening may release the bytes.
    card = describe(file, asked.companions).as_dict() if asked.case else {}
    companions = [Path(other) for other in asked.companions]
    return open_model(file, asked.architecture, companions, asked.sketch), card


def _inspect_alone(
    asked: InspectionRequest,
    folder: Path,
    model: Model,
    card: dict[str, Any],
    settings: Settings,
    cache: Cache,
    where: str,
    progress: Teller,
    forecast: Forecast,
) -> None:
    """:func:`inspect` with the user's own clean images instead of a pack. There is no case before the end."""
    from ti_core.inspection.case_without_pack import case_alone
    from ti_core.inspection.without_pack import inspect_alone
    from ti_core.results.case_files import save_case

    own = _own_images(asked.images or "", model, settings)
    so_far = _so_far_to(progress)
    inspection = inspect_alone(model, own, settings, progress, cache, where, forecast, so_far)
    cache.close()
    inspection.report = replace(inspection.report, isolation=dict(asked.isolation))
    if asked.case:
        progress("case", 0.0)
        case = case_alone(inspection, own, card, where)
        save_case(case, folder)
    (folder / "report.json").write_text(inspection.report.as_json(), encoding="utf-8")


def _own_images(path: str, model: Model, settings: Settings) -> OwnImages:
    """The user's images at the model's size, with its class names where they are theirs."""
    from ti_core.reference.own_images import load_own_images

    return load_own_images(Path(path), model.image_shape, settings.seed).in_terms_of(model.class_names)


def look(request: dict[str, Any], folder: Path, progress: Teller, partial: Partial) -> None:
    """Say what a model is, and measure one pass of it. Writes ``look.json``.

    Parameters
    ----------
    request : as for :func:`inspect`, with a pack or images, or without.
    """
    from ti_core.inspection.budget.looking import look_at
    from ti_core.reference.pack import load_pack
    from ti_core.settings import Settings
    from ti_core.system.cache import Cache

    asked = InspectionRequest.of(request)
    progress("opening", 0.0)
    model, _ = _opened(asked.with_(case=False))
    pack = load_pack(asked.pack) if asked.pack else None
    cache = Cache(Path(asked.cache) if asked.cache else None)
    settings = Settings.parse(asked.settings)
    own = _own_images(asked.images, model, settings) if asked.images else None
    found = look_at(model, pack, settings, asked.settings, asked.case, progress, cache, own)
    cache.close()
    (folder / "look.json").write_text(json.dumps(found.model_dump()), encoding="utf-8")


def opinions(request: dict[str, Any], folder: Path, progress: Teller, partial: Partial) -> None:
    """Ask other publications' methods about a model. Writes ``opinions.json`` (:mod:`ti_core.methods.opinion`).

    Parameters
    ----------
    request : as for :func:`inspect`, and "methods" (names), "learnt" (folder of what methods have learnt, or None).
    """
    from ti_core.classifier.classifier import Declared
    from ti_core.methods import ask
    from ti_core.methods.learnt import read_learnt
    from ti_core.reference.choosing import choose_pack_for
    from ti_core.reference.own_images import load_own_images
    from ti_core.reference.pack import load_pack
    from ti_core.settings import Settings

    names, learnt = request["methods"], request["learnt"]
    rest = {key: value for key, value in request.items() if key not in ("methods", "learnt")}
    asked = InspectionRequest.of(rest)
    declared = Declared.of(Settings.parse(asked.settings))
    progress("opening", 0.0)
    model, _ = _opened(asked)
    if asked.images:
        own = load_own_images(Path(asked.images), model.image_shape, 0)
        found = ask.with_images(model, own, names, declared, progress)
    else:
        pack = load_pack(asked.pack) if asked.pack else choose_pack_for(model, declared)
        known = read_learnt(Path(learnt) if learnt else None, pack, names)
        found = ask.with_pack(model, pack, names, declared, known, progress)
    (folder / "opinions.json").write_text(json.dumps(found.as_dict()), encoding="utf-8")


def describe(request: dict[str, Any], folder: Path, progress: Teller, partial: Partial) -> None:
    """Describe a file without opening it as a model. Writes ``file.json``.

    The request: "model" and "companions" (paths).
    """
    from ti_core.loading import describe_file

    report = describe_file(Path(request["model"]), request.get("companions") or ())
    record = report.as_dict() | {"sentences": report.sentences()}
    (folder / "file.json").write_text(json.dumps(record), encoding="utf-8")


def compare_weights(request: dict[str, Any], folder: Path, progress: Teller, partial: Partial) -> None:
    """Say what changed in the weights between two files. Writes ``changes.json``.

    The request: "old" and "new" (paths).
    """
    from ti_core.loading import load_model
    from ti_core.loading.versions.changes import changes

    found = changes(load_model(Path(request["old"])), load_model(Path(request["new"])))
    (folder / "changes.json").write_text(json.dumps(found.model_dump()), encoding="utf-8")


TASKS: dict[str, Task] = {
    "inspect": Task(
        inspect, ("torch", "ti_core.inspection.with_pack", "ti_core.loading.opening"), ("captum.attr",)
    ),
    "look": Task(look, ("torch", "ti_core.inspection.budget.looking", "ti_core.loading.opening")),
    "opinions": Task(
        opinions, ("torch", "ti_core.methods.ask", "ti_core.loading.opening", "ti_core.reference.choosing")
    ),
    "describe": Task(describe, ("ti_core.loading",)),
    "compare weights": Task(compare_weights, ("torch", "ti_core.loading.opening")),
    "examine data": Task(examine_data, NEEDS),
    "explain image": Task(montage.explain_image, montage.NEEDS),
    "open pack": Task(pack_tasks.open_pack, ("torch", "ti_core.reference.whole")),
    "read images": Task(pack_tasks.read_images, ("ti_core.reference.own_images",)),
    "try sketch": Task(try_sketch, ("torch", "ti_core.loading.opening", "ti_core.reference.choosing")),
    "unpack pack": Task(pack_tasks.unpack, ("zipfile",)),
    "verify pack": Task(pack_tasks.verify, ("torch", "ti_core.reference.verify")),
    "evaluate pack": Task(pack_tasks.evaluate, ("torch", "ti_core.evaluation.measure")),
}

WARM = (
    "captum.attr",
    "catboost",
    "diskcache",
    "ti_core.detector.detector",
    *(entry.module for entry in STREAMS.values() if entry.on),
)
"""Further modules that a process kept ready has imported. A cold process imports them when it needs them."""
