"""Second opinions on a pack's held-out members: how well each method tells backdoored from clean ones, beside ours.

Every opinion is kept in the cache when it is made, so that a measurement that was stopped goes on.
"""

from __future__ import annotations

import hashlib
import json
import math
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ti_core.errors import PackError
from ti_core.evaluation.rates import auc, auc_interval
from ti_core.evaluation.scoring import score_held_out
from ti_core.methods import METHODS, ask, method_class
from ti_core.methods.base import Learnt, LearntMethod, Method, Subject
from ti_core.methods.inputs import digest_of_learning, digest_of_statistics
from ti_core.methods.learnt import read_learnt
from ti_core.methods.needs import unmet
from ti_core.reference.families import performance_key
from ti_core.reference.pack import Member, Pack
from ti_core.reference.reference import Reference
from ti_core.settings import Settings
from ti_core.system.cache import Cache
from ti_core.system.progress import StageProgress, silent_stage

ALL = "all"
"""The kind of the row that takes all backdoors together."""


@dataclass(frozen=True)
class MethodRow:
    """One method and one kind of backdoor, against the clean members.

    ``low`` and ``high`` are the ends of the 95 % interval of ``auc``. ``found`` and ``false_alarms`` are the shares of
    backdoored and clean members that its published threshold calls backdoored, and ``target`` the share of the
    backdoored ones of one target class whose class it names; None without a decision, or a class. ``seconds`` is the
    median of a network.
    """

    method: str
    kind: str
    clean: int
    trojaned: int
    auc: float
    low: float
    high: float
    found: float | None
    false_alarms: float | None
    target: float | None
    seconds: float

    def as_dict(self) -> dict[str, Any]:
        return asdict(self)


@dataclass(frozen=True)
class Judged:
    """What the methods say of one held-out member.

    Parameters
    ----------
    ours : whether our verdict calls it backdoored.
    statistics : by method. A method that could not judge it is missing.
    called : the methods whose own decision calls it backdoored.
    """

    id: str
    kind: str
    ours: bool
    statistics: Mapping[str, float]
    called: tuple[str, ...]


@dataclass(frozen=True)
class MethodTable:
    """The methods on a pack's held-out members.

    Parameters
    ----------
    pack, sha256 : name of the pack, and digest of the record whose verdicts ``ours`` are.
    versions : of the methods.
    rests_on : by method, the digest of what its statistics rest on (:mod:`ti_core.methods.inputs`).
    """

    pack: str
    sha256: str
    versions: Mapping[str, int]
    rests_on: Mapping[str, str]
    rows: tuple[MethodRow, ...]
    members: tuple[Judged, ...]

    def beyond(self, method: str) -> tuple[str, ...]:
        """The backdoored members that this method calls backdoored and our verdict does not."""
        return tuple(m.id for m in self.members if m.kind != "clean" and method in m.called and not m.ours)

    def as_dict(self) -> dict[str, Any]:
        """For JSON."""
        return asdict(self)


def measure_methods(
    pack: Pack,
    names: Sequence[str],
    settings: Settings,
    cache: Cache,
    learnt: Path | None,
    progress: StageProgress = silent_stage,
    count: int | None = None,
    ours: Mapping[str, bool] | None = None,
) -> MethodTable:
    """Ask these methods about the held-out members of a pack.

    Parameters
    ----------
    learnt : folder of what methods have learnt.
    count : of each kind of backdoor, so many members only, and so many clean ones as of all kinds together
        (:func:`some`); None for every member.
    ours : what :func:`called_by_ours` gave, if it is known.

    Raises
    ------
    PackError : the pack has no held-out member, or a method must be learnt on it first.
    """
    if not len(pack.where(fitted=False)):
        raise PackError(f"Pack {pack.name!r} holds no member out from fitting; nothing can be evaluated.")
    methods = [method_class(name)() for name in names]
    known = _known(pack, methods, learnt, cache, progress)
    members = some([m for m in pack.members if m.held_out], count)
    table: dict[str, list[NDArray[np.float64]]] = {m.name: [] for m in methods}
    for number, member in enumerate(members):
        for method in methods:
            progress(method.title, number / len(members))
            table[method.name].append(_asked(pack, member, method, known, cache))
    called = ours or called_by_ours(pack, settings, cache)
    rows = tuple(row for name in table for row in _rows(name, members, np.stack(table[name])))
    judged = tuple(
        _judged(member, called[member.id], {name: table[name][i] for name in table})
        for i, member in enumerate(members)
    )
    rests_on = {}
    for method in methods:
        ids = [m.id for m in judged if method.name in m.statistics]
        rests_on[method.name] = digest_of_statistics(pack, method, ids) or ""
    versions = {m.name: m.version for m in methods}
    return MethodTable(pack.name, pack.sha256, versions, rests_on, rows, judged)


def called_by_ours(pack: Pack, settings: Settings, cache: Cache) -> dict[str, bool]:
    """By id, whether our verdict calls a held-out member backdoored. Half a minute for a large pack."""
    scored = score_held_out(Reference(pack, settings, cache))
    ours = scored["joint"] if "joint" in scored else scored["saliency"]
    return {m.id: bool(said) for m, said in zip(ours.members, ours.called, strict=True)}


def auc_on_fitted(pack: Pack, name: str, known: Mapping[str, Learnt]) -> float:
    """The AUC of a learnt method on the members that it learnt from; NaN if it can judge none of one sort."""
    method = method_class(name)()
    said: dict[bool, list[float]] = {False: [], True: []}
    for member in (m for m in pack.members if not m.held_out):
        subject = Subject.of_member(pack, member, known)
        if unmet(method, subject) is None:
            said[member.trojaned].append(method.opinion(subject).statistic)
    clean, trojaned = np.array(said[False]), np.array(said[True])
    return auc(clean, trojaned) if len(clean) and len(trojaned) else math.nan


def some(members: Sequence[Member], count: int | None) -> list[Member]:
    """``count`` members of each kind of backdoor, and so many clean ones as of all kinds together, in their order.

    Of each kind they are spread evenly over the list, so that every run takes the same ones. A kind with fewer members
    gives all of them; with None every kind does.
    """
    if count is None:
        return list(members)
    by_kind: dict[str, list[int]] = {}
    for i, member in enumerate(members):
        by_kind.setdefault(kind_of(member), []).append(i)
    clean = by_kind.pop("clean", [])
    chosen = [i for own in by_kind.values() for i in _spread(own, count)]
    return [members[i] for i in sorted(chosen + _spread(clean, len(chosen)))]


def _spread(places: Sequence[int], count: int) -> list[int]:
    few = min(count, len(places))
    return [places[i * len(places) // few] for i in range(few)]


def _known(
    pack: Pack, methods: Sequence[Method], folder: Path | None, cache: Cache, progress: StageProgress
) -> dict[str, Learnt]:
    """What the methods have learnt. Those that need not be learnt ahead are learnt now."""
    known: dict[str, Learnt] = dict(read_learnt(folder, pack, [m.name for m in methods]))
    for method in methods:
        if not isinstance(method, LearntMethod) or method.name in known:
            continue
        if METHODS[method.name].learnt:
            raise PackError(
                f"{method.title} must be learnt on pack {pack.name!r} first: run python -m ti_core pack learn"
                f" {pack.name} --methods {method.name}."
            )
        key = f"methods/learnt/{method.name}/{digest_of_learning(pack, method)}"

        def learn(method: LearntMethod = method) -> dict[str, NDArray[Any]]:
            return method.learn(pack, lambda share: progress(method.title, share))

        known[method.name] = cache.arrays(key, learn)
    return known


def _asked(
    pack: Pack, member: Member, method: Method, known: Mapping[str, Learnt], cache: Cache
) -> NDArray[np.float64]:
    """Statistic, decision (1 backdoored, 0 clean, -1 none), class (-1 none) and seconds; NaN where it cannot judge."""
    learnt = {name: array.tobytes().hex() for name, array in known.get(method.name, {}).items()}
    parts = [pack.member_name(member), pack.record["files"]["images.npz"], method.settings(), learnt]
    key = f"methods/{method.name}/{method.version}/{_digest(parts)}"

    def compute() -> dict[str, NDArray[Any]]:
        subject = Subject.of_member(pack, member, known)
        if unmet(method, subject) is not None:
            return {"said": np.full(4, np.nan)}
        one = ask.timed(method, subject)
        decided = -1.0 if one.suspicious is None else float(one.suspicious)
        target = -1.0 if one.target is None else float(one.target)
        return {"said": np.array([one.statistic, decided, target, one.seconds])}

    return np.asarray(cache.arrays(key, compute)["said"], dtype=np.float64)


def _digest(parts: Any) -> str:
    return hashlib.sha256(json.dumps(parts, sort_keys=True, default=str).encode()).hexdigest()


def _rows(name: str, members: Sequence[Member], said: NDArray[np.float64]) -> list[MethodRow]:
    """A row of every kind of backdoor with a member that the method could judge, and one of all."""
    able = np.isfinite(said[:, 0])
    kinds = np.array([kind_of(m) for m in members])
    clean = able & (kinds == "clean")
    if not clean.any():
        return []
    rows = []
    for kind in (ALL, *dict.fromkeys(k for k in kinds if k != "clean")):
        own = able & ((kinds != "clean") if kind == ALL else (kinds == kind))
        if not own.any():
            continue
        area = auc(said[clean, 0], said[own, 0])
        counts = int(clean.sum()), int(own.sum())
        decides = bool((said[able, 1] >= 0).all())
        true = np.array([-2 if m.target_class is None else m.target_class for m in members])
        named = own & (true >= 0)
        rows.append(
            MethodRow(
                name,
                kind,
                *counts,
                area,
                *auc_interval(area, *counts),
                float((said[own, 1] > 0).mean()) if decides else None,
                float((said[clean, 1] > 0).mean()) if decides else None,
                float((said[named, 2] == true[named]).mean())
                if named.any() and (said[named, 2] >= 0).any()
                else None,
                round(statistics.median(said[able, 3]), 2),
            )
        )
    return rows


def kind_of(member: Member) -> str:
    """ "clean", or the kind of trigger with any mapping but all to one."""
    return performance_key(member.label, member.mapping) if member.trojaned else "clean"


def _judged(member: Member, ours: bool, said: Mapping[str, NDArray[np.float64]]) -> Judged:
    able = {name: one for name, one in said.items() if np.isfinite(one[0])}
    return Judged(
        member.id,
        kind_of(member),
        ours,
        {name: round(float(one[0]), 4) for name, one in able.items()},
        tuple(name for name, one in able.items() if one[1] > 0),
    )
