"""Backdoors that the joint score of the classes does not see, each looked for by a stream of its own.

The joint meta-model compares classes with reference models. A backdoor of one source class, an all-to-all backdoor or a
gate in the graph raises no class there. A stream that looks for one gives log-odds of its own. A network is taken to
hold one backdoor at most, so the odds of a backdoor are the sum of the odds of all alternatives.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit

from ti_core.detector.detector import Assessment
from ti_core.detector.metamodels import Floats
from ti_core.detector.thresholds import log_odds
from ti_core.streams.base import Evidence, Stream


@dataclass(frozen=True)
class Alternatives:
    """Log-odds by stream of the backdoors that streams find beside the joint score; ``R`` each."""

    by_stream: Mapping[str, Floats] = field(default_factory=dict)

    @classmethod
    def of(
        cls,
        streams: Iterable[Stream],
        own: Mapping[str, Evidence],
        clean: Mapping[str, Evidence] | None = None,
        among_clean: NDArray[np.bool_] | None = None,
    ) -> Alternatives:
        """Of the streams whose stacked evidence is in ``own``.

        Parameters
        ----------
        clean : by stream, that of the clean reference models. A stream that needs them and has none takes no part.
        among_clean : see :meth:`ti_core.streams.base.Stream.features`.
        """
        beside = clean or {}
        return cls(
            {
                s.name: s.log_odds(own[s.name], beside.get(s.name, {}), among_clean)
                for s in streams
                if s.alternative and own.get(s.name) and (s.by_itself or beside.get(s.name))
            }
        )

    def added(self, probability: Floats) -> Floats:
        """Probability of any backdoor, ``R``; ``probability`` is that of one that leads all images to one class."""
        odds = log_odds(probability)
        if not self.by_stream:
            return np.asarray(probability, dtype=np.float64)
        for own in self.by_stream.values():
            odds = np.logaddexp(odds, own)
        return np.asarray(expit(odds))

    def leading(self, probability: Floats) -> list[str | None]:
        """By model, the stream whose alternative is likelier than all others; None for the joint score."""
        names = list(self.by_stream)
        rows = np.stack([log_odds(probability), *self.by_stream.values()])
        return [None if place == 0 else names[place - 1] for place in rows.argmax(0)]

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
