"""``scan``: many models, each in a process of its own, one line of JSON as each is finished; a killed scan goes on."""

from __future__ import annotations

import json
import os
import time
from collections import deque
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ti_core.errors import ModelFileError, PackError, SettingsError, TrojanInterpretError
from ti_core.inspecting import digest_of, for_model, report_of
from ti_core.pack import load_pack
from ti_core.worker import Job, Limits

MODEL_ENDINGS = {".safetensors", ".pt", ".pth", ".onnx", ".bin", ".ckpt", ".pt2", ".pkl"}
"""Files that a scan takes for models; other files of a folder are passed over."""
LOOK = 0.02
"""Seconds between two looks at the running jobs."""


def model_files(paths: Iterable[Path]) -> list[Path]:
    """The files named, and every model file in the folders named, each once."""
    found: dict[Path, None] = {}
    for path in paths:
        inside = sorted(path.rglob("*")) if path.is_dir() else [path]
        for file in inside:
            if file == path or (file.suffix.lower() in MODEL_ENDINGS and file.is_file()):
                found.setdefault(file)
    return list(found)


@dataclass
class Scan:
    """The files of a scan and how they are inspected.

    Parameters
    ----------
    request : what the worker is asked of every file; "model" is put in.
    jobs, limits : processes at once, and what each may use.
    known : lines of an earlier scan; a file whose name, digest, settings and pack are among them is passed over.
    engine : "local" or "ray", see :mod:`ti_core.engine`.
    """

    files: list[Path]
    request: Mapping[str, Any]
    jobs: int
    limits: Limits
    known: list[dict[str, Any]] = field(default_factory=list)
    engine: str = "local"
    _settings: dict[str, dict[str, Any] | None] = field(default_factory=dict)

    def lines(self) -> Iterator[dict[str, Any]]:
        """One report, or ``file`` and ``error``, for every file that is not known, in the order they are finished."""
        return self._with_ray() if self.engine == "ray" else self._here()

    def _here(self) -> Iterator[dict[str, Any]]:
        before = {self._key(line) for line in self.known}
        waiting = deque(self.files)
        running: list[tuple[Path, str, Job]] = []
        try:
            while waiting or running:
                while waiting and len(running) < self.jobs:
                    path = waiting.popleft()
                    digest, problem = self._seen(path)
                    if problem:
                        yield problem
                    elif self._key(self._failed(path, digest, "")) not in before:
                        running.append((path, digest, self._start(path, digest)))
                ended = [item for item in running if item[2].state != "running"]
                for path, digest, job in ended:
                    running.remove((path, digest, job))
                    line = self._line(path, digest, job)
                    job.close()
                    yield line
                if not ended:
                    time.sleep(LOOK)
        finally:
            for _, _, job in running:
                job.close()

    def _with_ray(self) -> Iterator[dict[str, Any]]:
        """The same on the machines of a cluster, each of which sees the files and starts its own processes."""
        from ti_core.engine import run_many

        before = {self._key(line) for line in self.known}
        seen = ((path, *self._seen(path)) for path in self.files)
        todo = [
            path
            for path, digest, problem in seen
            if problem or self._key(self._failed(path, digest, "")) not in before
        ]
        for _, line in run_many(self.one, todo, self.jobs, "ray"):
            yield line

    def one(self, path: Path) -> dict[str, Any]:
        """The line of one file."""
        digest, problem = self._seen(path)
        if problem:
            return problem
        with self._start(path, digest) as job:
            return self._line(path, digest, job)

    def _seen(self, path: Path) -> tuple[str, dict[str, Any] | None]:
        """The digest of a file, and the line for one that cannot be read."""
        try:
            return digest_of(path), None
        except OSError as error:
            return "", self._failed(path, "", f"The file cannot be read: {error.strerror or error}.")

    def _start(self, path: Path, digest: str) -> Job:
        threads = max(1, (os.cpu_count() or 1) // self.jobs)
        request = for_model(self.request, path, digest) | {"threads": threads}
        return Job.start("inspect", request, limits=self.limits)

    def _line(self, path: Path, digest: str, job: Job) -> dict[str, Any]:
        job.wait()
        try:
            if job.state != "done":
                raise ModelFileError(job.error or "The work ended without a result.")
            report = report_of(job).as_dict()
        except TrojanInterpretError as error:
            return self._failed(path, digest, str(error))
        return {"file": str(path), "sha256": digest} | report

    def _failed(self, path: Path, digest: str, error: str) -> dict[str, Any]:
        asked = {"settings": self.request["settings"], "asked_pack": self.request["pack"]}
        return {"file": str(path), "error": error, "sha256": digest} | asked

    def _key(self, line: Mapping[str, Any]) -> str:
        """What makes two lines the same work."""
        pack, asked = line.get("pack"), self.request["pack"]
        if "asked_pack" in line:
            asked = line["asked_pack"]
        elif asked is not None and isinstance(pack, dict):
            asked = asked if pack.get("name") == Path(asked).name else pack.get("name")
        settings = line.get("settings")
        if "asked_pack" not in line and settings == self._settled(pack):
            settings = self.request["settings"]
        return json.dumps([line.get("file"), line.get("sha256"), asked, settings], sort_keys=True)

    def _settled(self, pack: Any) -> dict[str, Any] | None:
        """All settings of a model that is inspected with the pack of a report, as a report has them."""
        name = str(pack.get("name")) if isinstance(pack, dict) else ""
        if name not in self._settings:
            asked = self.request["pack"]
            try:
                found = load_pack(asked if asked is not None and name == Path(asked).name else name)
                settings = found.settings_with(self.request["settings"]).as_dict()
                self._settings[name] = json.loads(json.dumps(settings))
            except PackError:
                self._settings[name] = None
        return self._settings[name]


def known_lines(path: Path) -> list[dict[str, Any]]:
    """The lines of an earlier scan; one that a kill cut short is taken out of the file.

    Raises
    ------
    SettingsError : the file holds something else.
    """
    if not path.exists():
        return []
    data = path.read_bytes()
    *whole, rest = data.split(b"\n")
    lines: list[dict[str, Any]] = []
    for number, text in enumerate(whole, 1):
        if not text.strip():
            continue
        try:
            line = json.loads(text)
        except (ValueError, RecursionError):
            line = None
        if not isinstance(line, dict) or "file" not in line:
            raise SettingsError(f"{path.name} is no output of scan (line {number}); choose another file.")
        lines.append(line)
    if rest:
        with path.open("r+b") as file:
            file.truncate(len(data) - len(rest))
    return lines


def worst(lines: Iterable[Mapping[str, Any]]) -> str:
    """The weightiest outcome: "backdoored", "error", "inconclusive" or "clean"."""
    found = {str(line.get("verdict", "error")) for line in lines}
    return next((v for v in ("backdoored", "error", "inconclusive") if v in found), "clean")
