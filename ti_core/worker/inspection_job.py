"""``inspect`` and ``scan`` of the command line: what is asked of the worker, and what is made of its answers.

This process opens no model file, and imports no torch but to draw a page's histograms.
"""

from __future__ import annotations

import argparse
import hashlib
import os
import shutil
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ti_core.cli.main import pairs
from ti_core.errors import CaseError, ModelFileError, PackError, SettingsError
from ti_core.results.report import Report, versions
from ti_core.settings import Settings
from ti_core.system.folders import default_folder, private_folder
from ti_core.worker import Event, Job, Limits
from ti_core.worker.limits import GIB
from ti_core.worker.protocol import plain
from ti_core.worker.results import ResultError

if TYPE_CHECKING:
    from ti_core.results.case_files import Case

LARGEST_REPORT = 20_000_000
LARGEST_DESCRIPTION = 100_000_000
CACHES_KEPT = 256

Tell = Callable[[str, float], None]


def limits_of(options: argparse.Namespace, jobs: int = 1) -> Limits:
    """The limits of each of ``jobs`` processes.

    Raises
    ------
    SettingsError : a limit under which nothing could be inspected.
    """
    standard = Limits()
    memory = options.memory * GIB if options.memory is not None else standard.memory_bytes / jobs
    minutes = options.minutes if options.minutes is not None else standard.wall_seconds / 60
    if not memory >= GIB / 2:
        raise SettingsError(f"--memory is at least 0.5 (GB a process), not {memory / GIB:.2g}.")
    if not 0 < minutes < 1e6:
        raise SettingsError(f"--minutes is more than 0, not {minutes:g}.")
    threads = os.cpu_count() or 1
    return Limits(int(memory), int(minutes * 60 * threads) + 1, minutes * 60)


def request_of(options: argparse.Namespace) -> dict[str, Any]:
    """What the worker is asked of every model; every path absolute, since it works in another folder.

    Raises
    ------
    SettingsError : a setting is unknown, or outside its range.
    """
    named = pairs(options.settings)
    settings = Settings.parse(named).as_dict()
    return {
        "pack": _pack(options.pack),
        # Which pack's own settings hold for the others is known when the model is.
        "settings": {name: settings[name] for name in named},
        "device": options.device,
        "cache": None if options.no_cache else str(default_folder().absolute()),
    }


def for_model(request: Mapping[str, Any], path: Path, digest: str) -> dict[str, Any]:
    """The request for one model, whose cache is its own.

    A process that its model has taken over could write anything into the cache that it is given; in one of its own it
    falsifies nothing that another model's verdict rests on. Only where the reference models' evidence has to be
    computed, which takes minutes, do the models that are inspected at the same settings share one.
    """
    own = {**request, "model": str(path.absolute())}
    if request["cache"]:
        root = Path(request["cache"])
        with suppress(OSError):
            # What cannot be made is told by the worker.
            private_folder(root)
        if _computes_reference(request):
            folder = root / "settings" / Settings.parse(request["settings"]).digest("probes")
        else:
            folder = root / "models" / digest
        _forget(folder.parent)
        own["cache"] = str(folder)
    return own


def _computes_reference(request: Mapping[str, Any]) -> bool:
    """Whether the settings asked for are others than those that the packs' evidence was made with."""
    from ti_core.reference.pack import load_pack, pack_names

    asked = request["settings"]
    if not Settings.parse(asked).of_stage("probes").keys() & asked.keys():
        return False
    with suppress(PackError):
        # One that cannot be read is told by the worker.
        for pack in map(load_pack, [request["pack"]] if request["pack"] else pack_names()):
            if pack.settings_with(asked).of_stage("probes") != pack.settings.of_stage("probes"):
                return True
    return False


def _forget(root: Path) -> None:
    """Remove the caches that were made first, beyond the number that is kept."""
    with suppress(OSError):
        folders = sorted(root.iterdir(), key=lambda p: p.stat().st_mtime)
        for old in folders[:-CACHES_KEPT]:
            shutil.rmtree(old, ignore_errors=True)


def digest_of(path: Path) -> str:
    """SHA-256 of the file, followed by the weights that exporters keep beside a graph (``model.onnx.data``).

    Raises
    ------
    OSError : it cannot be read.
    """
    beside = [path.with_name(path.name + ending) for ending in (".data", "_data")]
    return digest_of_all([path, *(other for other in beside if other.is_file())])


def digest_of_all(paths: Sequence[Path]) -> str:
    """SHA-256 of several files, one after the other.

    Raises
    ------
    OSError : one cannot be read.
    """
    digest = hashlib.sha256()
    for part in paths:
        with part.open("rb") as file:
            while block := file.read(1 << 20):
                digest.update(block)
    return digest.hexdigest()


def _pack(name: str | None) -> str | None:
    """A bundled pack's name as it is, a folder's absolute path."""
    if name is None or not Path(name).is_dir() or (len(Path(name).parts) == 1 and _bundled(name)):
        return name
    return str(Path(name).absolute())


def _bundled(name: str) -> bool:
    return (Path(__file__).resolve().parent.parent.parent / "assets" / "packs" / name / "pack.json").is_file()


def follow(job: Job, tell: Tell) -> None:
    """Wait for a job.

    Raises
    ------
    ModelFileError : it failed; the text is its sentence.
    """

    def hear(event: Event) -> None:
        if event.kind == "progress":
            tell(event.stage, event.share)

    job.wait(hear)
    if job.state != "done":
        raise ModelFileError(job.error or "The work ended without a result.")


def report_of(job: Job) -> Report:
    """The report that a job left.

    Raises
    ------
    ResultError : it left none, or not a proper one.
    """
    record = job.result_json("report.json", LARGEST_REPORT)
    try:
        # What confined it, and which program this is, is this process's to say.
        return Report.from_dict({**record, "isolation": job.isolation, "versions": versions()})
    except (ValueError, TypeError) as error:
        raise ResultError(f"The result report.json is not readable: {error}.") from error


def case_of(job: Job, alone: bool) -> Case:
    """The case that a job left, for a page that is made here: checked as a stranger's.

    Parameters
    ----------
    alone : whether the user's own images took a pack's place.

    Raises
    ------
    ResultError : it left none, or not a proper one.
    """
    from ti_core.results.case_files import load_case

    report = report_of(job)
    try:
        case = load_case(job.folder, alone=alone)
    except CaseError as error:
        raise ResultError(f"The process that opened the file left no valid case. {error}") from error
    told = replace(case.report, isolation=report.isolation, versions=report.versions)
    if told.as_json() != report.as_json():
        raise ResultError("The process that opened the file left a case that is not its report's.")
    return replace(case, report=report)


def page_of(case: Case, pack: str | None) -> str:
    """The HTML report of a case, made in this process from plain data; only this imports torch, for the histograms.

    Parameters
    ----------
    pack : name or folder of the pack that was asked for, None where it was chosen from the model.

    Raises
    ------
    PackError : there is no such pack, or it is another than the one that the report names.
    """
    from ti_core.reference.pack import load_pack, pack_names
    from ti_core.rendering.comparison import panels
    from ti_core.rendering.page import html_report

    report = case.report
    if report.pack.get("images"):
        return html_report(case)
    chosen = report.pack["name"] if pack is None else pack
    if pack is None and chosen not in pack_names():
        raise PackError("The report names a reference pack that is not bundled; choose one with --pack.")
    found = load_pack(chosen)
    if found.sha256 != report.pack["sha256"]:
        raise PackError(
            f"Reference pack {found.name!r} has changed during the inspection; inspect the model again."
        )
    return html_report(case, panels(case, found, Settings.parse(report.settings)))


def printed(report: Report) -> str:
    """The verdict and its reasons, for a terminal."""
    lines = [report.sentence(), *(f"  - {reason}" for reason in report.reasons)]
    return "\n".join(plain(line, 2000) for line in lines)
