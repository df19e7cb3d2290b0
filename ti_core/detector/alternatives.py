"""Backdoors that a stream finds by itself, beside those that lead all images to one class.

The joint meta-model compares classes with reference models. An all-to-all backdoor or a gate in the graph raises no
class there. A stream that looks for one gives log-odds of its own. A network is taken to hold one backdoor at most, so
the odds of a backdoor are the sum of the odds of all alternatives.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace

import numpy as np

from ti_core.detector.detector import Assessment, log_odds
from ti_core.detector.metamodels import Floats
from ti_core.streams.base import Evidence, Stream


@dataclass(frozen=True)
class Alternatives:
    """Log-odds by stream of the backdoors that streams find by themselves; ``R`` each."""

    by_stream: Mapping[str, Floats]

    @classmethod
    def of(cls, streams: Iterable[Stream], own: Mapping[str, Evidence]) -> Alternatives:
        """Of the streams whose stacked evidence is in ``own``."""
        return cls({s.name: s.log_odds(own[s.name]) for s in streams if s.by_itself and s.name in own})

    def added(self, probability: Floats) -> Floats:
        """Probability of any backdoor, ``R``; ``probability`` is that of one that leads all images to one class."""
        odds = log_odds(probability)
        if not self.by_stream:
            return np.asarray(probability, dtype=np.float64)
        for own in self.by_stream.values():
            odds = np.logaddexp(odds, own)
        return np.asarray(1.0 / (1.0 + np.exp(-odds)))

    def leading(self, probability: float) -> str | None:
        """The stream whose alternative is likelier than all others of the first model; None for the joint score."""
        if not self.by_stream:
            return None
        name = max(self.by_stream, key=lambda n: float(self.by_stream[n][0]))
        return name if float(self.by_stream[name][0]) > float(log_odds(probability)) else None

    def assess(self, assessment: Assessment, low: float, high: float) -> Assessment:
        """The first model's assessment with these alternatives, by the thresholds ``low`` and ``high``.

        An alternative never makes a verdict less suspicious. A doubt that was there before, such as an alarm without a
        ground, goes only if the alternatives are enough by themselves.
        """
        probability = float(self.added(np.array([assessment.probability]))[0])
        verdict = assessment.verdict
        crossed = assessment.probability < high <= probability
        if crossed or float(self.added(np.zeros(1))[0]) >= high:
            verdict = "backdoored"
        elif probability >= low and verdict == "clean":
            verdict = "inconclusive"
        return replace(assessment, probability=probability, verdict=verdict)
