"""The reference side of an inspection: the reference models' evidence, and the detectors fitted to it.

Algorithm 1, lines 9 to 17 of the paper, over every reference model. At the pack's own settings the evidence comes from
the pack's baseline. At other settings it is computed, or read from the cache. A verdict never compares evidence made at
different settings.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from ti_core.detector.detector import Detector, fit_detector, load_detector
from ti_core.detector.joint import fewer_mistakes, joint_features
from ti_core.detector.metamodels import Anchored, Boosting, Fitter, Floats, files_of
from ti_core.detector.thresholds import log_odds
from ti_core.errors import PackError
from ti_core.reference.pack import Member, Pack
from ti_core.settings import Settings
from ti_core.streams import Context, Evidence, Stream, make_streams, stack
from ti_core.streams.base import Array, Progress, silent
from ti_core.system.cache import Cache

if TYPE_CHECKING:
    from ti_core.classifier.scores import Scores
    from ti_core.paper.probes import Probes

PAPER, JOINT = "saliency", "detector"
"""Names of the two meta-models in a pack: the paper's own, and the one over all streams."""
JOINT_FITTER = Anchored()
OTHERS = 16
"""Minimum number of clean members of other architectures. With fewer, a member is compared with all clean members."""


@dataclass
class Reference:
    """The reference side of an inspection.

    Parameters
    ----------
    pack, settings : of the inspection.
    cache : keeps the evidence that the pack's baseline does not hold.
    device : "cpu" or "cuda"; probes are made and models run there.
    """

    pack: Pack
    settings: Settings
    cache: Cache
    device: str = "cpu"
    _stacks: dict[tuple[str, str, bool], dict[str, Array]] = field(default_factory=dict)

    @property
    def fitted(self) -> list[Member]:
        return [m for m in self.pack.members if not m.held_out]

    @property
    def labels(self) -> NDArray[np.str_]:
        return np.array([m.label for m in self.fitted])

    @property
    def at_pack_settings(self) -> bool:
        """Whether the pack's baseline was made with the same probes."""
        return self._recorded("probes")

    def ships(self, streams: Sequence[Stream]) -> bool:
        """Whether the pack's own joint detector was fitted to exactly these streams at these settings.

        Streams of other mappings and of gates take no part in it.
        """
        compared = [s for s in streams if not s.alternative]
        fitted = make_streams(Settings.parse(self.pack.record["settings"]))
        return (
            [s.name for s in compared] == [s.name for s in fitted if not s.alternative]
            and self._recorded("profile")
            and all(map(self.serves_baseline, compared))
        )

    def _recorded(self, *stages: str) -> bool:
        recorded = Settings.parse(self.pack.record["settings"])
        return recorded.of_stage(*stages) == self.settings.of_stage(*stages)

    def probes(self, suspect: Scores | None = None, progress: Progress = silent) -> Probes:
        """Algorithm 1, lines 3 to 8, with a randomly drawn trojaned reference model, or with the suspect."""
        from ti_core.paper.probes import choose_images, make_probes

        images = choose_images(self.pack.images, self.pack.labels, self.settings)[0].to(self.device)
        if self.settings.probes_from == "suspect":
            if suspect is None:
                raise PackError("Probes made with the suspect need a suspect.")
            return make_probes(suspect, images, self.settings, progress)
        return make_probes(self.scores(self.maker()), images, self.settings, progress)

    def scores(self, member: Member) -> Scores:
        """The member's network on this device."""
        return self.pack.scores(member).to(self.device)

    def maker(self) -> Member:
        """Algorithm 1, line 4: the randomly drawn trojaned reference model that the probes are made with."""
        trojaned = [m for m in self.fitted if m.trojaned]
        return trojaned[int(np.random.default_rng([self.settings.seed, 4]).integers(len(trojaned)))]

    def context(self, probes: Probes | None, found: Mapping[str, Evidence] | None = None) -> Context:
        images, labels = self.pack.images.to(self.device), self.pack.labels.to(self.device)
        classes = len(self.pack.class_names)
        return Context(images, labels, classes, self.settings, probes, found=found or {})

    def serves_baseline(self, stream: Stream) -> bool:
        """Whether the pack ships this stream's evidence at these settings."""
        same = not stream.on_probes or self.at_pack_settings
        return self.pack.record["stream_versions"].get(stream.name) == stream.version and same

    def evidence(
        self, stream: Stream, probes: Probes | None, progress: Progress = silent, held_out: bool = False
    ) -> dict[str, Array]:
        """The stacked evidence of the fitted members (or of those held out from fitting).

        A stream that judges by itself has none where the pack does not hold it.
        """
        if self.serves_baseline(stream):
            rows = self.pack.where(fitted=not held_out)
            return {k: v[rows] for k, v in self.pack.evidence_of(stream.name).items()}
        if stream.by_itself:
            return {}
        key = (stream.name, probes.digest if stream.on_probes and probes else "", held_out)
        if key not in self._stacks:
            members = [m for m in self.pack.members if m.held_out == held_out]
            self._stacks[key] = self._compute(stream, members, probes, progress)
        return self._stacks[key]

    def to_compute(self, stream: Stream) -> int:
        """The number of fitted members whose evidence neither the pack nor the cache holds.

        The evidence from probes is looked for in the pack alone, since its key is known only with the probes.
        """
        if self.serves_baseline(stream) or stream.by_itself:
            return 0
        if stream.on_probes:
            return len(self.fitted)
        keys = (evidence_key(stream, self.pack.member_name(m), self.pack, None) for m in self.fitted)
        return sum(not self.cache.holds(key) for key in keys)

    def _compute(
        self, stream: Stream, members: list[Member], probes: Probes | None, progress: Progress
    ) -> dict[str, Array]:
        everything: list[Evidence] = []
        for i, member in enumerate(members):
            everything.append(self.member_evidence(stream, member, probes))
            progress((i + 1) / len(members))
        return stack(everything)

    def member_evidence(
        self,
        stream: Stream,
        member: Member,
        probes: Probes | None,
        found: Mapping[str, Evidence] | None = None,
    ) -> dict[str, Array]:
        """One member's evidence, computed on this device, or read from the cache.

        ``found`` is its evidence of other streams, by name; by default what the pack holds.
        """
        if found is None:
            held, ours = self.pack.evidence_of_member(member), make_streams(self.pack.settings)
            found = {s.name: held[s.name] for s in ours if self.serves_baseline(s)}
        return self.cache.arrays(
            evidence_key(stream, self.pack.member_name(member), self.pack, probes),
            lambda: stream.evidence(self.scores(member), self.context(probes, found)),
        )

    def clean(self, stacked: Evidence) -> dict[str, Array]:
        """The rows of the fitted members' stacked evidence that belong to clean models."""
        chosen = self.labels == "clean"
        return {k: v[chosen] for k, v in stacked.items()}

    def matrix(self, stream: Stream, stacked: Evidence) -> tuple[tuple[str, ...], Array]:
        """Feature names and features ``R x F`` of the fitted members."""
        with self.pack.faults_of(stream.name):
            features = stream.features(stacked, self.clean(stacked), self.labels == "clean")
        return features.names, features.matrix

    def paper_detector(self, stream: Stream, stacked: Evidence) -> Detector:
        """The paper's meta-model on the stacked histograms: the pack's own where it fits these settings."""
        names, matrix = self.matrix(stream, stacked)
        shipped = self.pack.record["detectors"].get(PAPER)
        if shipped and self.serves_baseline(stream) and self._recorded("profile"):
            self._check(PAPER)
            return load_detector(self.pack.folder, PAPER, shipped, np.asarray(matrix, dtype=np.float64))
        return self._fit(names, matrix, Boosting(weights=stream.weights(names)))

    def class_scores(
        self,
        streams: Sequence[Stream],
        stacked: Mapping[str, Evidence],
        own: Mapping[str, Evidence] | None = None,
    ) -> dict[str, Array]:
        """By stream, how suspicious each class is of the fitted members, or of the models whose evidence is ``own``."""
        found: dict[str, Array] = {}
        for stream in streams:
            fitted = stacked[stream.name]
            with self.pack.faults_of(stream.name):
                if own is None:
                    scores = self._class_scores_of_fitted(stream, fitted)
                else:
                    scores = stream.class_scores(own[stream.name], self.clean(fitted))
            if scores is not None:
                found[stream.name] = scores
        return found

    def _class_scores_of_fitted(self, stream: Stream, fitted: Evidence) -> Array | None:
        """Class scores of the fitted members, each compared with the clean members of other architectures.

        A suspect's architecture is mostly not among the members' either. With fewer than :data:`OTHERS` such members,
        a member is compared with all other clean members.
        """
        clean = self.labels == "clean"
        scores = stream.class_scores(fitted, self.clean(fitted), clean)
        if scores is None:
            return None
        architectures = np.array([m.architecture for m in self.fitted])
        for architecture in np.unique(architectures):
            own = architectures == architecture
            others = clean & ~own
            if others.sum() >= OTHERS:
                parts = [{k: v[rows] for k, v in fitted.items()} for rows in (own, others)]
                scores[own] = stream.class_scores(parts[0], parts[1])
        return scores

    def joint_rows(
        self, scores: dict[str, Array], accuracy: Sequence[float], odds: NDArray[np.floating] | None
    ) -> tuple[tuple[str, ...], Array]:
        """Feature names and features ``R x F`` of the joint meta-model.

        Parameters
        ----------
        scores : from :meth:`class_scores`.
        accuracy : their clean accuracies, ``R`` in [0, 1].
        odds : the log-odds of the paper's meta-model, ``R``, as one more feature; None if it took no part.
        """
        ease = fewer_mistakes(accuracy, [m.clean_accuracy for m in self.fitted])
        features = joint_features(scores, ease)
        if odds is None:
            return features.names, features.matrix
        matrix = np.column_stack([features.matrix, odds]).astype(np.float32)
        return (*features.names, "saliency: log-odds"), matrix

    def joint_detector(
        self,
        streams: Sequence[Stream],
        stacked: Mapping[str, Evidence],
        paper: Detector | None,
        everyone: Sequence[Stream],
        added: Callable[[Floats], Floats],
    ) -> Detector:
        """The meta-model over the deep ``streams``: the pack's own where it was fitted to ``everyone``, all streams.

        Parameters
        ----------
        paper : the paper's meta-model, where it takes part.
        added : the fitted members' probabilities of any backdoor, from the meta-model's; see
            :func:`ti_core.detector.detector.fit_detector`.
        """
        accuracy = [m.clean_accuracy for m in self.fitted]
        odds = None if paper is None else log_odds(paper.oof)
        names, matrix = self.joint_rows(self.class_scores(streams, stacked), accuracy, odds)
        shipped = self.pack.record["detectors"].get(JOINT)
        if shipped and self.ships(everyone) and tuple(shipped["features"]) == names:
            self._check(JOINT)
            return load_detector(self.pack.folder, JOINT, shipped, np.asarray(matrix, dtype=np.float64))
        return self._fit(names, matrix, JOINT_FITTER, added)

    def _check(self, stem: str) -> None:
        for name in (*files_of(stem, self.pack.record["detectors"][stem]), f"{stem}-kind.cbm"):
            self.pack.checked(name)

    def _fit(
        self,
        names: tuple[str, ...],
        matrix: NDArray[np.floating],
        fitter: Fitter,
        added: Callable[[Floats], Floats] | None = None,
    ) -> Detector:
        groups = np.array([m.group for m in self.fitted])
        # A backdoor of another mapping raises no class.
        among = np.array([not m.trojaned or m.mapping == "all to one" for m in self.fitted])
        return fit_detector(names, matrix, self.labels, groups, self.settings.seed, fitter, among, added)


def evidence_key(stream: Stream, model: str, pack: Pack, probes: Probes | None) -> str:
    """The cache key of one model's evidence. It covers everything that the arrays depend on."""
    shown = pack.record["files"]["images.npz"]
    if stream.on_probes:
        shown = "" if probes is None else probes.digest
    parts: list[Any] = ["evidence", stream.name, stream.version, model, shown]
    return "evidence/" + hashlib.sha256(json.dumps(parts).encode()).hexdigest()
