"""Members scored by detectors that other members were fitted to."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from ti_core.paper.probes import Probes
from ti_core.reference.judge import Judge, Judgement
from ti_core.reference.pack import Member, Pack
from ti_core.reference.reference import Reference
from ti_core.settings import Settings
from ti_core.streams import Evidence, Reading, Stream, make_streams
from ti_core.streams.base import Array, FoundMapping, Progress, silent
from ti_core.system.cache import Cache


@dataclass(frozen=True)
class Scored:
    """Members and what one detector says of each.

    Parameters
    ----------
    probability : of a backdoor, ``R`` in [0, 1].
    leads : where the backdoor leads that the detector suspects, ``R``; None where it names no class.
    verdicts : "clean", "inconclusive" or "backdoored", ``R``.
    low, high : the detector's thresholds, for each member: members that several detectors scored may stand together.
    """

    members: tuple[Member, ...]
    probability: NDArray[np.floating]
    leads: tuple[FoundMapping | None, ...]
    verdicts: NDArray[np.str_]
    low: NDArray[np.floating]
    high: NDArray[np.floating]

    @property
    def called(self) -> NDArray[np.bool_]:
        """Which members are called backdoored, ``R``."""
        return np.asarray(self.verdicts == "backdoored")

    def together(self, other: Scored) -> Scored:
        """Both, one after the other."""
        return Scored(
            self.members + other.members,
            np.concatenate([self.probability, other.probability]),
            self.leads + other.leads,
            np.concatenate([self.verdicts, other.verdicts]),
            np.concatenate([self.low, other.low]),
            np.concatenate([self.high, other.high]),
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
    return {name: _scored(judge, members, judgement, tested) for name, judgement in found.items()}


def _scored(
    judge: Judge, members: tuple[Member, ...], found: Judgement, tested: Mapping[str, Evidence]
) -> Scored:
    c = found.detector.calibration
    said, leads = [], []
    for row, (p, member) in enumerate(zip(found.probability, members, strict=True)):
        target, leading, recovered = int(found.target[row]), found.leading[row], math.nan
        # Below the lower threshold nothing needs a ground, and no trigger is recovered.
        readings = judge.readings(tested, row) if p >= c.low else {}
        known = member.recovered
        if p >= c.low and leading is None and known is not None and known.target == target:
            recovered = judge.share_beyond(known, member.id)
        said.append(found.assess(readings, recovered, row=row))
        leads.append(_leads(target, leading, readings))
    return Scored(
        members,
        np.array([a.probability for a in said]),
        tuple(leads),
        np.array([a.verdict for a in said], dtype=np.str_),
        *(np.full(len(said), c.low), np.full(len(said), c.high)),
    )


def _leads(target: int, leading: str | None, readings: Mapping[str, Reading]) -> FoundMapping | None:
    """Where the backdoor leads: as the leading stream says, or else all images to ``target``."""
    reading = None if leading is None else readings.get(leading)
    if reading is not None and reading.mapping is not None:
        return reading.mapping
    own = target if reading is None else reading.target
    return None if own is None or own < 0 else FoundMapping("all to one", int(own))


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
