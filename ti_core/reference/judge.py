"""Fit and judge: the meta-models over the reference models' evidence, and what they say of other models.

Algorithm 1, line 17, and sec. 5.1 of the paper. An inspection, an evaluation and the making of a pack all come here.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from ti_core.detector.alternatives import Alternatives
from ti_core.detector.detector import Assessment, Detector
from ti_core.detector.grounds import grounded
from ti_core.detector.joint import suspected
from ti_core.detector.likeness import beside_nearest, nearest, surer, traits, unlike
from ti_core.detector.recovery import Recovery, share_beyond, weight
from ti_core.detector.thresholds import log_odds
from ti_core.reference.pack_files import size_of
from ti_core.reference.reference import Reference
from ti_core.streams import Evidence, Reading, Stream
from ti_core.streams.base import Array

if TYPE_CHECKING:
    import torch

MARGINS = "universal"
"""The stream whose evidence holds the usual lead of a network's largest score, ``scale``."""


@dataclass(frozen=True)
class Judgement:
    """What one meta-model says of R models.

    Parameters
    ----------
    detector : the meta-model.
    rows : the features of the models, ``R x F``.
    class_scores : by stream, how suspicious each class is, ``R x K``; empty where the meta-model names no class.
    alternatives : log-odds of the backdoors that the meta-model does not see.
    """

    detector: Detector
    rows: Array
    class_scores: dict[str, Array] = field(default_factory=dict)
    alternatives: Alternatives = field(default_factory=Alternatives)

    @cached_property
    def of_classes(self) -> NDArray[np.floating]:
        """The meta-model's calibrated probability of a backdoor, ``R``, 0 to 1."""
        return self.detector.calibration.probability(self.detector.logit(self.rows))

    @cached_property
    def probability(self) -> NDArray[np.floating]:
        """Probability of any backdoor, ``R``, 0 to 1."""
        return self.alternatives.added(self.of_classes)

    @cached_property
    def leading(self) -> list[str | None]:
        """By model, the stream whose alternative is likelier than the meta-model's; None if there is none."""
        return self.alternatives.leading(self.of_classes)

    @property
    def target(self) -> NDArray[np.int_]:
        """The most suspicious class of each model, ``R``; -1 where the meta-model names none."""
        return suspected(self.class_scores) if self.class_scores else np.full(len(self.rows), -1)

    def assess(
        self,
        readings: Mapping[str, Reading] | None = None,
        recovered: float = math.nan,
        unlike: Sequence[str] = (),
        row: int = 0,
    ) -> Assessment:
        """The assessment of one model: verdict, probability, kind of trigger, distance from the reference.

        Parameters
        ----------
        readings : the streams' readings of that model. An alarm of a meta-model that compares classes needs a ground
            among them.
        recovered : share of clean networks that give way as far to the trigger recovered for the meta-model's class
            (:func:`ti_core.detector.recovery.share_beyond`); NaN if none was recovered.
        unlike : in what it is unlike the reference models (:func:`ti_core.detector.likeness.unlike`).
        row : the model's place among those judged.
        """
        c = self.detector.calibration
        found = self.detector.assess(self.rows[row], weight(recovered))
        if self.class_scores:
            found = grounded(found, readings or {}, recovered)
        found = surer(found, unlike)
        own = {name: odds[row : row + 1] for name, odds in self.alternatives.by_stream.items()}
        return Alternatives(own).assess(found, c.low, c.high)


@dataclass(frozen=True)
class Judge:
    """The meta-models of a set of streams: shipped with the pack where they fit, else fitted to its members.

    Parameters
    ----------
    reference : the reference side.
    streams : those that take part, in the order they report.
    fitted : by stream, the stacked evidence of the fitted members. A stream's evidence is needed once it is judged.
    """

    reference: Reference
    streams: Sequence[Stream]
    fitted: Mapping[str, Evidence]

    @property
    def paper_stream(self) -> Stream | None:
        """The stream on Algorithm 1's probes, which has a meta-model of its own."""
        return next((s for s in self.streams if s.on_probes), None)

    @property
    def deep_streams(self) -> list[Stream]:
        """The streams that the joint meta-model compares class by class: those of the pack, if there are any.

        A stream that the pack was not made with only tells what it finds: the pack left it out where it did harm.
        """
        found = [s for s in self.streams if not s.on_probes and not s.alternative and _compares_classes(s)]
        return [s for s in found if s.name in self.reference.pack.settings.streams] or found

    @cached_property
    def paper(self) -> Detector | None:
        """The paper's meta-model, on the stacked histograms."""
        stream = self.paper_stream
        return None if stream is None else self.reference.paper_detector(stream, self.fitted[stream.name])

    @cached_property
    def joint(self) -> Detector | None:
        """The meta-model over all streams; None without a deep stream."""
        if not self.deep_streams:
            return None
        return self.reference.joint_detector(
            self.deep_streams, self.fitted, self.paper, self.streams, self._added
        )

    def _added(self, probability: NDArray[np.floating]) -> NDArray[np.floating]:
        """The fitted members' probabilities of any backdoor, from those of the meta-model."""
        clean = self.reference.labels == "clean"
        return Alternatives.of(self.streams, self.fitted, self._clean, clean).added(probability)

    @cached_property
    def _clean(self) -> dict[str, dict[str, Array]]:
        """By stream, the evidence of the clean fitted members."""
        return {name: self.reference.clean(stacked) for name, stacked in self.fitted.items()}

    def by_paper(self, own: Mapping[str, Evidence]) -> Judgement:
        """The paper's meta-model on models whose stacked evidence is ``own``; its stream must be one of the streams."""
        stream, detector = self.paper_stream, self.paper
        assert stream is not None and detector is not None
        clean = self.reference.clean(self.fitted[stream.name])
        return Judgement(detector, stream.features(own[stream.name], clean).matrix)

    def jointly(
        self, own: Mapping[str, Evidence], accuracy: Sequence[float], paper: Judgement | None
    ) -> Judgement:
        """The joint meta-model on models whose stacked evidence is ``own``; there must be a deep stream.

        Parameters
        ----------
        accuracy : their clean accuracies, ``R`` in [0, 1].
        paper : what the paper's meta-model said of them, where it took part.
        """
        assert self.joint is not None
        scores = self.reference.class_scores(self.deep_streams, self.fitted, own)
        odds = None if paper is None else log_odds(paper.probability)
        rows = self.reference.joint_rows(scores, accuracy, odds)[1]
        return self.with_alternatives(Judgement(self.joint, rows, scores), own)

    def unlike(
        self, network: torch.nn.Module, accuracy: float, evidence: Mapping[str, Evidence], found: Judgement
    ) -> tuple[str, ...]:
        """In what a network is unlike the clean fitted members, a sentence each, and how it stands beside the nearest.

        Parameters
        ----------
        network, accuracy, evidence : the network, its clean accuracy, and its evidence by stream.
        found : what the joint meta-model says of it.
        """
        margins, own = self.fitted.get(MARGINS, {}).get("scale"), evidence.get(MARGINS, {}).get("scale")
        shapes = [v.shape for v in network.state_dict().values() if v.is_floating_point()]
        suspect = traits(*size_of(shapes), accuracy, None if own is None else float(own[0]))
        fitted = self.reference.fitted
        clean = [i for i, m in enumerate(fitted) if not m.trojaned]
        members = [
            traits(
                *self.reference.pack.size(fitted[i]),
                fitted[i].clean_accuracy,
                None if margins is None else float(margins[i, 0]),
            )
            for i in clean
        ]
        said = unlike(suspect, members)
        if not said:
            return ()
        strengths = found.detector.reference[:, 0]
        others = [float(strengths[clean[i]]) for i in nearest(suspect, members)]
        return *said, beside_nearest(float(found.rows[0, 0]), others)

    def share_beyond(self, own: Recovery | None, member: str = "") -> float:
        """Share of the clean fitted members that give way as far to a recovered trigger; NaN if that is not known.

        Parameters
        ----------
        member : the id of a member that is not compared with itself.
        """
        clean = (m for m in self.reference.fitted if not m.trojaned and m.id != member)
        known = [m.recovered for m in clean if m.recovered is not None]
        return math.nan if own is None else share_beyond(own, known)

    def readings(self, own: Mapping[str, Evidence], row: int) -> dict[str, Reading]:
        """What the streams find in one of the models whose stacked evidence is ``own``."""
        names = self.reference.pack.class_names
        return {
            s.name: s.read({k: v[row] for k, v in own[s.name].items()}, self._clean.get(s.name, {}), names)
            for s in self.streams
            if own.get(s.name) and (s.by_itself or self._clean.get(s.name))
        }

    def with_alternatives(self, found: Judgement, own: Mapping[str, Evidence]) -> Judgement:
        """With the odds of the backdoors that the meta-model does not see: other mappings, and gates in the graph."""
        return replace(found, alternatives=Alternatives.of(self.streams, own, self._clean))


def _compares_classes(stream: Stream) -> bool:
    """Whether a stream says how suspicious each class is."""
    return type(stream).class_scores is not Stream.class_scores
