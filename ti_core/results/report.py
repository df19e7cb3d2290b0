"""What an inspection says: the JSON report of schema version 1."""

from __future__ import annotations

import json
import platform
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from typing import Any

from ti_core.system.code_digest import code_digest
from ti_core.text import shown
from ti_core.version import __version__

SCHEMA_VERSION = 1
VERDICTS = ("clean", "backdoored", "inconclusive")
KINDS = ("blend", "patch", None)
LONGEST_NAME = 120
"""Characters of a file's or a class's name that a sentence shows."""


@dataclass(frozen=True)
class Report:
    """A verdict with all it rests on; :meth:`as_dict` is the JSON report.

    Parameters
    ----------
    verdict : "clean", "backdoored" or "inconclusive".
    probability : of a backdoor, calibrated, 0 to 1.
    trigger_kind : "blend", "patch" or None.
    target_class, target_class_name : the class that the backdoor answers with, or None.
    reasons : sentences, the weightiest first.
    streams : for every stream its own score and the figures behind it.
    model, pack, settings : what was inspected, against what, and how.
    timings : seconds per stage.
    cache : which stages were "computed", read from the "cache", or from the pack's "baseline".
    isolation : what kept the process that opened the file from network, files and other processes; empty if it was
        opened in the caller's own.
    versions : of the program and of what its figures depend on; "source" is the digest of the program's source files.
    """

    verdict: str
    probability: float
    trigger_kind: str | None
    target_class: int | None
    target_class_name: str | None
    reasons: tuple[str, ...]
    streams: dict[str, dict[str, Any]]
    model: dict[str, Any]
    pack: dict[str, Any]
    settings: dict[str, Any]
    timings: dict[str, float]
    cache: dict[str, str]
    versions: dict[str, str]
    isolation: dict[str, str] = field(default_factory=dict)
    schema_version: int = field(default=SCHEMA_VERSION)

    def as_dict(self) -> dict[str, Any]:
        return {"schema_version": self.schema_version} | asdict(self)

    @classmethod
    def from_dict(cls, record: Mapping[str, Any]) -> Report:
        """The report that :meth:`as_dict` made, checked, since it may come from a process that a file took over.

        Raises
        ------
        ValueError : it is none.
        """
        names = {f.name for f in fields(cls)}
        if set(record) != names or record["schema_version"] != SCHEMA_VERSION:
            raise ValueError("the report has other fields than it should")
        if record["verdict"] not in VERDICTS or record["trigger_kind"] not in KINDS:
            raise ValueError("the report has an unknown verdict or kind")
        probability, target, name = record["probability"], record["target_class"], record["target_class_name"]
        if type(probability) not in (int, float) or not 0 <= probability <= 1:
            raise ValueError("the report has no probability")
        if type(target) not in (int, type(None)) or type(name) not in (str, type(None)):
            raise ValueError("the report has no proper target class")
        groups = ("streams", "model", "pack", "settings", "timings", "cache", "versions", "isolation")
        if not all(isinstance(record[group], dict) for group in groups):
            raise ValueError("the report lacks a group")
        reasons = record["reasons"]
        if not isinstance(reasons, (list, tuple)) or not all(isinstance(r, str) for r in reasons):
            raise ValueError("the report has no reasons")
        if not isinstance(record["model"].get("file"), str):
            raise ValueError("the report names no file")
        return cls(**{**record, "reasons": tuple(reasons), "probability": float(probability)})

    def as_json(self, indent: int | None = 2) -> str:
        return json.dumps(self.as_dict(), indent=indent, allow_nan=False)

    def sentence(self) -> str:
        """The verdict as one sentence."""
        file = shown(self.model["file"], LONGEST_NAME)
        if self.verdict == "backdoored":
            kind = f" with a {self.trigger_kind} trigger" if self.trigger_kind else ""
            name = shown(str(self.target_class_name), LONGEST_NAME)
            target = f" for class {name}" if self.target_class is not None else ""
            return f"{file} is backdoored{kind}{target}: probability {percent(self.probability)}."
        if self.verdict == "clean":
            return f"{file} looks clean: probability of a backdoor {percent(self.probability)}."
        return f"{file}: inconclusive, probability of a backdoor {percent(self.probability)}."


def percent(probability: float) -> str:
    """A probability for a sentence; never a certainty."""
    return "over 99%" if probability > 0.99 else "under 1%" if probability < 0.01 else f"{probability:.0%}"


@cache
def versions() -> dict[str, str]:
    """Versions of the program and of what its figures depend on; "source" is the digest of its source files."""
    found = {"ti_core": __version__, "source": code_digest(), "python": platform.python_version()}
    for name in ("torch", "captum", "catboost", "numpy"):
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            found[name] = "unknown"
    return found
