"""Comparison of a case with the reference models: histograms with bands, distances, and ranks among clean models.

Everything is computed from stored quantile functions. No model runs, so other settings of the profile (quantiles, bins,
histogram form) take effect at once.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from ti_core.errors import PackError
from ti_core.reference.pack import Pack
from ti_core.results.case import Case
from ti_core.settings import Settings
from ti_core.stream_registry import STREAMS
from ti_core.streams import stream_class

if TYPE_CHECKING:
    from ti_core.streams.base import Evidence

Array = NDArray[np.floating]

PROFILE = ("pooled", "per_image")
"""Arrays of saliency's evidence that the histograms are made of."""
BAND = (0.05, 0.5, 0.95)
"""Quantiles over reference models: lower edge, middle and upper edge of a band."""


@dataclass(frozen=True)
class Distance:
    """Distance of one histogram from the mean histogram of the clean reference models.

    Parameters
    ----------
    value : the distance, in its own unit.
    clean_share : share of clean reference models that lie at least as far from the mean of the other clean ones,
        0 to 1.
    """

    value: float
    clean_share: float


@dataclass(frozen=True)
class Panel:
    """One histogram of the suspect with the same histogram of the reference models.

    Parameters
    ----------
    kind, title : group of triggers, and title of the histogram.
    edges : boundaries of the bins, ``bins + 1``, evenly spaced in the logarithm.
    own : the suspect's share in each bin, ``bins``.
    clean, trojaned : :data:`BAND` of each bin over the reference models, ``3 x bins``.
    wasserstein : Wasserstein distance, in decades of saliency (the axis is logarithmic).
    kolmogorov_smirnov : largest difference of the cumulative shares, 0 to 1.
    pushes : Shapley values of the bins in the saliency stream's meta-model, in log-odds, ``bins``. They are zeros
        where that meta-model was fitted to other histograms.
    """

    kind: str
    title: str
    edges: Array
    own: Array
    clean: Array
    trojaned: Array
    wasserstein: Distance
    kolmogorov_smirnov: Distance
    pushes: Array


def reference_evidence(case: Case, pack: Pack, stream: str = "saliency") -> dict[str, Array]:
    """Stacked evidence of the fitted reference models that this case was compared with.

    Raises
    ------
    PackError : the evidence is stored in a pack that has changed since the inspection.
    """
    kept = case.group(f"reference/{stream}")
    if kept:
        return kept
    if pack.sha256 != case.report.pack["sha256"]:
        raise PackError(
            f"Reference pack {pack.name!r} has changed since this inspection, so its histograms cannot be drawn beside"
            " the reference models; inspect the model again."
        )
    rows = pack.where(fitted=True)
    return {k: v[rows] for k, v in pack.evidence_of(stream).items()}


def panels(case: Case, pack: Pack, settings: Settings, kinds: Sequence[str] | None = None) -> list[Panel]:
    """Every histogram of the case at these settings of the profile. The list is empty without the saliency stream.

    Parameters
    ----------
    settings : only their quantiles, bins and histogram form are used.
    kinds : groups of triggers; None for all of the case. The boundaries are those of all groups.

    Raises
    ------
    PackError : see :func:`reference_evidence`.
    """
    own = case.group("evidence/saliency")
    if not own:
        return []
    from ti_core.streams.saliency import Saliency

    stacked = reference_evidence(case, pack)
    labels = np.array([m.label for m in pack.members if not m.held_out])
    if len(labels) != len(stacked["pooled"]):
        raise PackError(f"Reference pack {pack.name!r} has changed since; inspect the model again.")
    stream = Saliency(settings)
    clean: Evidence = _floats({k: v[labels == "clean"] for k, v in stacked.items()})
    edges = stream.edges(clean)
    wanted = [kind for kind in case.kinds if kinds is None or kind in kinds]
    groups = [case.kinds.index(kind) for kind in wanted]
    mine = stream.histograms({k: v[groups] for k, v in _floats(own).items() if k in PROFILE}, clean)
    every = stream.histograms({k: v[:, groups] for k, v in _floats(stacked).items() if k in PROFILE}, clean)
    width = float(np.log10(edges[-1] / edges[0]) / (len(edges) - 1))
    pushes = _pushes(case)
    found = []
    for g, kind in enumerate(wanted):
        for r, title in enumerate(stream.row_names()):
            others = every[:, g, r]
            ws, ks = distances(mine[g, r], others[labels == "clean"], width)
            found.append(
                Panel(
                    kind=kind,
                    title=title,
                    edges=edges,
                    own=mine[g, r],
                    clean=np.quantile(others[labels == "clean"], BAND, axis=0),
                    trojaned=np.quantile(others[labels != "clean"], BAND, axis=0),
                    wasserstein=ws,
                    kolmogorov_smirnov=ks,
                    pushes=np.array(
                        [pushes.get(f"{kind}: {title}, bin {b}", 0.0) for b in range(settings.bins)]
                    )
                    if same_profile(case, settings)
                    else np.zeros(settings.bins),
                )
            )
    return found


def _floats(arrays: Mapping[str, Array]) -> dict[str, NDArray[np.float32]]:
    return {k: np.asarray(v, dtype=np.float32) for k, v in arrays.items()}


def same_profile(case: Case, settings: Settings) -> bool:
    """Whether the case's verdict was reached with these settings of the profile."""
    return Settings.parse(case.report.settings).of_stage("profile") == settings.of_stage("profile")


def distances(own: Array, clean: Array, width: float) -> tuple[Distance, Distance]:
    """Wasserstein and Kolmogorov-Smirnov distance of a histogram from the mean histogram of the clean models.

    Parameters
    ----------
    own : the histogram, ``bins``.
    clean : histograms of the clean models, ``M x bins``.
    width : width of a bin, in decades.

    Notes
    -----
    In one dimension the Wasserstein distance is the area between the cumulative shares. Each clean model is compared
    with the mean of the other clean models (leave-one-out), since the suspect is not part of the mean either.
    """
    count = len(clean)
    total = clean.sum(axis=0)
    rest = (total - clean) / max(1, count - 1)
    gap = np.abs(np.cumsum(own - total / count))
    gaps = np.abs(np.cumsum(clean - rest, axis=1))
    found = []
    for value, values in ((gap.sum() * width, gaps.sum(axis=1) * width), (gap.max(), gaps.max(axis=1))):
        found.append(Distance(float(value), float(np.mean(values >= value - 1e-12))))
    return found[0], found[1]


def _pushes(case: Case) -> dict[str, float]:
    """Shapley values in the saliency stream's meta-model, by feature."""
    if "saliency" not in case.decisions:
        return {}
    values = case.arrays.get("why/saliency", np.zeros(0))
    return {n: float(v) for n, v in zip(case.decisions["saliency"].names, values, strict=False)}


def contributions(case: Case, detector: str, most: int = 12) -> list[tuple[str, float]]:
    """Shapley values of a meta-model in log-odds, the largest first. All beyond ``most`` are added up in one entry."""
    values = case.arrays.get(f"why/{detector}")
    if values is None or detector not in case.decisions:
        return []
    pairs = [(n, float(v)) for n, v in zip(case.decisions[detector].names, values, strict=True)]
    pairs.sort(key=lambda pair: -abs(pair[1]))
    kept, rest = pairs[:most], pairs[most:]
    if rest:
        kept.append((f"{len(rest)} other features together", sum(v for _, v in rest)))
    return kept


def differences(cases: Sequence[Case], drawn: Sequence[Sequence[Panel]]) -> list[str]:
    """Sentences on the differences of two cases.

    Parameters
    ----------
    cases, drawn : two cases, and the panels of each at the same settings.
    """
    one, two = cases
    names = [c.report.model["file"] for c in cases]
    if names[0] == names[1]:
        names = [f"{name} ({which})" for name, which in zip(names, ("left", "right"), strict=True)]
    p, q = one.report.probability, two.report.probability
    higher, lower = (0, 1) if p >= q else (1, 0)
    if one.report.verdict == two.report.verdict:
        lines = [
            f"Both are called {one.report.verdict}; the probability of a backdoor is {p:.1%} for {names[0]} and {q:.1%}"
            f" for {names[1]}."
        ]
    else:
        lines = [
            f"{names[higher]} is called {cases[higher].report.verdict} with a probability of a backdoor of"
            f" {max(p, q):.1%}, {names[lower]} {cases[lower].report.verdict} with {min(p, q):.1%}."
        ]
    loud = [
        float(np.median(c.arrays["evidence/saliency/per_image"][..., -1])) for c in cases if _has_saliency(c)
    ]
    if len(loud) == 2 and min(loud) > 0:
        top = int(loud[1] > loud[0])
        lines.append(
            f"The largest saliency of a probe is, in the median, {max(loud) / min(loud):.2g} times as high in"
            f" {names[top]} as in {names[1 - top]}."
        )
    far = [max(panels_of, key=lambda panel: panel.wasserstein.value, default=None) for panels_of in drawn]
    for name, panel in zip(names, far, strict=True):
        if panel is not None:
            lines.append(
                f"{name} lies farthest from the clean reference models in the {panel.title}"
                f" ({KIND_WORDS[panel.kind]}): {panel.wasserstein.value:.2f} decades;"
                f" {panel.wasserstein.clean_share:.0%} of the clean models lie as far from the others."
            )
    for key in STREAMS:
        if stream_class(key).on_probes:
            continue
        targets = [c.report.streams.get(key, {}).get("target_class") for c in cases]
        shares = [c.report.streams.get(key, {}).get("clean_share") for c in cases]
        if all(isinstance(s, (int, float)) for s in shares) and all(isinstance(t, int) for t in targets):
            words = [
                f"class {_class(c, t)} in {n} ({s:.0%} of clean models show as much)"
                for c, t, n, s in zip(cases, targets, names, shares, strict=True)
            ]
            lines.append(f"The {key.replace('_', ' ')} stream points most to {words[0]} and to {words[1]}.")
    return lines


KIND_WORDS: Mapping[str, str] = {"none": "no trigger", "patch": "random patch", "blend": "random blend"}


def _has_saliency(case: Case) -> bool:
    return "evidence/saliency/per_image" in case.arrays


def _class(case: Case, index: int | None) -> str:
    return case.class_names[index] if index is not None and 0 <= index < len(case.class_names) else "unknown"
