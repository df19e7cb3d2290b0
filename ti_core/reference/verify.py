"""``pack verify``: recompute a pack's figures and evidence, and compare them with its record."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

import numpy as np

from ti_core.detector.joint import combined
from ti_core.errors import PackError
from ti_core.reference.judge import Judge
from ti_core.reference.pack import Member, Pack
from ti_core.reference.reference import Reference
from ti_core.streams import Context, Evidence, make_streams
from ti_core.streams.base import Progress, as_stack
from ti_core.system.cache import Cache
from ti_core.system.progress import StageProgress, silent_stage

ACCURACY_TOLERANCE = 0.08
"""Tolerance of clean accuracy and attack success: the pack has fewer images than the whole test set."""
PROBABILITY_TOLERANCE = 0.1
"""Tolerance of the probability that the recomputed evidence leads to. Processors round differently, and the searches
amplify that. It is five times the largest change that ``python -m benchmarks.steadiness`` measured: .018, over 40
members of mnist, three sets of vector instructions, and one thread and two (``docs/performance.md``)."""
SCORE_TOLERANCE = 0.5
"""Tolerance of the joint score of the most suspicious class, in deviations: five times the largest change, .09."""
SCORE_SHARE = 0.1
"""The same, as a share of the recorded score, where that is more. A score far beyond the thresholds changes more, and
decides no less: a backdoored member of cifar100 had 11.0 on a processor without AMX, recorded 11.7."""
USUAL_SECONDS = 90.0
"""Time for recomputing members, if no number of them is asked for. A member that has begun is finished."""


def verify_pack(
    pack: Pack,
    members: int | None = None,
    say: Callable[[str], None] = lambda line: None,
    tell: StageProgress = silent_stage,
    seconds: float = USUAL_SECONDS,
) -> list[str]:
    """Check digests, the members' accuracy and attack success, and what their evidence leads to.

    The evidence of some members is computed anew. Its values differ from processor to processor. What is compared is
    what a verdict rests on: the probability, and the joint score of the most suspicious class.

    Parameters
    ----------
    members : number of members to recompute, evenly spread over the pack; 0 for all, None for as many as ``seconds``
        allow, and at least one.
    say : called with a sentence after each check.
    tell : called with the stage and the share that is done.

    Returns
    -------
    One sentence for every problem. Empty if the pack verifies.
    """
    problems = check_files(pack)
    if problems:
        return problems
    say(f"{len(pack.record['files'])} files have the recorded digests.")
    if stale := stale_streams(pack):
        return [
            f"The evidence of {', '.join(stale)} is of another version of the program; pack renew makes it anew."
        ]
    reference = Reference(pack, pack.settings, Cache(None))
    verdicts = Verdicts(reference) if pack.record["detectors"] else None
    context = reference.context(reference.probes())
    until, finished = time.monotonic() + seconds, 0
    for done, index in enumerate(chosen := chosen_members(len(pack.members), members)):
        if members is None and done and time.monotonic() > until:
            break
        member = pack.members[index]

        def share(
            part: float, stage: str = f"{member.id}: computing its evidence anew", done: int = done
        ) -> None:
            by_time = 1 - (until - time.monotonic()) / seconds if members is None and seconds else 0.0
            tell(stage, min(1.0, max((done + part) / len(chosen), by_time)))

        found = _behaviour(pack, member)
        fresh = _fresh(reference, member, context, share)
        if verdicts is not None:
            found += verdicts.differences(member, index, fresh)
        say(f"{member.id}: " + (" ".join(found) if found else "accuracy, attack and verdict as recorded."))
        problems += found
        finished += 1
    say(f"{finished} of {len(chosen)} members were computed anew.")
    return problems


def chosen_members(count: int, wanted: int | None) -> list[int]:
    """Places of ``wanted`` members, evenly spread; of all (0); or of all in an order that spreads the first ones."""
    if wanted:
        places = np.linspace(0, count - 1, min(wanted, count)).round().astype(int)
        return [int(i) for i in np.unique(places)]
    order = range(count)
    if wanted == 0:
        return list(order)
    # The bits of the place, reversed (van der Corput's sequence).
    bits = max(1, (count - 1).bit_length())
    return sorted(order, key=lambda i: int(f"{i:0{bits}b}"[::-1], 2))


def _fresh(reference: Reference, member: Member, context: Context, tell: Progress) -> dict[str, Evidence]:
    streams = make_streams(reference.settings)
    scores = reference.pack.scores(member)
    found: dict[str, Evidence] = {}
    for place, stream in enumerate(streams):
        found[stream.name] = stream.evidence(
            scores,
            replace(context, found=found),
            lambda part, place=place: tell((place + part) / len(streams)),  # type: ignore[misc]
        )
    return found


class Verdicts:
    """What the pack's detectors say of members' evidence.

    Raises
    ------
    PackError : a detector is damaged or does not fit the evidence.
    """

    def __init__(self, reference: Reference) -> None:
        self._reference, self._streams = reference, make_streams(reference.settings)
        fitted = {s.name: reference.evidence(s, None) for s in self._streams}
        self._judge = Judge(reference, self._streams, fitted)
        for detector in (self._judge.paper, self._judge.joint):
            if detector is not None and not np.isfinite(detector.logit(detector.reference)).all():
                raise PackError(f"A detector of pack {reference.pack.name!r} gives no finite log-odds.")

    def of(self, evidence: Mapping[str, Evidence], member: Member) -> dict[str, Any]:
        """``probability``, ``verdict``, and ``score``: the joint score of the most suspicious class, in deviations."""
        own = {name: as_stack(arrays) for name, arrays in evidence.items()}
        paper = self._judge.by_paper(own) if self._judge.paper_stream is not None else None
        found = paper
        if self._judge.deep_streams:
            found = self._judge.jointly(own, [member.clean_accuracy], paper)
        assert found is not None
        together = combined(list(found.class_scores.values())) if found.class_scores else np.zeros((1, 1))
        return {
            "probability": float(found.probability[0]),
            "verdict": found.assess().verdict,
            "score": float(together.max()),
        }

    def recorded(self, index: int) -> dict[str, Any]:
        """The same of the evidence that the pack holds of a member."""
        pack = self._reference.pack
        stored = {
            s.name: {key: values[index] for key, values in pack.evidence_of(s.name).items()}
            for s in self._streams
        }
        return self.of(stored, pack.members[index])

    def differences(self, member: Member, index: int, fresh: Mapping[str, Evidence]) -> list[str]:
        """A sentence for each figure that is further from the recorded one than processors differ."""
        with self._reference.pack.faults_of("evidence"):
            found, recorded = self.of(fresh, member), self.recorded(index)
        lines = []
        of_score = max(SCORE_TOLERANCE, SCORE_SHARE * abs(recorded["score"]))
        for name, words, tolerance in (
            ("probability", "the probability", PROBABILITY_TOLERANCE),
            ("score", "the joint score", of_score),
        ):
            if not abs(found[name] - recorded[name]) <= tolerance:
                lines.append(f"{member.id}: {words} is {found[name]:.2f}, recorded {recorded[name]:.2f}.")
        return lines


def stale_streams(pack: Pack) -> tuple[str, ...]:
    """Names of the streams that have changed since the pack's evidence was made."""
    versions = pack.record["stream_versions"]
    return tuple(s.name for s in make_streams(pack.settings) if versions.get(s.name) != s.version)


def check_files(pack: Pack) -> list[str]:
    """Compare the digests of the pack's files with those it records; one sentence for every file that differs."""
    problems = []
    for name in pack.record["files"]:
        try:
            pack.checked(name)
        except PackError as error:
            problems.append(str(error))
    return problems


def _behaviour(pack: Pack, member: Member) -> list[str]:
    import torch

    scores = pack.scores(member)
    found = []
    with torch.no_grad():
        accuracy = float((scores(pack.images).argmax(1) == pack.labels).float().mean())
        if abs(accuracy - member.clean_accuracy) > ACCURACY_TOLERANCE:
            found.append(
                f"{member.id}: clean accuracy is {accuracy:.3f}, recorded {member.clean_accuracy:.3f}."
            )
        trigger = pack.trigger(member)
        if trigger is not None and member.attack_success is not None:
            others = pack.images[pack.labels != member.target_class]
            success = float((scores(trigger.stamp(others)).argmax(1) == member.target_class).float().mean())
            if abs(success - member.attack_success) > ACCURACY_TOLERANCE:
                found.append(
                    f"{member.id}: attack success is {success:.3f}, recorded {member.attack_success:.3f}."
                )
    return found
