"""A case: the plain data of one inspection, finished or unfinished."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ti_core.results.report import Report

Array = NDArray[np.floating]

CASE_VERSION = 1


@dataclass(frozen=True)
class Decision:
    """Features and thresholds of one meta-model.

    Parameters
    ----------
    names : names of its features. Their Shapley values are the case's array ``why/<detector>``.
    low, high : its thresholds on the probability.
    """

    names: tuple[str, ...]
    low: float
    high: float


@dataclass(frozen=True)
class Case:
    """One inspection as plain data.

    Parameters
    ----------
    report : the inspection's report. In an unfinished case it holds the results of the streams that have finished.
    finished : whether the joint verdict has been reached.
    class_names, kinds : names of the pack's classes, and of the groups of triggers of the probes.
    maker, witness : id of the reference model that made the probes, and id of the one that the gallery shows beside
        the suspect; empty where there is none.
    decisions : by detector ("saliency", "joint").
    attributions : methods of attribution that this network allows, for pictures.
    unfit : why the other methods cannot be used on it, a sentence each, by name.
    notes : sentences that say what could not be shown, and why.
    file : the description of the model file by :func:`ti_core.loading.describe_file`.
    code : SHA-256 of the program's own source files.
    created : time of the inspection, ISO 8601 with zone.
    arrays : see :data:`ti_core.results.checks.SHAPES`.
    """

    report: Report
    finished: bool
    class_names: tuple[str, ...]
    kinds: tuple[str, ...] = ()
    maker: str = ""
    witness: str = ""
    decisions: Mapping[str, Decision] = field(default_factory=dict)
    attributions: tuple[str, ...] = ("saliency",)
    unfit: Mapping[str, str] = field(default_factory=dict)
    notes: tuple[str, ...] = ()
    file: Mapping[str, Any] = field(default_factory=dict)
    code: str = ""
    created: str = ""
    arrays: Mapping[str, Array] = field(default_factory=dict)

    @property
    def decided_by(self) -> str:
        """The detector that the verdict depends on: "joint", or "saliency" as long as no deep stream has taken part."""
        return "joint" if "joint" in self.decisions else "saliency"

    @property
    def understood(self) -> bool:
        """Whether the model classifies the pack's (or the user's) images. Otherwise there is no evidence."""
        return bool(self.decisions) or bool(self.group("evidence"))

    @property
    def alone(self) -> bool:
        """Whether the user's own images took the place of a reference pack."""
        return self.report.pack.get("name") is None

    def group(self, prefix: str) -> dict[str, Array]:
        """The arrays under ``prefix/``, by the rest of their names."""
        start = f"{prefix}/"
        return {k.removeprefix(start): v for k, v in self.arrays.items() if k.startswith(start)}

    def as_dict(self) -> dict[str, Any]:
        """Everything except the arrays, for ``case.json``."""
        return {
            "case_version": CASE_VERSION,
            "created": self.created,
            "finished": self.finished,
            "report": self.report.as_dict(),
            "class_names": list(self.class_names),
            "kinds": list(self.kinds),
            "maker": self.maker,
            "witness": self.witness,
            "decisions": {
                k: {"names": list(d.names), "low": d.low, "high": d.high} for k, d in self.decisions.items()
            },
            "attributions": list(self.attributions),
            "unfit": dict(self.unfit),
            "notes": list(self.notes),
            "file": dict(self.file),
            "code": self.code,
        }
