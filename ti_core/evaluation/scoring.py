"""Members scored by detectors that other members were fitted to."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from ti_core.paper.probes import Probes
from ti_core.reference.judge import Judge, Judgement
from ti_core.reference.pack import Member, Pack
from ti_core.reference.reference import Reference
from ti_core.settings import Settings
from ti_core.streams import Evidence, Stream, make_streams
from ti_core.streams.base import Array, Progress, silent
from ti_core.system.cache import Cache


@dataclass(frozen=True)
class Scored:
    """Members with the probability one detector gives them and the target class its streams name (-1: none).

    ``high`` and ``low`` are the detector's thresholds, for each member (``R``): members that several detectors
    scored may stand together.
    """

    members: tuple[Member, ...]
    probability: NDArray[np.floating]
    target: NDArray[np.int_]
    high: NDArray[np.floating]
    low: NDArray[np.floating]

    def together(self, other: Scored) -> Scored:
        """Both, one after the other."""
        return Scored(
            self.members + other.members,
            np.concatenate([self.probability, other.probability]),
            np.concatenate([self.target, other.target]),
            np.concatenate([self.high, other.high]),
            np.concatenate([self.low, other.low]),
        )


def score_held_out(reference: Reference) -> dict[str, Scored]:
    """The held-out members' probabilities under the pack's detectors: "saliency", and "joint" for all streams."""
    streams = make_streams(reference.settings)
    probes = probes_for(reference, streams)
    fitted = {s.name: reference.evidence(s, probes) for s in streams}
    tested = {s.name: reference.evidence(s, probes, held_out=True) for s in streams}
    return score(reference, fitted, tested, [m for m in reference.pack.members if m.held_out])


def score(
    reference: Reference,
    fitted: Mapping[str, Evidence],
    tested: Mapping[str, Evidence],
    members: Iterable[Member],
) -> dict[str, Scored]:
    """Probabilities of ``members``, whose stacked evidence is ``tested``, under detectors fitted to ``fitted``.

    The way of an inspection (:func:`ti_core.inspection.with_pack.inspect`), for many models at once.
    """
    members = tuple(members)
    judge = Judge(reference, make_streams(reference.settings), fitted)
    found: dict[str, Judgement] = {}
    if judge.paper_stream:
        found["saliency"] = judge.by_paper(tested)
    if judge.deep_streams:
        found["joint"] = judge.jointly(tested, [m.clean_accuracy for m in members], found.get("saliency"))
    return {name: _scored(members, judgement) for name, judgement in found.items()}


def _scored(members: tuple[Member, ...], found: Judgement) -> Scored:
    c, p = found.detector.calibration, found.probability
    return Scored(members, p, found.target, np.full(len(p), c.high), np.full(len(p), c.low))


def probes_for(reference: Reference, streams: Iterable[Stream]) -> Probes | None:
    """The probes, where the pack ships no saliency evidence at these settings."""
    needed = any(s.on_probes and not reference.serves_baseline(s) for s in streams)
    return reference.probes() if needed else None


def evidence_of_all(
    reference: Reference, streams: Iterable[Stream], progress: Progress = silent
) -> dict[str, dict[str, Array]]:
    """By stream, the stacked evidence of every member, fitted or held out, in the pack's order."""
    streams = list(streams)
    probes = probes_for(reference, streams)
    order = np.concatenate([reference.pack.where(fitted=True), reference.pack.where(fitted=False)])
    found = {}
    for stream in streams:
        parts = [reference.evidence(stream, probes, progress)]
        if len(reference.fitted) < len(order):
            parts.append(reference.evidence(stream, probes, progress, held_out=True))
        found[stream.name] = {
            key: np.concatenate([part[key] for part in parts])[np.argsort(order)] for key in parts[0]
        }
    return found


def split_pack(
    pack: Pack,
    settings: Settings,
    streams: Iterable[Stream],
    evidence: Mapping[str, Evidence],
    fit: NDArray[np.intp],
    test: NDArray[np.intp],
) -> Reference:
    """The reference side of a pack that was fitted to the members ``fit`` and holds out the members ``test``.

    Parameters
    ----------
    evidence : of all members of ``pack`` at these settings (:func:`evidence_of_all`).
    fit, test : indices of members; those in neither are left out of both.
    """
    members = [replace(pack.members[i], held_out=False) for i in fit]
    members += [replace(pack.members[i], held_out=True) for i in test]
    record = {
        **pack.record,
        "settings": settings.as_dict(),
        "stream_versions": {s.name: s.version for s in streams},
        "detectors": {},
    }
    split = Pack(pack.folder, record, pack.sha256, tuple(members))
    rows = np.concatenate([fit, test])
    # What would be read from the pack's file is given instead.
    vars(split)["baseline"] = {name: {k: v[rows] for k, v in e.items()} for name, e in evidence.items()}
    return Reference(split, settings, Cache(None))
