"""Table 1 of the paper on the held-out members: accuracy and AUC, with intervals."""

from __future__ import annotations

from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ti_core.errors import PackError
from ti_core.evaluation.rates import auc, auc_interval
from ti_core.evaluation.scoring import Scored, score_held_out
from ti_core.kinds import MAPPINGS, MappingKind
from ti_core.reference.families import HARD_NEGATIVES, mapping_of, performance_key
from ti_core.reference.pack import Member, Pack
from ti_core.reference.reference import Reference
from ti_core.settings import Settings
from ti_core.streams.base import FoundMapping
from ti_core.system.cache import Cache

FAMILIES = ("standard", "challenge")
"""Families of trojans whose rows come first. The row "all" combines every family."""
FIRST_KINDS = ("blend", "patch")
"""Kinds of trigger whose rows come first."""

MOST = 0.8
"""Share of the classes whose assignment must be right."""
HANDFUL = 5
"""Fewer networks of a side than these make figures that say little."""


@dataclass(frozen=True)
class Row:
    """One cell of Table 1.

    ``kind`` is that of the trigger, and ``mapping`` says where the backdoors lead. ``low`` and ``high`` are the ends of
    the 95 % interval of ``auc``. At the pack's upper threshold, ``found`` is the true positive rate, ``false_alarms``
    the false positive rate and ``accuracy`` the balanced accuracy. ``clean_called`` is the share of clean models that
    are called clean. ``hard_alarms`` is the share called backdoored of the ``hard`` clean models that detectors find
    hard (:data:`ti_core.reference.families.HARD_NEGATIVES`); None without such models. ``target`` is the share of the
    trojaned models that were found whose target class is right, or whose pair of source and target, or whose
    assignment; it is None if the streams name no class.
    """

    streams: str
    kind: str
    family: str
    clean: int
    trojaned: int
    auc: float
    low: float
    high: float
    accuracy: float
    found: float
    false_alarms: float
    clean_called: float
    target: float | None = None
    mapping: MappingKind = "all to one"
    hard: int = 0
    hard_alarms: float | None = None

    @property
    def what(self) -> str:
        """The kind of trigger, and any mapping but all to one."""
        return performance_key(self.kind, self.mapping)

    def as_dict(self) -> dict[str, Any]:
        """The row for a pack's record, which names no mapping that is all to one, and hard models only if there are."""
        found = asdict(self)
        if self.mapping == "all to one":
            del found["mapping"]
        if not self.hard:
            del found["hard"], found["hard_alarms"]
        return found


def evaluate(pack: Pack, settings: Settings | None = None, cache: Cache | None = None) -> list[Row]:
    """Table 1 on the held-out members of a pack, for the paper's stream alone and for all streams.

    Raises
    ------
    PackError : the pack has no held-out member.
    """
    settings = settings or pack.settings
    if not len(pack.where(fitted=False)):
        raise PackError(f"Pack {pack.name!r} holds no member out from fitting; nothing can be evaluated.")
    reference = Reference(pack, settings, cache or Cache(None))
    rows: list[Row] = []
    for which, scored in score_held_out(reference).items():
        rows += table(which, scored)
    return rows


def table(which: str, scored: Scored) -> list[Row]:
    """The rows of every kind of trigger and mapping, for every family with a member and for all families together."""
    rows = []
    for kind, mapping in kinds_of(scored):
        own = {m.family for m in scored.members if (m.label, mapping_of(m.family)) == (kind, mapping)}
        for family in (*_first(own, FAMILIES), "all"):
            row = row_of(which, kind, scored, family, mapping)
            if row is not None:
                rows.append(row)
    return rows


def kinds_of(scored: Scored) -> list[tuple[str, MappingKind]]:
    """The kinds and mappings of the trojaned members."""
    found = {(m.label, mapping_of(m.family)) for m in scored.members if m.trojaned}
    kinds = _first({kind for kind, _ in found}, FIRST_KINDS)
    return sorted(found, key=lambda pair: (MAPPINGS.index(pair[1]), kinds.index(pair[0])))


def _first(names: set[str], first: tuple[str, ...]) -> list[str]:
    """The names, those in ``first`` before the others."""
    return sorted(names, key=lambda name: (first.index(name) if name in first else len(first), name))


def row_of(
    which: str, kind: str, scored: Scored, family: str = "all", mapping: MappingKind = "all to one"
) -> Row | None:
    """The row of one kind, mapping and family against all clean members; None if either side is empty."""
    clean = np.array([m.label == "clean" for m in scored.members], dtype=bool)
    bad = np.array(
        [
            (m.label, mapping_of(m.family)) == (kind, mapping) and family in ("all", m.family)
            for m in scored.members
        ],
        dtype=bool,
    )
    if not bad.any() or not clean.any():
        return None
    return replace(_row(which, kind, family, scored, clean, bad), mapping=mapping)


def _row(
    which: str, kind: str, family: str, scored: Scored, clean: NDArray[np.bool_], bad: NDArray[np.bool_]
) -> Row:
    p, called = scored.probability, scored.called
    area = auc(p[clean], p[bad])
    low, high = auc_interval(area, int(clean.sum()), int(bad.sum()))
    hit = np.flatnonzero(bad & called)
    found, alarms = float(called[bad].mean()), float(called[clean].mean())
    names_targets = any(found is not None for found in scored.leads)
    hard = clean & np.array([m.family in HARD_NEGATIVES for m in scored.members])
    right = [_right(scored.members[i], scored.leads[i]) for i in hit]
    return Row(
        streams=which,
        kind=kind,
        family=family,
        clean=int(clean.sum()),
        trojaned=int(bad.sum()),
        auc=area,
        low=low,
        high=high,
        accuracy=(found + 1 - alarms) / 2,
        found=found,
        false_alarms=alarms,
        clean_called=float((scored.verdicts == "clean")[clean].mean()),
        target=float(np.mean(right)) if names_targets and right else None,
        hard=int(hard.sum()),
        hard_alarms=float(called[hard].mean()) if hard.any() else None,
    )


def _right(member: Member, found: FoundMapping | None) -> bool:
    """Whether a member's backdoor leads where it was found to lead: the target, the pair, or most of the assignment."""
    if found is None or found.kind != member.mapping:
        # The target of a backdoor of one source class is right, too, where the source is not told.
        return found is not None and found.target is not None and found.target == member.target_class
    if member.mapping == "all to all":
        return bool(np.mean(np.equal(found.assignment, member.assignment)) >= MOST)
    return (found.target, found.source) == (member.target_class, member.source_class)


PAPER_AUC: dict[str, dict[str, float]] = {
    "mnist": {"blend": 0.81, "patch": 0.60},
    "cifar10": {"blend": 0.80, "patch": 0.55},
    "cifar100": {"blend": 0.86, "patch": 0.68},
    "gtsrb": {"blend": 0.88, "patch": 0.53},
}
"""Table 1 of the paper: AUC of its CatBoost meta-model."""
