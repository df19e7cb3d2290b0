"""Topological detection: how the activations of a network's units hang together, from its first layer to its last.

Units are points, and their distance is ``1 - |correlation|`` of their activations over images. A backdoor's short cut
from the input to the output joins units of early and late layers. Persistent homology describes the points: in
dimension 0 the lengths of the minimum spanning tree, in dimension 1 the loops, for which ``ripser`` is needed (an
optional extra). A classifier of these figures is learnt on a pack's networks.
"""

from __future__ import annotations

from dataclasses import dataclass
from importlib.util import find_spec
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from ti_core.methods.base import LearntMethod, Need, Source, Subject
from ti_core.methods.layers import activations, outputs
from ti_core.methods.opinion import Opinion
from ti_core.reference.pack import Pack
from ti_core.system.progress import ShareProgress, silent_share

LEAST = 1e-6


@dataclass(frozen=True)
class UnitSample:
    """Which units are compared, and how the classifier is fitted.

    Parameters
    ----------
    images, units : number of images, and of units of each layer.
    strength : inverse of the L2 penalty of the logistic regression.
    """

    images: int = 100
    units: int = 40
    strength: float = 1.0


class Topology(LearntMethod):
    """Topological detection."""

    name = "topology"
    title = "Topological detection"
    source = Source(
        "S. Zheng, Y. Zhang, H. Wagner, M. Goswami, C. Chen",
        2021,
        "NeurIPS",
        "https://arxiv.org/abs/2106.06469",
        "better results than earlier methods on several benchmarks",
    )
    needs = (Need.IMAGES, Need.ACTIVATIONS, Need.LEARNING)
    sees = "short cuts between early and late layers, whatever the trigger"
    measures = "probability of a backdoor by a logistic regression on topological figures"
    threshold = 0.5
    differs = (
        "Clean images excite the units, and the publication changes pixels of one image one by one. Loops are left out"
        " where ripser is not installed."
    )

    def __init__(self, protocol: UnitSample | None = None, loops: bool | None = None) -> None:
        self.protocol = protocol or UnitSample()
        self.loops = find_spec("ripser") is not None if loops is None else loops

    def learn(self, pack: Pack, progress: ShareProgress = silent_share) -> dict[str, NDArray[Any]]:
        """``mean`` and ``spread`` of the figures, ``weights`` and ``bias`` of the regression."""
        from sklearn.linear_model import LogisticRegression

        rows, labels = [], []
        fitted = [m for m in pack.members if not m.held_out]
        for number, member in enumerate(fitted):
            subject = Subject(pack.scores(member), pack.images, pack.labels, pack.class_names)
            if activations(subject.scores, pack.images[:1]):
                rows.append(figures(subject, self.protocol, self.loops))
                labels.append(member.trojaned)
            progress((number + 1) / len(fitted))
        table = np.stack(rows)
        mean, spread = table.mean(axis=0), table.std(axis=0) + LEAST
        model = LogisticRegression(C=self.protocol.strength, class_weight="balanced", max_iter=2000)
        model.fit((table - mean) / spread, np.array(labels))
        return {"mean": mean, "spread": spread, "weights": model.coef_[0], "bias": model.intercept_}

    def opinion(self, subject: Subject, progress: ShareProgress = silent_share) -> Opinion:
        known = subject.learnt[self.name]
        loops = len(known["mean"]) > len(figures_of(np.zeros((2, 2)), np.zeros(2), False))
        own = figures(subject, self.protocol, loops)
        logit = float(((own - known["mean"]) / known["spread"]) @ known["weights"] + known["bias"][0])
        probability = float(1 / (1 + np.exp(-np.clip(logit, -50, 50))))
        progress(1.0)
        sentence = (
            f"The units' correlations join at distances of {own[0]:.2f} on average. By such figures the network has a"
            f" backdoor with probability {probability:.2f}."
        )
        return self.said(probability, sentence)


def figures(subject: Subject, protocol: UnitSample, loops: bool) -> NDArray[np.float64]:
    """The topological figures of a network (:func:`figures_of`)."""
    images = subject.images[: protocol.images].float()
    layers = activations(subject.scores, images[:1])
    with torch.no_grad():
        _, found = outputs(subject.scores, images, layers)
    columns, depth = [], []
    for number, layer in enumerate(found):
        units = torch.nan_to_num(layer, 0.0, 0.0, 0.0)
        units = units.flatten(2).amax(dim=2) if units.ndim > 2 else units
        at = torch.linspace(0, units.shape[1] - 1, min(protocol.units, units.shape[1])).long()
        columns.append(units[:, at].double().cpu().numpy())
        depth += [number / max(1, len(found) - 1)] * len(at)
    return figures_of(distances(np.concatenate(columns, axis=1)), np.array(depth), loops)


def distances(activation: NDArray[np.float64]) -> NDArray[np.float64]:
    """``1 - |correlation|`` of the columns of ``N x U``, ``U x U``.

    A unit that never changes is at 1 from all others.
    """
    x = activation - activation.mean(axis=0)
    norm = np.linalg.norm(x, axis=0)
    x = np.where(norm > LEAST, x / np.maximum(norm, LEAST), 0.0)
    away = 1.0 - np.abs(x.T @ x).clip(0.0, 1.0)
    np.fill_diagonal(away, 0.0)
    return np.asarray(away)


def figures_of(away: NDArray[np.float64], depth: NDArray[np.float64], loops: bool) -> NDArray[np.float64]:
    """Figures of points with these distances ``U x U`` and depths ``U`` (0 first layer, 1 last).

    Mean, standard deviation, least and largest of the minimum spanning tree's lengths (the deaths of dimension 0); the
    largest and mean difference of depth along its edges, which a short cut raises; and with ``loops`` mean, standard
    deviation, least and largest of the lives in dimension 1, and their number per unit.
    """
    lengths, one, other = spanning_tree(away)
    across = np.abs(depth[one] - depth[other])
    found = [*_summary(lengths), across.max(initial=0.0), across.mean() if len(across) else 0.0]
    if loops:
        lives = loop_lives(away)
        found += [*_summary(lives), len(lives) / len(away)]
    return np.array(found, dtype=np.float64)


def spanning_tree(away: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[Any], NDArray[Any]]:
    """Lengths and both ends of the edges of the minimum spanning tree, the shortest first."""
    from scipy.sparse.csgraph import minimum_spanning_tree

    # scipy takes 0 for "no edge". Points at distance 0 are joined by an edge that is too short to count.
    tree = minimum_spanning_tree(np.maximum(away, LEAST)).tocoo()
    order = np.argsort(tree.data, kind="stable")
    return np.asarray(tree.data[order]), tree.row[order], tree.col[order]


def loop_lives(away: NDArray[np.float64]) -> NDArray[np.float64]:
    """How long each loop of the points' Vietoris-Rips complex lives, from its birth to its death."""
    from ripser import ripser

    born_died = ripser(away, distance_matrix=True, maxdim=1)["dgms"][1]
    return np.asarray(born_died[:, 1] - born_died[:, 0], dtype=np.float64)


def _summary(values: NDArray[np.float64]) -> tuple[float, float, float, float]:
    if not len(values):
        return 0.0, 0.0, 0.0, 0.0
    return float(values.mean()), float(values.std()), float(values.min()), float(values.max())
