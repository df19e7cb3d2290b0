"""The verdict from one network alone: whether one of its classes stands out among its own.

This is the idea of Neural Cleanse's anomaly index (B. Wang et al., 2019), on the evidence of every deep stream. It is
weaker than a comparison with clean networks: some clean networks have an easy class, and a backdoor that leads to every
class stands out nowhere. So the range between the two bounds is wide.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import numpy as np
from scipy.special import expit

from ti_core.detector.detector import Assessment
from ti_core.detector.joint import combined
from ti_core.streams import stream_class
from ti_core.streams.base import Array, Evidence, Reading, Stream, as_stack
from ti_core.streams.searches.screening import unsuspected
from ti_core.streams.statistics import best_and_lead

CLEAN, BACKDOORED = 0.72, 1.7
"""Bounds on the score. At the second one, 3 % of the clean members of the four bundled packs are called backdoored,
every data set counting the same. The first one calls no more backdoored members clean than before small windows
bounded what larger ones count. ``python -m benchmarks.own_classes`` prints the shares, and those of each data set at
bounds that the other three set."""
SLOPE, EVEN = 2.9, 1.3
"""Slope of the probability's logistic curve, and the score at which it is one half: fitted to 538 members, before small
windows bounded what larger ones count."""

MOST_SURE = 0.95
"""Maximum probability, in either direction."""

FEWEST_CLASSES = 4
"""Minimum number of classes. Among fewer, none can be said to stand out."""


@dataclass(frozen=True)
class Alone:
    """How far each of the network's classes stands out, ``K``, by stream and jointly."""

    streams: Mapping[str, Array]
    together: Array

    @property
    def target(self) -> int:
        return int(self.together.argmax())

    @property
    def score(self) -> float:
        """The mean of the largest class's value and its lead over the second. With many classes some are large."""
        largest, lead = best_and_lead(self.together[None])
        return float((largest[0] + lead[0]) / 2)

    def assess(self) -> Assessment:
        """Verdict and probability: "inconclusive" between the bounds, and always with too few classes."""
        probability = probability_of(self.score)
        verdict = (
            "backdoored" if self.score >= BACKDOORED else "clean" if self.score < CLEAN else "inconclusive"
        )
        if len(self.together) < FEWEST_CLASSES:
            verdict, probability = "inconclusive", 0.5
        return Assessment(verdict, probability, None, 0.5, 0.0)


def probability_of(score: float) -> float:
    """Probability of a backdoor for that joint score, at most :data:`MOST_SURE` in either direction."""
    p = expit(SLOPE * (min(score, 10.0) - EVEN))
    return float(np.clip(p, 1 - MOST_SURE, MOST_SURE))


def standing_out(stream: Stream, evidence: Evidence) -> Array:
    """How far each class stands out among the network's own, ``K``, in units of the stream's ``usual`` value.

    Raises
    ------
    ValueError : the stream tells nothing without reference models.
    """
    if stream.usual is None:
        raise ValueError(f"the stream {stream.name} tells nothing without reference models")
    one = as_stack(evidence)
    # A class that was only estimated is never suspected.
    usual = stream.usual_after(evidence)
    scores = unsuspected(np.asarray(stream.standing_out(one) / usual, dtype=np.float32)[None], one)
    return np.asarray(scores[0], dtype=np.float32)


def telling(names: Iterable[str]) -> list[str]:
    """The streams, of those named, that tell something without reference models."""
    return [name for name in names if stream_class(name).usual is not None]


def alone(evidence: Mapping[str, Evidence]) -> Alone:
    """What the streams' evidence of one network says, by stream name, without any other network's.

    Where a stream begins from what another one found, a class counts in that one at most as far as it holds in the
    later search: in clean networks too some class is easily reached by a large window, but not by a small one.
    """
    streams = {name: standing_out(stream_class(name)(), evidence[name]) for name in telling(evidence)}
    counted = {
        name: np.minimum(own, stream_class(name)().most_after(evidence[name]))
        for name, own in streams.items()
    }
    for name, own in streams.items():
        before = stream_class(name).begins_from
        if before in counted:
            counted[before] = np.minimum(counted[before], own)
    return Alone(streams, combined([own[None] for own in counted.values()])[0])


def read_alone(stream: Stream, evidence: Evidence, class_names: tuple[str, ...]) -> Reading:
    """What a stream found in one network, without clean ones for comparison. Its ``clean_share`` is NaN."""
    if stream.by_itself:
        return stream.read(evidence, {}, class_names)
    own = standing_out(stream, evidence)
    target, score = int(own.argmax()), float(own.max())
    sentence = (
        f"{stream.title}: class {class_names[target]} stands out most among the model's own, {score:.2f} times as far"
        " as is usual for the most outstanding class of a clean network."
    )
    return Reading(score, math.nan, sentence, target, {"values": own.tolist()})
