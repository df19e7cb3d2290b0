"""Table 1 of the paper on members that took no part in fitting: accuracy and AUC, with intervals."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ti_core.cache import Cache
from ti_core.detector import Detector, log_odds
from ti_core.errors import PackError
from ti_core.pack import Member, Pack
from ti_core.reference import Reference, with_saliency
from ti_core.settings import Settings
from ti_core.streams import make_streams
from ti_core.streams.joint import joint_features, suspected

Z95 = 1.959964
FAMILIES = {"standard": ("standard",), "challenge": ("challenge",), "all": ("standard", "challenge")}


@dataclass(frozen=True)
class Row:
    """One cell of Table 1.

    ``auc`` with its 95 % interval ``low`` to ``high``; ``accuracy`` of the verdict at the pack's upper threshold,
    the mean of both sides; ``found`` the share of trojaned models above it and ``false_alarms`` that of clean ones;
    ``clean_called`` the share of clean models called clean; ``target`` the share of the trojaned models found whose
    target class is named rightly, None where the streams name none.
    """

    streams: str
    kind: str
    family: str
    clean: int
    trojaned: int
    auc: float
    low: float
    high: float
    accuracy: float
    found: float
    false_alarms: float
    clean_called: float
    target: float | None = None

    def as_dict(self) -> dict[str, Any]:
        return asdict(self)


def auc(clean: NDArray[np.floating], trojaned: NDArray[np.floating]) -> float:
    """Area under the ROC curve: how often a trojaned model scores above a clean one, ties counting half."""
    above = (trojaned[:, None] > clean[None]).mean()
    return float(above + 0.5 * (trojaned[:, None] == clean[None]).mean())


def auc_interval(value: float, clean: int, trojaned: int) -> tuple[float, float]:
    """95 % interval of an AUC, sensible also at 1 (R. Newcombe, Statistics in Medicine 2006, method 5)."""
    half = (clean + trojaned) / 2

    def distance(theta: float) -> float:
        spread = theta * (1 - theta) * (1 + (half - 1) * ((1 - theta) / (2 - theta) + theta / (1 + theta)))
        return abs(theta - value) - Z95 * float(np.sqrt(max(spread, 0.0) / (clean * trojaned)))

    return _crossing(distance, value, 0.0), _crossing(distance, value, 1.0)


def _crossing(distance: Any, inside: float, outside: float) -> float:
    """Where ``distance`` turns positive between ``inside`` and ``outside``, by bisection."""
    if distance(outside) <= 0:
        return outside
    for _ in range(60):
        middle = (inside + outside) / 2
        inside, outside = (middle, outside) if distance(middle) <= 0 else (inside, middle)
    return outside


@dataclass(frozen=True)
class Scored:
    """Members with the probability one detector gives them and the target class its streams name (-1: none)."""

    members: list[Member]
    probability: NDArray[np.floating]
    target: NDArray[np.int_]
    high: float
    low: float


def evaluate(pack: Pack, settings: Settings | None = None, cache: Cache | None = None) -> list[Row]:
    """Table 1 of a pack, on its held-out members: for the paper's stream alone, and for all streams.

    Raises
    ------
    PackError : the pack holds no member out.
    """
    settings = settings or Settings()
    if not len(pack.where(fitted=False)):
        raise PackError(f"Pack {pack.name!r} holds no member out from fitting; nothing can be evaluated.")
    reference = Reference(pack, settings, cache or Cache(None))
    rows: list[Row] = []
    for which, scored in score_held_out(reference).items():
        rows += table(which, scored)
    return rows


def table(which: str, scored: Scored) -> list[Row]:
    """Rows for both kinds and every family with at least one member."""
    rows = []
    clean = np.array([m.label == "clean" for m in scored.members])
    for kind in ("blend", "patch"):
        for family, names in FAMILIES.items():
            bad = np.array([m.label == kind and m.family in names for m in scored.members])
            if bad.any() and clean.any():
                rows.append(_row(which, kind, family, scored, clean, bad))
    return rows


def _row(
    which: str, kind: str, family: str, scored: Scored, clean: NDArray[np.bool_], bad: NDArray[np.bool_]
) -> Row:
    p = scored.probability
    area = auc(p[clean], p[bad])
    low, high = auc_interval(area, int(clean.sum()), int(bad.sum()))
    hit = bad & (p >= scored.high)
    found, alarms = float((p[bad] >= scored.high).mean()), float((p[clean] >= scored.high).mean())
    truth = np.array([m.target_class if m.target_class is not None else -2 for m in scored.members])
    names_targets = bool((scored.target >= 0).any())
    return Row(
        streams=which,
        kind=kind,
        family=family,
        clean=int(clean.sum()),
        trojaned=int(bad.sum()),
        auc=area,
        low=low,
        high=high,
        accuracy=(found + 1 - alarms) / 2,
        found=found,
        false_alarms=alarms,
        clean_called=float((p[clean] < scored.low).mean()),
        target=float((truth == scored.target)[hit].mean()) if names_targets and hit.any() else None,
    )


def score_held_out(reference: Reference) -> dict[str, Scored]:
    """The held-out members' probabilities under the pack's detectors: "saliency", and "joint" for all streams."""
    pack, settings = reference.pack, reference.settings
    held_out = [m for m in pack.members if m.held_out]
    streams = make_streams(settings)
    probes = None
    if any(s.name == "saliency" and not reference.serves_baseline(s) for s in streams):
        probes = reference.probes()
    fitted = {s.name: reference.evidence(s, probes) for s in streams}
    tested = {s.name: reference.evidence(s, probes, held_out=True) for s in streams}
    scored: dict[str, Scored] = {}
    paper: Detector | None = None
    for stream in streams:
        if stream.name == "saliency":
            paper = reference.saliency_detector(stream, fitted[stream.name])
            own = stream.features(tested[stream.name], reference.clean(fitted[stream.name])).matrix
            p = paper.calibration.probability(paper.logit(own))
            scored["saliency"] = _scored(held_out, p, np.full(len(p), -1), paper)
    deep = [s for s in streams if s.name != "saliency"]
    if deep:
        detector = reference.joint_detector(deep, fitted, paper, reference.ships(streams))
        scores = reference.class_scores(deep, fitted, tested)
        odds = None if paper is None else log_odds(scored["saliency"].probability)
        rows = with_saliency(joint_features(scores), odds)[1]
        p = detector.calibration.probability(detector.logit(rows))
        scored["joint"] = _scored(held_out, p, suspected(scores), detector)
    return scored


def _scored(
    members: list[Member], p: NDArray[np.floating], target: NDArray[np.int_], detector: Detector
) -> Scored:
    return Scored(members, p, target, detector.calibration.high, detector.calibration.low)
