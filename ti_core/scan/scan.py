"""``scan``: inspects each model in its own process and writes a line of JSON for it. A killed scan can be continued."""

from __future__ import annotations

import os
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ti_core.errors import ModelFileError, TrojanInterpretError
from ti_core.loading.digest import digest_of
from ti_core.loading.hub.files import is_model_folder
from ti_core.results.coverage import rows_of, short
from ti_core.scan.ledger import Ledger, outcome
from ti_core.worker import Job, Limits, warm_up
from ti_core.worker.inspection_job import for_model, report_of
from ti_core.worker.request import InspectionRequest

MODEL_ENDINGS = {
    ".safetensors",
    ".pt",
    ".pth",
    ".onnx",
    ".bin",
    ".ckpt",
    ".pt2",
    ".pkl",
    ".tar",
    ".t7",
    ".h5",
    ".hdf5",
    ".keras",
}
"""Endings of model files. A scan passes over a folder's other files."""
LOOK = 0.02
"""Seconds between two checks of the running jobs."""


def model_files(paths: Iterable[Path]) -> list[Path]:
    """The named files, and all model files and model folders in the named folders, without duplicates.

    A model folder is one model: its own files are not taken one by one.
    """
    found: dict[Path, None] = {}
    for path in paths:
        if not path.is_dir():
            found.setdefault(path)
            continue
        inside = sorted(path.rglob("*"))
        folders = {folder for folder in (path, *inside) if is_model_folder(folder)}
        for file in (path, *inside):
            is_file = file.suffix.lower() in MODEL_ENDINGS and file.parent not in folders and file.is_file()
            if file in folders or is_file:
                found.setdefault(file)
    return list(found)


@dataclass(frozen=True)
class Work:
    """How each file of a scan is inspected. It is small, so that it can be sent to another machine with every file.

    Parameters
    ----------
    request : what the worker is asked of every file; "model" is put in.
    limits : what each process may use.
    threads : of each process.
    """

    request: InspectionRequest
    limits: Limits
    threads: int

    def line(self, path: Path) -> dict[str, Any]:
        """The report of one file, or ``file`` and ``error``."""
        digest, problem = self.seen(path)
        if problem:
            return problem
        with self.start(path, digest) as job:
            job.wait()
            return self.line_of(path, digest, job)

    def seen(self, path: Path) -> tuple[str, dict[str, Any] | None]:
        """The digest of a file, and the line for one that cannot be read."""
        try:
            return digest_of(path), None
        except ModelFileError as error:
            return "", self._failed(path, "", error)

    def start(self, path: Path, digest: str) -> Job:
        """Start the inspection of one file, in a process that has all modules imported."""
        warm_up()
        request = for_model(self.request, path, digest).with_(threads=self.threads)
        return Job.start("inspect", request.as_dict(), limits=self.limits)

    def line_of(self, path: Path, digest: str, job: Job) -> dict[str, Any]:
        """The line of a job that has ended."""
        try:
            if job.state != "done":
                raise ModelFileError(job.error or "The work ended without a result.")
            report = report_of(job)
        except TrojanInterpretError as error:
            return self._failed(path, digest, error, job.fault)
        about = {"looked_for": short(rows_of(report.coverage))}
        return {"file": str(path), "sha256": digest} | about | report.as_dict()

    def _failed(self, path: Path, digest: str, error: Exception, fault: str = "") -> dict[str, Any]:
        asked = {"settings": dict(self.request.settings), "asked_pack": self.request.pack}
        fault = fault or type(error).__name__
        return {"file": str(path), "error": str(error), "fault": fault, "sha256": digest} | asked


@dataclass
class Scan:
    """The files of a scan and how they are inspected.

    Parameters
    ----------
    request : what the worker is asked of every file; "model" is put in.
    jobs, limits : processes at once, and what each may use.
    known : lines of an earlier scan. A file is passed over if its name, digest, settings and pack are in one of them.
    engine : "local" or "ray", see :mod:`ti_core.system.parallel`.
    finished : is told the file, its digest and the job of each report while the job's results are still there. Only
        with the engine "local".

    Attributes
    ----------
    outcomes : the outcome of each file (:func:`ti_core.scan.ledger.outcome`), including the files passed over.
    passed_over : the files that were passed over, with their digests.
    """

    files: list[Path]
    request: InspectionRequest
    jobs: int
    limits: Limits
    known: Iterable[Mapping[str, Any]] = ()
    engine: str = "local"
    finished: Callable[[Path, str, Job], None] | None = None
    outcomes: dict[str, str] = field(init=False, default_factory=dict)
    passed_over: dict[Path, str] = field(init=False, default_factory=dict)

    def __post_init__(self) -> None:
        # A piece of work on a cluster is given one core.
        threads = max(1, (os.cpu_count() or 1) // self.jobs) if self.engine == "local" else 1
        self._work = Work(self.request, self.limits, threads)
        self._ledger = Ledger(self.request.settings, self.request.pack, self.known)

    def lines(self) -> Iterator[dict[str, Any]]:
        """One report, or ``file`` and ``error``, for every file that is not known, in the order they are finished."""
        for line in self._with_ray() if self.engine == "ray" else self._here():
            self.outcomes[line["file"]] = outcome(line)
            yield line

    def lines_passed_over(self, lines: Iterable[dict[str, Any]]) -> Iterator[dict[str, Any]]:
        """Those of an earlier scan's lines that are about the files passed over, one for each file."""
        left = dict(self.passed_over)
        for line in lines:
            path = Path(str(line["file"]))
            if path in left and self._ledger.is_of(line, path, left[path]):
                del left[path]
                yield line

    def _here(self) -> Iterator[dict[str, Any]]:
        waiting = deque(self.files)
        running: list[tuple[Path, str, Job]] = []
        try:
            while waiting or running:
                while waiting and len(running) < self.jobs:
                    path = waiting.popleft()
                    digest, problem = self._work.seen(path)
                    if problem:
                        yield problem
                    elif not self._is_known(path, digest):
                        running.append((path, digest, self._work.start(path, digest)))
                ended = [item for item in running if item[2].state != "running"]
                for path, digest, job in ended:
                    running.remove((path, digest, job))
                    line = self._work.line_of(path, digest, job)
                    if self.finished is not None and "error" not in line:
                        self.finished(path, digest, job)
                    job.close()
                    yield line
                if not ended:
                    time.sleep(LOOK)
        finally:
            for _, _, job in running:
                job.close()

    def _with_ray(self) -> Iterator[dict[str, Any]]:
        """The same on the machines of a cluster. Each machine has access to the files and starts its own processes."""
        from ti_core.system.parallel import run_many

        # A file is read here only if the ledger may know it. It is read again where it is inspected.
        todo = [p for p in self.files if not (self._ledger and self._is_known(p, self._work.seen(p)[0]))]
        gpus = int(self.request.device == "cuda")
        for _, line in run_many(self._work.line, todo, self.jobs, "ray", gpus=gpus):
            yield line

    def _is_known(self, path: Path, digest: str) -> bool:
        found = self._ledger.outcome(path, digest)
        if found is not None:
            self.outcomes[str(path)] = found
            self.passed_over[path] = digest
        return found is not None
