"""Linear weight classification: a logistic regression on the weights of a zoo's networks.

The weights are selected (the last linear layer), aligned (sorted, so that the order of units and of classes does not
count) and standardised over the zoo before a linear classifier is fitted. A zoo holds networks of several
architectures, so the sorted weights of a row are read at fixed quantiles.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from ti_core.methods.base import LearntMethod, Need, Source, Subject
from ti_core.methods.opinion import Opinion
from ti_core.streams.last_layer import last_rows
from ti_core.system.progress import ShareProgress, silent_share

LEAST = 1e-6


@dataclass(frozen=True)
class WeightFit:
    """How the classifier is fitted.

    Parameters
    ----------
    quantiles : of the sorted weights of each row.
    strength : inverse of the L2 penalty of the logistic regression.
    """

    quantiles: int = 16
    strength: float = 0.01


class LinearWeights(LearntMethod):
    """Linear weight classification."""

    name = "linear_weights"
    title = "Linear weight classification"
    source = Source(
        "T. Huster, P. Lin, R. Stefanescu, E. Ekwedike, R. Chadha",
        2024,
        "arXiv",
        "https://arxiv.org/abs/2411.03445",
        "that it works well on many benchmarks of trojan detection, whose zoos hold networks of one architecture",
    )
    needs = (Need.ZOO, Need.LAST_LINEAR)
    sees = "traces of poisoning in the weights, whatever the trigger"
    measures = "probability of a backdoor by a logistic regression on weights"
    threshold = 0.5
    differs = (
        "Only the last layer is used, since a pack's networks differ in width and architecture. Sorted weights are read"
        " at quantiles for the same reason. No weights of a common reference network are subtracted."
    )

    def __init__(self, protocol: WeightFit | None = None) -> None:
        self.protocol = protocol or WeightFit()

    def learn(self, pack: Any, progress: ShareProgress = silent_share) -> dict[str, NDArray[Any]]:
        """``mean`` and ``spread`` of the features, ``weights`` and ``bias`` of the regression."""
        from sklearn.linear_model import LogisticRegression

        rows, labels = [], []
        fitted = [m for m in pack.members if not m.held_out]
        for number, member in enumerate(fitted):
            found = last_rows(pack.scores(member).network, len(pack.class_names))
            if found is not None:
                rows.append(aligned(found, self.protocol.quantiles))
                labels.append(member.trojaned)
            progress((number + 1) / len(fitted))
        features = np.stack(rows)
        mean, spread = features.mean(axis=0), features.std(axis=0) + LEAST
        model = LogisticRegression(C=self.protocol.strength, class_weight="balanced", max_iter=2000)
        model.fit((features - mean) / spread, np.array(labels))
        return {"mean": mean, "spread": spread, "weights": model.coef_[0], "bias": model.intercept_}

    def opinion(self, subject: Subject, progress: ShareProgress = silent_share) -> Opinion:
        known = subject.learnt.get(self.name) or self.learn(subject.pack, progress)
        rows = last_rows(subject.scores.network, subject.classes)
        assert rows is not None
        features = (aligned(rows, self.protocol.quantiles) - known["mean"]) / known["spread"]
        logit = float(features @ known["weights"] + known["bias"][0])
        probability = float(1 / (1 + np.exp(-np.clip(logit, -50, 50))))
        progress(1.0)
        sentence = f"By the weights of its last layer, the network has a backdoor with probability {probability:.2f}."
        return self.said(probability, sentence)


def aligned(rows: torch.Tensor, quantiles: int) -> NDArray[np.float64]:
    """Features of the last layer's rows ``K x D`` that do not depend on the order of units or classes.

    Each row, centred over the classes and divided by the layer's standard deviation, is read at quantiles of its sorted
    weights. Each quantile is then sorted over the classes. The logarithms of the rows' norms, sorted, are added.
    Weights that are not finite count as 0.

    Returns
    -------
    ``K (quantiles + 1)`` numbers.
    """
    w = torch.nan_to_num(rows.detach().double().cpu(), 0.0, 0.0, 0.0)
    w = w - w.mean(dim=0)
    w = w / w.std().clamp_min(LEAST)
    at = torch.linspace(0, 1, quantiles, dtype=torch.float64)
    read = torch.quantile(w, at, dim=1).T.sort(dim=0).values
    norms = w.norm(dim=1).clamp_min(LEAST).log().sort().values
    return np.asarray(torch.cat([read.flatten(), norms]).numpy())
