"""The detector: a meta-model on the stacked histograms or the streams' figures (sec. 5.1 of the paper).

A detector answers two questions with two small models: is there a backdoor, and if so, of which kind. Its
probabilities are calibrated, and its thresholds set, on predictions for members that took no part in the fit that
made them (grouped cross-validation).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit

from ti_core.detector.metamodels import (
    Boosting,
    Fitter,
    Floats,
    MetaModel,
    Trees,
    load_trees,
    read_meta_model,
)
from ti_core.detector.thresholds import Calibration, bounds_by_kind, calibrate, log_odds
from ti_core.errors import PackError

FOLDS = 5
TOLD_APART = ("blend", "patch")
"""Kinds of trigger that the second model tells apart."""
OUTSIDE = 2.0
"""Distance from the nearest reference model beyond which evidence is outside the reference set, in units of the largest
such distance among the reference models. Set by hand. ``python -m benchmarks.constants`` leaves recipes and
architectures of mnist and cifar10 out of the fit: the members called clean are at .84 or nearer, so that no verdict
changes."""


@dataclass(frozen=True)
class Assessment:
    """What a detector says of one model.

    ``probability`` of a backdoor and ``blend_share``, the probability that a backdoor would be a blend trigger, are
    between 0 and 1; ``distance`` is that to the nearest reference model, in units of the farthest reference model's.
    """

    verdict: str
    probability: float
    trigger_kind: str | None
    blend_share: float
    distance: float

    @property
    def outside(self) -> bool:
        return self.distance > OUTSIDE


@dataclass(frozen=True)
class Detector:
    """A fitted detector, made by :func:`fit_detector`.

    ``oof`` is the calibrated out-of-fold probability of every fitted member, in their order.
    """

    names: tuple[str, ...]
    backdoor: MetaModel
    kind: Trees
    calibration: Calibration
    reference: Floats
    scale: Floats
    reach: float
    oof: Floats

    def logit(self, matrix: Floats) -> Floats:
        """Log-odds of a backdoor before calibration, ``R``, for features ``R x F``."""
        return self.backdoor.logit(matrix)

    def assess(self, row: Floats, more: float = 0.0) -> Assessment:
        """Assess one model from its features ``F``, and log-odds that other evidence adds."""
        matrix = np.asarray(row, dtype=np.float64)[None]
        probability = float(self.calibration.probability(self.logit(matrix))[0])
        if more:
            probability = float(expit(log_odds(probability) + more))
        blend = float(self.kind.model.predict_proba(matrix)[0, 1])
        distance = float(_distances(matrix, self.reference, self.scale).min() / self.reach)
        verdict = self.calibration.verdict(probability)
        if verdict == "clean" and distance > OUTSIDE:
            verdict = "inconclusive"
        kind = ("blend" if blend >= 0.5 else "patch") if verdict == "backdoored" else None
        return Assessment(verdict, probability, kind, blend, distance)

    def contributions(self, row: Floats) -> list[tuple[str, float]]:
        """Shapley values of the features in log-odds, largest first."""
        values = self.backdoor.contributions(np.asarray(row, dtype=np.float64))
        pairs = zip(self.names, values, strict=True)
        return sorted(((n, float(v)) for n, v in pairs), key=lambda pair: -abs(pair[1]))

    def save(self, folder: Path, stem: str) -> dict[str, Any]:
        """Write ``<stem>-kind.cbm``, of trees ``<stem>.cbm`` too, and return what the pack's record needs besides."""
        self.kind.save(folder, f"{stem}-kind")
        c = self.calibration
        return self.backdoor.save(folder, stem) | {
            "features": list(self.names),
            "calibration": {"slope": c.slope, "intercept": c.intercept, "low": c.low, "high": c.high},
            "reach": self.reach,
            "out_of_fold": [round(float(p), 6) for p in self.oof],
        }


def load_detector(folder: Path, stem: str, record: Mapping[str, Any], reference: Floats) -> Detector:
    """The detector that :meth:`Detector.save` wrote; ``reference`` are the fitted members' features ``R x F``.

    Raises
    ------
    PackError : a file is no CatBoost model, or the record, the files and the features do not fit together.
    """
    if reference.shape != (len(record["out_of_fold"]), len(record["features"])):
        raise PackError(f"The record of the detector {stem!r} does not fit the pack's evidence.")
    return Detector(
        names=tuple(record["features"]),
        backdoor=read_meta_model(folder, stem, record),
        kind=load_trees(folder, f"{stem}-kind", len(record["features"])),
        calibration=Calibration(**record["calibration"]),
        reference=reference,
        scale=_scale(reference),
        reach=float(record["reach"]),
        oof=np.array(record["out_of_fold"]),
    )


def fit_detector(
    names: tuple[str, ...],
    matrix: Floats,
    labels: NDArray[np.str_],
    groups: NDArray[np.str_],
    seed: int = 0,
    fitter: Fitter | None = None,
    among: NDArray[np.bool_] | None = None,
    added: Callable[[Floats], Floats] | None = None,
) -> Detector:
    """Fit a detector to features ``R x F`` of members labelled "clean" or by the kind of trigger, by default by trees.

    Members of one group (grown from the same network) are never split between folds. One thread and the seed make
    the fit the same bit for bit.

    Parameters
    ----------
    among : the members, ``R``, that it is fitted to; by default all. Those whose backdoor raises no class are no
        examples of what it looks for.
    added : the members' probabilities of any backdoor, from those of one that it looks for. Its thresholds are set on
        them. By default they are the same.
    """
    fitter = fitter or Boosting()
    matrix = np.asarray(matrix, dtype=np.float64)
    chosen = np.ones(len(matrix), dtype=bool) if among is None else among
    trojaned = labels != "clean"
    model = fitter.fit(matrix[chosen], trojaned[chosen], seed)
    out_of_fold = model.logit(matrix)
    out_of_fold[chosen] = out_of_fold_logits(matrix[chosen], labels[chosen], groups[chosen], seed, fitter)
    # An anchored fit hardly depends on a single member, so its own log-odds are calibrated already.
    judged = model.logit(matrix) if fitter.calibrated else out_of_fold
    calibration = calibrate(judged[chosen], trojaned[chosen], scaled=not fitter.calibrated)
    if added is not None:
        total = log_odds(added(calibration.probability(judged)))
        low, high = bounds_by_kind(total[chosen], labels[chosen])
        calibration = replace(calibration, low=low, high=high)
    told = trojaned & chosen & np.isin(labels, TOLD_APART)
    scale = _scale(matrix)
    distances = _distances(matrix, matrix, scale)
    np.fill_diagonal(distances, np.inf)
    return Detector(
        names=names,
        backdoor=model,
        kind=fitter.of_kinds().fit(matrix[told], labels[told] == "blend", seed),
        calibration=calibration,
        reference=matrix,
        scale=scale,
        reach=float(max(distances.min(axis=1).max(), 1e-9)),
        oof=calibration.probability(out_of_fold),
    )


def out_of_fold_logits(
    matrix: Floats, labels: NDArray[np.str_], groups: NDArray[np.str_], seed: int, fitter: Fitter
) -> Floats:
    """Each member's log-odds from a fit without its fold, ``R``."""
    logits = np.zeros(len(matrix))
    for train, test in folds(labels, groups, seed):
        logits[test] = fitter.fit(matrix[train], labels[train] != "clean", seed).logit(matrix[test])
    return logits


def folds(
    labels: NDArray[np.str_], groups: NDArray[np.str_], seed: int, count: int = FOLDS
) -> list[tuple[NDArray[np.intp], NDArray[np.intp]]]:
    """Grouped folds with about the same share of every label, as (train, test) indices."""
    from sklearn.model_selection import StratifiedGroupKFold

    labels = _common(labels, groups, count)
    count = max(2, min(count, *(len(set(groups[labels == k])) for k in set(labels))))
    splitter = StratifiedGroupKFold(n_splits=count, shuffle=True, random_state=seed)
    return list(splitter.split(np.zeros(len(labels)), labels, groups))


def _common(labels: NDArray[np.str_], groups: NDArray[np.str_], count: int) -> NDArray[np.str_]:
    """The labels, with that of the most frequent kind of trigger for kinds of fewer than ``count`` groups.

    Otherwise two networks of a rare kind would make for two folds. If no kind has so many groups, nothing changes.
    """
    kinds = sorted(set(labels) - {"clean"})
    spread = {kind: len(set(groups[labels == kind])) for kind in kinds}
    usual = max(kinds, key=lambda kind: spread[kind], default="")
    if not usual or spread[usual] < count:
        return labels
    rare = [kind for kind in kinds if spread[kind] < count]
    return np.where(np.isin(labels, rare), usual, labels)


def _scale(reference: Floats) -> Floats:
    """Robust spread of every feature. Its floor keeps features that hardly vary from deciding.

    The floor was set by hand. Other floors, from none to ten times the constant and five times the share, change no
    verdict of the members that ``python -m benchmarks.constants`` leaves out.
    """
    spread = np.quantile(reference, 0.9, axis=0) - np.quantile(reference, 0.1, axis=0)
    return np.asarray(np.maximum(spread, 0.02 + 0.1 * np.median(spread)))


def _distances(rows: Floats, reference: Floats, scale: Floats) -> Floats:
    """Root mean square distance of every row to every reference row, in units of the spread, ``R x M``."""
    scaled = np.clip((rows[:, None] - reference[None]) / scale, -20, 20)
    return np.asarray(np.sqrt(np.mean(scaled**2, axis=-1)))
