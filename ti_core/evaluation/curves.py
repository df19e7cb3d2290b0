"""ROC curve, calibration curve and scores of a pack's held-out members, as plain arrays."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ti_core.errors import PackError
from ti_core.evaluation.rates import auc, auc_interval
from ti_core.evaluation.scoring import Scored, score_held_out
from ti_core.kinds import KINDS
from ti_core.reference.families import share_interval
from ti_core.reference.pack import Pack
from ti_core.reference.reference import Reference
from ti_core.settings import Settings
from ti_core.system.cache import Cache

BINS = 6


@dataclass(frozen=True)
class Roc:
    """The ROC curve of one kind of trigger against the clean members.

    ``false_alarms`` is the false positive rate and ``found`` the true positive rate, each from 0 to 1. At point i a
    model is called backdoored if its probability is at least ``threshold[i]``, which is infinite at the first point.
    ``auc`` is the area under the curve, and ``low`` and ``high`` are the ends of its 95 % interval.
    """

    kind: str
    false_alarms: NDArray[np.float64]
    found: NDArray[np.float64]
    threshold: NDArray[np.float64]
    auc: float
    low: float
    high: float


@dataclass(frozen=True)
class CalibrationBins:
    """Predicted probability and observed share of trojaned members, in bins of about equally many members.

    ``predicted`` is the mean probability in a bin and ``count`` the number of its members. ``observed`` is the share of
    its trojaned members; ``low`` and ``high`` are the ends of the 95 % interval of this share. ``brier`` is the Brier
    score, the mean squared error of the probability over all members.
    """

    predicted: NDArray[np.float64]
    observed: NDArray[np.float64]
    low: NDArray[np.float64]
    high: NDArray[np.float64]
    count: NDArray[np.int_]
    brier: float


@dataclass(frozen=True)
class Curves:
    """One detector on the members held out from it.

    ``ids``, ``labels``, ``families`` and ``probability`` have one entry per member, in the pack's order. A model is
    called backdoored if its probability is at least ``upper`` and has a ground, and clean if it is below ``lower``.
    """

    streams: str
    roc: tuple[Roc, ...]
    calibration: CalibrationBins
    ids: tuple[str, ...]
    labels: tuple[str, ...]
    families: tuple[str, ...]
    probability: NDArray[np.float64]
    target: tuple[int | None, ...]
    upper: float
    lower: float


def curves(pack: Pack, settings: Settings | None = None, cache: Cache | None = None) -> dict[str, Curves]:
    """Curves of the detectors "saliency" and "joint" on the held-out members.

    At the pack's own settings, which are the default, no model is run. The evidence comes from the pack's baseline.

    Raises
    ------
    PackError : the pack has no held-out member.
    """
    if not len(pack.where(fitted=False)):
        raise PackError(f"Pack {pack.name!r} holds no member out from fitting; it has no curves.")
    chosen = settings or pack.settings
    scored = score_held_out(Reference(pack, chosen, cache or Cache(None)))
    return {which: curves_of(which, found) for which, found in scored.items()}


def curves_of(which: str, scored: Scored) -> Curves:
    """The curves of the members that one detector scored."""
    labels = np.array([m.label for m in scored.members])
    p = np.asarray(scored.probability, dtype=np.float64)
    kinds = [kind for kind in KINDS if (labels == kind).any() and (labels == "clean").any()]
    return Curves(
        streams=which,
        roc=tuple(roc(kind, p[labels == "clean"], p[labels == kind]) for kind in kinds),
        calibration=calibration_bins(p, labels != "clean"),
        ids=tuple(m.id for m in scored.members),
        labels=tuple(m.label for m in scored.members),
        families=tuple(m.family for m in scored.members),
        probability=p,
        target=tuple(None if found is None else found.target for found in scored.leads),
        upper=float(scored.high[0]),
        lower=float(scored.low[0]),
    )


def roc(kind: str, clean: NDArray[np.float64], trojaned: NDArray[np.float64]) -> Roc:
    """The ROC curve of two sets of probabilities. Ties give a diagonal segment."""
    from sklearn.metrics import roc_curve

    truth = np.repeat([False, True], [len(clean), len(trojaned)])
    false_alarms, found, threshold = roc_curve(
        truth, np.concatenate([clean, trojaned]), drop_intermediate=False
    )
    area = auc(clean, trojaned)
    low, high = auc_interval(area, len(clean), len(trojaned))
    return Roc(kind, false_alarms, found, threshold, auc=area, low=low, high=high)


def calibration_bins(
    probability: NDArray[np.float64], trojaned: NDArray[np.bool_], bins: int = BINS
) -> CalibrationBins:
    """Calibration in ``bins`` bins of members with similar probability. There are never more bins than members."""
    from sklearn.metrics import brier_score_loss

    order = np.argsort(probability, kind="stable")
    parts = [part for part in np.array_split(order, min(bins, len(order))) if len(part)]
    observed = np.array([trojaned[part].mean() for part in parts])
    count = np.array([len(part) for part in parts])
    spans = np.array([share_interval(float(s), int(n)) for s, n in zip(observed, count, strict=True)])
    return CalibrationBins(
        predicted=np.array([probability[part].mean() for part in parts]),
        observed=observed,
        low=spans[:, 0],
        high=spans[:, 1],
        count=count,
        brier=float(brier_score_loss(trojaned, probability, pos_label=True)),
    )
