"""The command line's side of an inspection in the worker: makes the request for one model, and reads the results.

This process opens no model file.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ti_core.errors import CaseError, ModelFileError, PackError
from ti_core.results.report import Report
from ti_core.results.versions import versions
from ti_core.settings import Settings
from ti_core.system.folders import private_folder
from ti_core.system.progress import Expect, silent_expect
from ti_core.worker import Event, Job
from ti_core.worker.pack_jobs import cache_of
from ti_core.worker.request import InspectionRequest
from ti_core.worker.results import ResultError

if TYPE_CHECKING:
    from ti_core.loading.versions.record import Changes
    from ti_core.methods.opinion import Opinions
    from ti_core.reference.pack import Pack
    from ti_core.results.case import Case
    from ti_core.results.files.first_look import FirstLook
    from ti_core.results.so_far import SoFar

LARGEST_REPORT = 20_000_000
LARGEST_DESCRIPTION = 100_000_000
LARGEST_LOOK = 1_000_000
CACHES_KEPT = 256

Tell = Callable[[str, float], None]


def for_model(request: InspectionRequest, path: Path, digest: str) -> InspectionRequest:
    """The request for one model. The model has its own cache.

    A model that takes over its process could write anything into the cache. In a cache of its own it cannot falsify
    another model's verdict. Only if the reference models' evidence has to be computed, which takes minutes, do models
    at the same settings share a cache. A pack that does not come with the program has caches of its own.
    """
    own = request.with_(model=str(path.absolute()), digest=digest)
    if request.cache:
        root = Path(request.cache)
        with suppress(OSError):
            # The worker reports a folder that cannot be made.
            private_folder(root)
        if stranger := _stranger(request.pack):
            root = cache_of(stranger, root)
        if _computes_reference(request):
            folder = root / "settings" / Settings.parse(request.settings).digest("probes")
        else:
            folder = root / "models" / digest
        _forget(folder.parent)
        own = own.with_(cache=str(folder))
    return own


def _stranger(name: str | None) -> Pack | None:
    """The pack of that name or folder if it does not come with the program."""
    from ti_core.reference.known import is_known
    from ti_core.reference.pack import load_pack

    with suppress(PackError):
        # The worker reports a pack that cannot be read.
        if name is not None and not is_known(found := load_pack(name)):
            return found
    return None


def _computes_reference(request: InspectionRequest) -> bool:
    """Whether the settings differ from those that the packs' evidence was made with."""
    from ti_core.reference.pack import load_pack, pack_names

    asked = request.settings
    if not Settings.parse(asked).of_stage("probes").keys() & asked.keys():
        return False
    with suppress(PackError):
        # The worker reports a pack that cannot be read.
        for pack in map(load_pack, [request.pack] if request.pack else pack_names()):
            if pack.settings_with(asked).of_stage("probes") != pack.settings.of_stage("probes"):
                return True
    return False


def _forget(root: Path) -> None:
    """Remove the oldest caches, beyond the number that is kept."""
    with suppress(OSError):
        folders = sorted(root.iterdir(), key=lambda p: p.stat().st_mtime)
        for old in folders[:-CACHES_KEPT]:
            shutil.rmtree(old, ignore_errors=True)


def follow(
    job: Job, tell: Tell, expect: Expect = silent_expect, so_far: Callable[[SoFar], None] | None = None
) -> None:
    """Wait for a job. Its stages are told to ``tell``, and the seconds that it expects them to take to ``expect``.

    Each verdict so far is told to ``so_far``.

    Raises
    ------
    ModelFileError : it failed; the text is its sentence.
    """

    def hear(event: Event) -> None:
        if event.kind == "progress":
            tell(event.stage, event.share)
        elif event.kind == "expected":
            expect(event.stages)
        elif event.so_far is not None and so_far is not None:
            so_far(event.so_far)

    job.wait(hear)
    if job.state != "done":
        raise ModelFileError(job.error or "The work ended without a result.")


def report_of(job: Job) -> Report:
    """The report that a job left.

    Raises
    ------
    ResultError : there is none, or it is not valid.
    """
    record = job.result_json("report.json", LARGEST_REPORT)
    try:
        # Isolation and versions are filled in by this process, not believed from the job.
        return Report.from_dict(
            {**record, "isolation": job.isolation, "versions": versions(), "opinions": []}
        )
    except (ValueError, TypeError) as error:
        raise ResultError(f"The result report.json is not readable: {error}.") from error


def look_of(job: Job) -> FirstLook:
    """What a job says of a model before it is inspected.

    Raises
    ------
    ResultError : it left nothing, or nothing valid.
    """
    from ti_core.results.files.first_look import first_look

    try:
        return first_look(job.result_json("look.json", LARGEST_LOOK))
    except ValueError as error:
        raise ResultError(f"The process that opened the file left no valid look at it: {error}") from error


def opinions_of(job: Job) -> Opinions:
    """The opinions of other publications' methods that a job left.

    Raises
    ------
    ResultError : there are none, or they are not valid.
    """
    from ti_core.methods.opinion import Opinions

    record = job.result_json("opinions.json", LARGEST_REPORT)
    try:
        return Opinions.from_dict(record)
    except ValueError as error:
        raise ResultError(f"The process that opened the file left no valid opinions: {error}") from error


def changes_of(job: Job) -> Changes:
    """What a job says of the weights of two files.

    Raises
    ------
    ResultError : it left nothing, or nothing valid.
    """
    from ti_core.loading.versions.record import read_changes

    try:
        return read_changes(job.result_json("changes.json", LARGEST_DESCRIPTION))
    except ValueError as error:
        raise ResultError(f"The process that opened the files left no valid comparison: {error}") from error


def description_of(job: Job) -> dict[str, Any]:
    """The description of a file that a job left (:class:`ti_core.results.files.file_record.Described`).

    Raises
    ------
    ResultError : there is none, or it is not valid.
    """
    from ti_core.results.files.file_record import check_description

    record = job.result_json("file.json", LARGEST_DESCRIPTION)
    try:
        check_description(record)
    except ValueError as error:
        raise ResultError(
            f"The process that opened the file left no valid description of it: {error}"
        ) from error
    return record


def sketch_tried(job: Job) -> dict[str, Any]:
    """What a job found of a sketch (:class:`ti_core.results.files.sketch_record.SketchRecord`).

    Raises
    ------
    ResultError : there is no result, or it is not valid.
    """
    from ti_core.results.files.sketch_record import check_sketch

    record = job.result_json("sketch.json", LARGEST_DESCRIPTION)
    try:
        check_sketch(record)
    except ValueError as error:
        raise ResultError(f"The process that tried the sketch left no valid result: {error}") from error
    return record


def left_case(folder: Path, isolation: Mapping[str, str], alone: bool) -> Case:
    """The case that a job left in its folder. It is checked like any untrusted file.

    Isolation and versions are filled in by this process, not believed from the job.

    Parameters
    ----------
    isolation : what confined the job.
    alone : whether the user's own images were used instead of a pack.

    Raises
    ------
    CaseError : there is no case, or it is not valid.
    """
    from ti_core.results.case_files import load_case

    case = load_case(folder, alone=alone)
    return replace(
        case, report=replace(case.report, isolation=dict(isolation), versions=versions(), opinions=[])
    )


def read_case(job: Job, alone: bool) -> Case:
    """The case that a job left, if it belongs to the report that the job left.

    Parameters
    ----------
    alone : as for :func:`left_case`.

    Raises
    ------
    ResultError : there is no case, or it is not valid, or it is of another report.
    """
    report = report_of(job)
    try:
        case = left_case(job.folder, report.isolation, alone)
    except CaseError as error:
        raise ResultError(f"The process that opened the file left no valid case. {error}") from error
    if case.report.as_json() != report.as_json():
        raise ResultError("The process that opened the file left a case that is not its report's.")
    return replace(case, report=report)
