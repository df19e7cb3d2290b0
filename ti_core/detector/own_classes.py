"""Within one network: does one of its classes stand apart from its others?

The idea of the anomaly index of Neural Cleanse (B. Wang et al., 2019), on the evidence of every deep stream. It is a
weaker ground than a comparison with clean networks: some of those have an easy class, and a backdoor that leads to
every class stands out nowhere. Between the two bounds lies a broad middle.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from ti_core.detector.detector import Assessment
from ti_core.detector.joint import combined
from ti_core.streams.base import Array, Evidence, Reading, Stream, as_stack
from ti_core.streams.inversion import smallness
from ti_core.streams.searches.screening import unsuspected
from ti_core.streams.statistics import scale_free

USUAL = {"windowed": 3.2, "universal": 2.1, "inversion": 0.76}
"""What the class that stands out most reaches in 19 of 20 clean networks, by stream: the unit of its scores."""

CLEAN, BACKDOORED = 1.0, 1.8
"""Bounds on the largest class, all streams together, in those units.

Set on the fitted members of an earlier MNIST pack: 68 % of the clean ones and 2 % of the trojaned lie below the first,
2 % of the clean and 89 % of the trojaned above the second. On other data they were not measured.
"""

SLOPE = 4.0
"""Of the probability's logistic curve, whose middle lies between the bounds."""

MOST_SURE = 0.95
"""Nothing is said with more probability than this, in either direction."""

FEWEST_CLASSES = 4
"""Among fewer classes none can be told to stand out."""


@dataclass(frozen=True)
class Alone:
    """What the network's own classes say: by stream and together, how far each stands out, ``K``."""

    streams: Mapping[str, Array]
    together: Array

    @property
    def target(self) -> int:
        return int(self.together.argmax())

    @property
    def score(self) -> float:
        return float(self.together.max())

    def assess(self) -> Assessment:
        """Verdict and probability; "inconclusive" between the bounds, and always where there are too few classes."""
        probability = probability_of(self.score)
        verdict = (
            "backdoored" if self.score >= BACKDOORED else "clean" if self.score < CLEAN else "inconclusive"
        )
        if len(self.together) < FEWEST_CLASSES:
            verdict, probability = "inconclusive", 0.5
        return Assessment(verdict, probability, None, 0.5, 0.0)


def probability_of(score: float) -> float:
    """Probability of a backdoor where the largest class stands out that far, never surer than :data:`MOST_SURE`."""
    middle = (CLEAN + BACKDOORED) / 2
    p = 1 / (1 + np.exp(-SLOPE * (min(score, 10.0) - middle)))
    return float(np.clip(p, 1 - MOST_SURE, MOST_SURE))


def standing_out(name: str, evidence: Evidence) -> Array:
    """How far each class stands out among the network's own, ``K``, in units of what is :data:`USUAL`."""
    one = as_stack(evidence)
    if name == "windowed":
        own = scale_free(one["margins"]).max(2)[0]
        # Where most classes have a place far beyond the usual, it is the network's way: none of them stands out by it.
        # Of the MNIST pack's networks none comes near that.
        own = own - max(0.0, float(np.median(own)) - USUAL[name])
    elif name == "universal":
        # The two larger radii, as in the comparison with reference models.
        radii = one["margins"][:, -2:]
        own = np.mean([scale_free(radii[:, r])[0] for r in range(radii.shape[1])], axis=0)
    else:
        own = smallness(one)[0]
    # Of a class that was only estimated nothing is said.
    scores = unsuspected(np.asarray(own / USUAL[name], dtype=np.float32)[None], one)
    return np.asarray(scores[0], dtype=np.float32)


def alone(evidence: Mapping[str, Evidence]) -> Alone:
    """The deep streams' evidence of one network, by stream name, without any other network's."""
    streams = {name: standing_out(name, found) for name, found in evidence.items() if name in USUAL}
    return Alone(streams, combined([own[None] for own in streams.values()])[0])


def read_alone(stream: Stream, evidence: Evidence, class_names: tuple[str, ...]) -> Reading:
    """What a stream saw in one network, with no clean ones beside it (its share of clean models is NaN)."""
    own = standing_out(stream.name, evidence)
    target, score = int(own.argmax()), float(own.max())
    sentence = (
        f"{stream.title}: class {class_names[target]} stands out most among the model's own, {score:.2f} times as far"
        " as is usual for the most outstanding class of a clean network."
    )
    return Reading(score, math.nan, sentence, target, {"values": own.tolist()})
