"""Ablations: the AUC of the paper's stream with one part changed at a time."""

from __future__ import annotations

import re
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ti_core.detector.detector import folds
from ti_core.detector.metamodels import Boosting
from ti_core.errors import PackError, SettingsError
from ti_core.evaluation.automl import automl_missing, automl_scores
from ti_core.evaluation.normalised import NormalisedSaliency
from ti_core.evaluation.rates import auc, auc_interval
from ti_core.evaluation.scoring import evidence_of_all, probes_for
from ti_core.evaluation.shift import MEMBERS
from ti_core.reference.pack import Pack
from ti_core.reference.reference import Reference
from ti_core.settings import Settings
from ti_core.streams import Stream
from ti_core.streams.base import Array
from ti_core.streams.saliency import Saliency
from ti_core.system.cache import Cache
from ti_core.system.progress import ShareProgress, StageProgress, silent_stage

_BIN = re.compile(r", bin \d+$")


@dataclass(frozen=True)
class Ablation:
    """One change to the paper's stream.

    Parameters
    ----------
    topic, name : the part that is varied, and its value.
    settings : the settings of the evaluation.
    normalised : whether each saliency map is divided by its largest value.
    histograms_only : whether the stacked histograms are the only features.
    automl : whether FLAML replaces CatBoost.
    """

    topic: str
    name: str
    settings: Settings
    normalised: bool = False
    histograms_only: bool = False
    automl: bool = False


@dataclass(frozen=True)
class AblationRow:
    """The AUC of an ablation for one kind of trigger. ``low`` and ``high`` are the ends of its 95 % interval."""

    topic: str
    name: str
    kind: str
    clean: int
    trojaned: int
    auc: float
    low: float
    high: float

    def as_dict(self) -> dict[str, Any]:
        return asdict(self)


@dataclass(frozen=True)
class Ablations:
    """The result of :func:`ablate`: its rows, and a sentence for every ablation that was left out."""

    members: str
    rows: tuple[AblationRow, ...]
    notes: tuple[str, ...]


def ablations(settings: Settings) -> list[Ablation]:
    """All ablations. The first one changes nothing."""
    one = settings.with_(streams=("saliency",))
    found = [Ablation("as set", "all parts", one)]
    others = dict.fromkeys((*((q,) for q in one.quantiles), (0.97, 0.99), (0.0, 0.5, 0.9, 0.97, 0.99, 0.999)))
    found += [
        Ablation("quantiles", ", ".join(f"{q:g}" for q in quantiles), one.with_(quantiles=quantiles))
        for quantiles in others
        if quantiles != one.quantiles
    ]
    found += [
        Ablation("histograms", name, one.with_(histogram_form=form), histograms_only=True)
        for form, name in (
            ("pooled", "pooled values alone"),
            ("per_image", "per image alone"),
            ("both", "both forms alone"),
        )
    ]
    found += [
        Ablation("probes", "without ActMax", one.with_(actmax_iterations=0)),
        *(
            Ablation(
                "probes",
                f"{'no' if kind == 'none' else kind} triggers only",
                one.with_(trigger_kinds=(kind,)),
            )
            for kind in ("none", "patch", "blend")
        ),
        Ablation("saliency", "normalised", one, normalised=True),
        Ablation("meta-model", "AutoML (FLAML)", one, automl=True),
    ]
    return found


def ablate(
    pack: Pack,
    settings: Settings | None = None,
    members: str = "fitted",
    automl_budget: float = 60.0,
    cache: Cache | None = None,
    progress: StageProgress = silent_stage,
    chosen: list[Ablation] | None = None,
) -> Ablations:
    """The AUC of the paper's stream under every ablation.

    Parameters
    ----------
    members : "fitted" cross-validates in groups among the members that the pack's detector is fitted to. Parts may be
        chosen by this result. "held-out" fits to the fitted members and tests on the held-out ones. "all"
        cross-validates among all members.
    automl_budget : seconds of search for each fit of FLAML; 0 leaves FLAML out. Cross-validation fits five times.
        FLAML's own cross-validation is nested in the outer fit, so that its choice never depends on tested members.
    progress : called with the name of the ablation and the share of the ablations that is done.
    chosen : ablations to evaluate. The default is :func:`ablations` of the settings.

    Notes
    -----
    An ablation with other probes or maps computes the evidence of every member or reads it from the cache.

    Raises
    ------
    SettingsError : ``members`` is none of :data:`~ti_core.evaluation.shift.MEMBERS`.
    PackError : held-out members are required and the pack has none.
    """
    if members not in MEMBERS:
        raise SettingsError(f"Members are {', '.join(MEMBERS)}, not {members!r}.")
    if members == "held-out" and not len(pack.where(fitted=False)):
        raise PackError(f"Pack {pack.name!r} holds no member out from fitting.")
    plan = ablations(settings or pack.settings) if chosen is None else chosen
    missing = automl_missing() if automl_budget > 0 else "AutoML was left out, as its time budget is 0."
    notes = [missing] if missing and any(a.automl for a in plan) else []
    plan = [a for a in plan if not (a.automl and missing)]
    kept = cache or Cache(None)
    rows: list[AblationRow] = []
    stacks: dict[str, dict[str, Array]] = {}
    for number, ablation in enumerate(plan):
        progress(f"{ablation.topic}: {ablation.name}", number / len(plan))
        reference = Reference(pack, ablation.settings, kept)
        stream: Stream = (NormalisedSaliency if ablation.normalised else Saliency)(ablation.settings)
        # Ablations of the histograms use the same evidence.
        key = f"{stream.version} {ablation.settings.digest('probes')}"
        if key not in stacks:

            def told(share: float, ablation: Ablation = ablation, number: int = number) -> None:
                progress(f"{ablation.topic}: {ablation.name}", (number + share) / len(plan))

            stacks[key] = _evidence(reference, stream, members, told)
        rows += _rows(ablation, reference, stream, stacks[key], members, automl_budget)
    return Ablations(members, tuple(rows), tuple(notes))


def _evidence(
    reference: Reference, stream: Stream, members: str, progress: ShareProgress
) -> dict[str, Array]:
    """The stream's evidence, stacked over the fitted members if ``members`` is "fitted", else over all members."""
    if members == "fitted":
        return reference.evidence(stream, probes_for(reference, [stream]), progress)
    return evidence_of_all(reference, [stream], progress)[stream.name]


def _rows(
    ablation: Ablation,
    reference: Reference,
    stream: Stream,
    stacked: dict[str, Array],
    members: str,
    automl_budget: float,
) -> list[AblationRow]:
    seed = ablation.settings.seed
    shown = reference.fitted if members == "fitted" else reference.pack.members
    labels, groups = np.array([m.label for m in shown]), np.array([m.group for m in shown])
    fit_rows = np.array([i for i, m in enumerate(shown) if members != "held-out" or not m.held_out])

    def fit(x: Array, y: NDArray[np.str_], own: NDArray[np.str_], other: Array) -> NDArray[np.floating]:
        if ablation.automl:
            return automl_scores(x, y, own, other, seed, automl_budget)
        boosting = Boosting(weights=stream.weights(names))
        return boosting.fit(x, y != "clean", seed).logit(other)

    own = {k: v[fit_rows] for k, v in stacked.items()}
    among_clean = labels[fit_rows] == "clean"
    clean = {k: v[among_clean] for k, v in own.items()}
    features = stream.features(own, clean, among_clean)
    columns = np.array([not ablation.histograms_only or bool(_BIN.search(name)) for name in features.names])
    names = tuple(name for name, kept in zip(features.names, columns, strict=True) if kept)
    x, y, g = features.matrix[:, columns], labels[fit_rows], groups[fit_rows]
    if members == "held-out":
        test = reference.pack.where(fitted=False)
        other = stream.features({k: v[test] for k, v in stacked.items()}, clean).matrix[:, columns]
        return _two(ablation, labels[test], fit(x, y, g, other))
    scores = np.zeros(len(x))
    for train, test in folds(y, g, seed):
        scores[test] = fit(x[train], y[train], g[train], x[test])
    return _two(ablation, y, scores)


def _two(ablation: Ablation, labels: NDArray[np.str_], scores: NDArray[np.floating]) -> list[AblationRow]:
    rows = []
    clean = labels == "clean"
    for kind in ("blend", "patch"):
        bad = labels == kind
        if clean.any() and bad.any():
            area = auc(scores[clean], scores[bad])
            counts = int(clean.sum()), int(bad.sum())
            rows.append(
                AblationRow(ablation.topic, ablation.name, kind, *counts, area, *auc_interval(area, *counts))
            )
    return rows
