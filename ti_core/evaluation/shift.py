"""Distribution shift: fit without one recipe, architecture or kind, and test on the one that was left out."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ti_core.errors import PackError, SettingsError
from ti_core.evaluation.scoring import Scored, evidence_of_all, score, split_pack
from ti_core.evaluation.table import FAMILIES, Row, kinds_of, row_of
from ti_core.reference.pack import Member, Pack
from ti_core.reference.reference import Reference
from ti_core.settings import Settings
from ti_core.streams import make_streams
from ti_core.system.cache import Cache
from ti_core.system.progress import StageProgress, silent_stage

MEMBERS = ("fitted", "held-out", "all")
"""The choices of members for an evaluation; see :func:`shift`."""

COUNTERPARTS = {"fine-tuned": "challenge"}
"""Families of clean members that are trained like a trojaned family. They are left out together with it."""

LEAST_GROUPS = 2
"""Minimum number of groups of each label for a fit. Cross-validation needs them to set the thresholds."""

FOLDS = 4
"""Number of parts that the left-out members are tested in, if most groups also have members that stay."""

WAYS = ("recipe", "architecture", "kind")
"""What is left out in turn."""
TOGETHER = "together"
"""Name in ``left_out`` of the rows that combine the members of all splits."""


@dataclass(frozen=True)
class ShiftRow:
    """The result without one recipe, architecture or kind, for one kind of trigger and one set of streams.

    ``by`` is "recipe", "architecture" or "kind", and ``left_out`` is its name. In rows named "together", ``left_out``
    combines the members of all splits, each scored by the detector of its own split. ``fitted`` is the number of
    members that the detectors were fitted to. ``dropped`` is the number of members kept out of the fit because they
    share a group with a tested member. Both are sums over splits.
    """

    by: str
    left_out: str
    fitted: int
    dropped: int
    row: Row

    @property
    def together(self) -> bool:
        """Whether this row combines the members of all splits."""
        return self.left_out == TOGETHER

    @property
    def title(self) -> str:
        """The part that was left out, as text."""
        return f"every {self.by} in turn" if self.together else f"{self.by} {self.left_out}"

    def as_dict(self) -> dict[str, Any]:
        return {
            "by": self.by,
            "left_out": self.left_out,
            "fitted": self.fitted,
            "dropped": self.dropped,
            **self.row.as_dict(),
        }


@dataclass(frozen=True)
class Shift:
    """The result of :func:`shift`: its rows, and a sentence for everything that could not be left out."""

    members: str
    rows: tuple[ShiftRow, ...]
    notes: tuple[str, ...]


@dataclass(frozen=True)
class Split:
    """Indices of the members to fit and to test.

    ``dropped`` members are in neither, because they share a group with a tested member. Several splits may have one
    name; each of them tests a part of the left-out members.
    """

    by: str
    left_out: str
    fit: NDArray[np.intp]
    test: NDArray[np.intp]
    dropped: int


def recipe_of(member: Member) -> str:
    """The recipe of a member: its family, or for clean counterparts the trojaned family that is trained alike."""
    return COUNTERPARTS.get(member.family, member.family)


def kinds_in(pack: Pack) -> list[str]:
    """The families of a pack that have trojaned members only."""
    families = {m.family for m in pack.members if m.trojaned}
    return sorted(families - {m.family for m in pack.members if not m.trojaned} - set(FAMILIES))


def shift(
    pack: Pack,
    settings: Settings | None = None,
    members: str = "fitted",
    cache: Cache | None = None,
    progress: StageProgress = silent_stage,
) -> Shift:
    """Leave-one-out over recipes, architectures and kinds, for the paper's stream alone and for all streams.

    Parameters
    ----------
    members : "fitted" takes both sides from the members that the pack's detector is fitted to. Features may be chosen
        by this result, since the held-out members stay unseen. "held-out" fits as before and tests on the held-out
        members of the left-out part. "all" takes both sides from all members.
    progress : called with the part that is left out and the share of the splits that is done.

    Notes
    -----
    The recipe "standard" covers the networks trained on poisoned data and the clean networks of the same training.
    The recipe "challenge" covers the fine-tuned trojans and their clean twins. Adversarially trained members are all
    clean. They are in both fits, and leaving them out gives no AUC. A kind is a family that has trojaned members
    only. They and the clean members are tested in parts, each by a detector that was fitted to other groups and to
    none of the kind.

    Members of one group start from the same network and are never on both sides. If most groups have members of both
    sides, the left-out members are tested in parts, each by a detector fitted to the other groups. Boundaries, the
    clean models for comparison, detectors and thresholds are fitted on the fit side. The probes are the pack's.

    Raises
    ------
    SettingsError : ``members`` is none of :data:`MEMBERS`.
    PackError : no recipe and no architecture can be left out of this pack.
    """
    if members not in MEMBERS:
        raise SettingsError(f"Members are {', '.join(MEMBERS)}, not {members!r}.")
    settings = settings or pack.settings
    streams = make_streams(settings)
    reference = Reference(pack, settings, cache or Cache(None))
    splits, notes = splits_of(pack, members)
    if not splits:
        raise PackError(f"Nothing can be left out of pack {pack.name!r}: {' '.join(notes)}")
    evidence = evidence_of_all(reference, streams, lambda share: progress("evidence", share))
    found: dict[tuple[str, str, str], ShiftScores] = {}
    for number, split in enumerate(splits):
        progress(f"without {split.left_out}", number / len(splits))
        view = split_pack(pack, settings, streams, evidence, split.fit, split.test)
        fitted = {s.name: view.evidence(s, None) for s in streams}
        tested = {s.name: view.evidence(s, None, held_out=True) for s in streams}
        sides = len(split.fit), split.dropped
        scores = score(view, fitted, tested, [m for m in view.pack.members if m.held_out])
        for which, scored in scores.items():
            for name in (split.left_out, TOGETHER):
                key = split.by, name, which
                own = ShiftScores(scored, *sides)
                found[key] = found[key].together(own) if key in found else own
    rows = [row for key, scores in found.items() for row in _rows(*key, scores)]
    rows.sort(key=lambda r: (WAYS.index(r.by), r.row.streams != "saliency", r.together))
    return Shift(members, tuple(rows), tuple(notes))


@dataclass(frozen=True)
class ShiftScores:
    """Scores of the tested members of one or more splits, each by the detector of its split."""

    scored: Scored
    fitted: int
    dropped: int

    def together(self, other: ShiftScores) -> ShiftScores:
        return ShiftScores(
            self.scored.together(other.scored), self.fitted + other.fitted, self.dropped + other.dropped
        )


def _rows(by: str, left_out: str, which: str, scores: ShiftScores) -> list[ShiftRow]:
    found = (row_of(which, kind, scores.scored, mapping=mapping) for kind, mapping in kinds_of(scores.scored))
    return [ShiftRow(by, left_out, scores.fitted, scores.dropped, row) for row in found if row is not None]


def splits_of(pack: Pack, members: str = "fitted") -> tuple[list[Split], list[str]]:
    """The splits for every recipe and architecture that can be left out, and a sentence for each of the others."""
    splits: list[Split] = []
    notes: list[str] = []
    kinds = kinds_in(pack)
    fit_pool = [i for i, m in enumerate(pack.members) if members == "all" or not m.held_out]
    test_pool = [
        i for i, m in enumerate(pack.members) if members == "all" or m.held_out == (members == "held-out")
    ]
    ways: tuple[tuple[str, Callable[[Member], str]], ...] = (
        ("recipe", lambda m: "" if m.family in kinds else recipe_of(m)),
        ("architecture", lambda m: m.architecture),
    )
    for by, name_of in ways:
        names = sorted({name_of(m) for m in pack.members} - {""})
        if len(names) < 2:
            notes.append(f"The pack has one {by} only ({names[0]}).")
            continue
        for name in names:
            test = [i for i in test_pool if name_of(pack.members[i]) == name]
            others = [i for i in fit_pool if name_of(pack.members[i]) != name]
            parts, why = _splits(pack, by, name, others, test)
            if not parts:
                notes.append(f"Without the {by} {name}: {why}")
            splits += parts
    for name in kinds:
        test = [i for i in test_pool if not pack.members[i].trojaned or pack.members[i].family == name]
        others = [i for i in fit_pool if pack.members[i].family != name]
        parts, why = _splits(pack, "kind", name, others, test)
        if not parts:
            notes.append(f"Without the kind {name}: {why}")
        splits += parts
    return splits, notes


def _splits(pack: Pack, by: str, name: str, others: list[int], test: list[int]) -> tuple[list[Split], str]:
    """The splits that test ``test``: one if it leaves most others to fit to, else several parts.

    A part keeps only its own groups out of the fit, so more members can be fitted to. The second value says why there
    is no split; it is empty if there is one.
    """
    labels = {pack.members[i].label for i in test}
    if "clean" not in labels or len(labels) < 2:
        return [], f"it has {' and '.join(sorted(labels)) or 'no'} members only, so there is no AUC."
    # Sorted by architecture, so that every part has members of each. Of a kind every part has some, and clean ones.
    members = [pack.members[i] for i in test]
    groups = sorted({(m.trojaned and by == "kind", m.architecture, m.group) for m in members})
    reasons: list[str] = []
    whole: list[Split] = []
    for count in (1, min(FOLDS, len(groups))):
        own = ({group for *_, group in groups[part::count]} for part in range(count))
        parts = [_part(pack, by, name, others, test, tested) for tested in own]
        lacking = [why for part in parts if (why := _lacking(pack, part))]
        reasons += lacking
        if lacking:
            continue
        if count == 1 and parts[0].dropped > len(others) / 2:
            whole = parts
            continue
        return parts, ""
    return whole, "" if whole else reasons[0]


def _part(pack: Pack, by: str, name: str, others: list[int], test: list[int], groups: set[str]) -> Split:
    """The split that tests the members of these groups and fits to all others outside these groups."""
    fit = [i for i in others if pack.members[i].group not in groups]
    own = [i for i in test if pack.members[i].group in groups]
    sides = np.array(fit, dtype=np.intp), np.array(own, dtype=np.intp)
    return Split(by, name, *sides, dropped=len(others) - len(fit))


def _lacking(pack: Pack, split: Split) -> str:
    """A sentence that says why the split cannot be fitted; empty if it can."""
    for label in ("clean", "blend", "patch"):
        left = len({pack.members[i].group for i in split.fit if pack.members[i].label == label})
        if left < LEAST_GROUPS:
            return f"too few {label} members are left to fit to ({left})."
    return ""
