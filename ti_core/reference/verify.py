"""``pack verify``: recompute a pack's figures and evidence, and compare them with its record."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from ti_core.errors import PackError
from ti_core.reference.judge import Judge
from ti_core.reference.pack import Member, Pack
from ti_core.reference.reference import Reference
from ti_core.streams import make_streams
from ti_core.streams.searches.screening import searched_part
from ti_core.system.cache import Cache

ACCURACY_TOLERANCE = 0.08
"""Tolerance of clean accuracy and attack success: the pack has fewer images than the whole test set."""
EVIDENCE_TOLERANCE = 0.02
"""Tolerance of recomputed evidence, as a median relative difference: processors round gradients differently."""


def verify_pack(
    pack: Pack, members: int | None = 6, say: Callable[[str], None] = lambda line: None
) -> list[str]:
    """Check digests, the members' accuracy and attack success, and their evidence against the baseline.

    Parameters
    ----------
    members : number of members to recompute, evenly spread over the pack; None for all.
    say : called with a sentence after each check.

    Returns
    -------
    One sentence for every problem. Empty if the pack verifies.
    """
    problems = check_files(pack)
    if problems:
        return problems
    say(f"{len(pack.record['files'])} files have the recorded digests.")
    count = len(pack.members) if members is None else min(members, len(pack.members))
    chosen = np.unique(np.linspace(0, len(pack.members) - 1, count).round().astype(int))
    settings = pack.settings
    streams = make_streams(settings)
    if stale := stale_streams(pack):
        return [
            f"The evidence of {', '.join(stale)} is of another version of the program; pack renew makes it anew."
        ]
    reference = Reference(pack, settings, Cache(None))
    _load_detectors(reference)
    context = reference.context(reference.probes())
    for index in chosen:
        member = pack.members[index]
        found = _behaviour(pack, member)
        scores = pack.scores(member)
        for stream in streams:
            arrays = stream.evidence(scores, context)
            known = {key: values[index] for key, values in pack.evidence_of(stream.name).items()}
            for key in arrays:
                with pack.faults_of(stream.name):
                    value, recorded = searched_part(arrays[key], known), searched_part(known[key], known)
                    difference = np.median(
                        np.abs(value - recorded) / (np.abs(recorded) + 1e-3 * np.abs(recorded).max() + 1e-9)
                    )
                if not difference <= EVIDENCE_TOLERANCE:
                    found.append(f"{member.id}: {stream.name} evidence {key} differs by {difference:.1%}.")
        say(f"{member.id}: " + (" ".join(found) if found else "accuracy, attack and evidence as recorded."))
        problems += found
    return problems


def _load_detectors(reference: Reference) -> None:
    """Load the pack's detectors. Raises PackError for one that is damaged or does not fit the evidence."""
    if not reference.pack.record["detectors"]:
        return
    streams = make_streams(reference.settings)
    judge = Judge(reference, streams, {s.name: reference.evidence(s, None) for s in streams})
    for detector in (judge.paper, judge.joint):
        if detector is not None and not np.isfinite(detector.logit(detector.reference)).all():
            raise PackError(f"A detector of pack {reference.pack.name!r} gives no finite log-odds.")


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
