"""What the recovery of a trigger does to a pack's members. A suspect's recovered trigger is held against it."""

from __future__ import annotations

from functools import lru_cache, partial
from pathlib import Path
from typing import Any

from ti_core.detector.joint import suspected
from ti_core.inspection.trigger_recovery import recover_trigger
from ti_core.reference.judge import Judge
from ti_core.reference.pack import Pack, load_pack
from ti_core.reference.reference import Reference
from ti_core.streams.base import Evidence
from ti_core.system.cache import Cache
from ti_core.system.parallel import ordered, run_many
from ti_core.system.progress import CountProgress, silent_count


def recoveries(
    reference: Reference,
    judge: Judge,
    jobs: int = -1,
    engine: str = "local",
    progress: CountProgress = silent_count,
) -> list[dict[str, Any]]:
    """By member, in the pack's order, the record of its recovered trigger (:attr:`Member.recovery`).

    The trigger is made for the class that the joint score suspects, as in an inspection.

    Parameters
    ----------
    judge : of the pack's streams and fitted members; there must be a deep stream.
    jobs, engine : see :func:`ti_core.system.parallel.run_many`.
    """
    targets: dict[str, int] = {}
    for held_out in (False, True):
        members = [m for m in reference.pack.members if m.held_out == held_out]
        if members:
            own = {s.name: reference.evidence(s, None, held_out=held_out) for s in judge.deep_streams}
            found = suspected(
                reference.class_scores(judge.deep_streams, judge.fitted, own if held_out else None)
            )
            targets |= {m.id: int(k) for m, k in zip(members, found, strict=True)}
    work = partial(_recovery, str(reference.pack.folder), reference.pack.sha256, targets)
    return ordered(run_many(work, range(len(reference.pack.members)), jobs, engine, progress))


@lru_cache(maxsize=1)
def _opened(folder: str, digest: str) -> Pack:
    """The pack with that digest. Each process opens it once."""
    return load_pack(Path(folder))


def _recovery(folder: str, digest: str, targets: dict[str, int], index: int) -> dict[str, Any]:
    import torch

    torch.set_num_threads(1)
    pack = _opened(folder, digest)
    member, reference = pack.members[index], Reference(pack, pack.settings, Cache(None))
    context = reference.context(None)
    windowed: Evidence | None = None
    if "windowed" in pack.baseline:
        windowed = {key: values[index] for key, values in pack.baseline["windowed"].items()}
    target = targets[member.id]
    scores = reference.scores(member).eval().requires_grad_(False)
    found = recover_trigger(scores, context.images, context.labels, target, windowed)
    if found is None:
        return {"target_class": target, "flip_share": 0.0, "change": 1.0}
    return {
        "target_class": target,
        "flip_share": round(found.flip_share, 4),
        "change": round(found.change, 4),
    }
