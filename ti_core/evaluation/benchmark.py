"""Any detector of backdoors on networks whose truth is known: AUC and cross-entropy, each with its 95 % interval.

A detector is one class with one method::

    class Detector:
        def probability(self, subject: Subject) -> float: ...

:class:`~ti_core.methods.base.Subject` holds the network's class scores (``subject.scores``, whose ``network`` is the
module itself), clean images with their labels, and the pack, whose fitted members a detector may learn from.
"""

from __future__ import annotations

import math
import time
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from ti_core.errors import PackError, SettingsError
from ti_core.evaluation.methods import ALL, kind_of
from ti_core.evaluation.rates import auc, auc_interval, cross_entropy
from ti_core.evaluation.scoring import score_held_out
from ti_core.methods.base import Subject
from ti_core.reference.pack import Pack
from ti_core.reference.reference import Reference
from ti_core.system.cache import Cache
from ti_core.system.progress import ShareProgress, silent_share

CLEAN = "clean"
OURS = "trojaninterpret"
"""The name of this program among the detectors."""


class Detector(Protocol):
    """What is compared. It is made once, without arguments, and judges one network after the other."""

    def probability(self, subject: Subject) -> float:
        """The probability of a backdoor, in [0, 1]."""


@dataclass(frozen=True)
class Network:
    """A network whose truth is known.

    Parameters
    ----------
    kind : "clean", or the kind of its backdoor.
    """

    id: str
    kind: str
    subject: Subject


@dataclass(frozen=True)
class BenchmarkRow:
    """One kind of backdoor against the clean networks; the kind "all" takes all backdoors together.

    ``auc`` and ``cross_entropy`` have the ends of their 95 % intervals. A detector whose figures are not probabilities
    has no cross-entropy.
    """

    kind: str
    clean: int
    trojaned: int
    auc: float
    auc_low: float
    auc_high: float
    cross_entropy: float | None
    cross_entropy_low: float | None
    cross_entropy_high: float | None


@dataclass(frozen=True)
class Entry:
    """A detector's line on the leaderboard.

    Parameters
    ----------
    networks : which they are, as "held-out members of mnist".
    pack_sha256 : digest of the pack's record.
    seconds : of all networks together; None where nobody measured it.
    figures : by the id of the network, what the detector said.
    """

    detector: str
    networks: str
    pack_sha256: str
    rows: tuple[BenchmarkRow, ...]
    seconds: float | None
    figures: Mapping[str, float]

    @property
    def key(self) -> tuple[str, str]:
        """A later entry of the same key takes the place of an earlier one."""
        return self.detector, self.networks

    def as_dict(self) -> dict[str, Any]:
        """For JSON."""
        return asdict(self)


def held_out(pack: Pack) -> Iterator[Network]:
    """The members that took no part in fitting.

    Raises
    ------
    PackError : there is none.
    """
    if not len(pack.where(fitted=False)):
        raise PackError(f"Pack {pack.name!r} holds no member out from fitting; nothing can be evaluated.")
    for member in pack.members:
        if member.held_out:
            yield Network(member.id, kind_of(member), Subject.of_member(pack, member))


def name_of_held_out(pack: Pack) -> str:
    """What a leaderboard calls :func:`held_out`."""
    return f"held-out members of {pack.name}"


def measure(
    detector: Detector,
    networks: Iterable[Network],
    name: str,
    pack: Pack,
    progress: ShareProgress = silent_share,
) -> Entry:
    """Ask a detector about networks.

    Parameters
    ----------
    name : of these networks on the leaderboard.

    Raises
    ------
    SettingsError : the detector gives no probability, or the networks are all clean or all backdoored.
    """
    kinds: dict[str, str] = {}
    figures: dict[str, float] = {}
    title, start = type(detector).__name__, time.perf_counter()
    listed = list(networks)
    for number, network in enumerate(listed):
        progress(number / len(listed))
        figure = float(detector.probability(network.subject))
        if not 0 <= figure <= 1:
            raise SettingsError(
                f"{title} returned {figure} for {network.id}; return a probability from 0 to 1."
            )
        kinds[network.id], figures[network.id] = network.kind, figure
    return entry(title, name, pack, kinds, figures, time.perf_counter() - start)


def ours(pack: Pack, cache: Cache) -> Entry:
    """This program's own entry: the probabilities of an inspection of each held-out member."""
    if not len(pack.where(fitted=False)):
        raise PackError(f"Pack {pack.name!r} holds no member out from fitting; nothing can be evaluated.")
    scored = score_held_out(Reference(pack, pack.settings, cache))
    best = scored["joint"] if "joint" in scored else scored["saliency"]
    figures = {m.id: float(p) for m, p in zip(best.members, best.probability, strict=True)}
    return entry(OURS, name_of_held_out(pack), pack, {m.id: kind_of(m) for m in best.members}, figures)


def entry(
    detector: str,
    networks: str,
    pack: Pack,
    kinds: Mapping[str, str],
    figures: Mapping[str, float],
    seconds: float | None = None,
    probabilities: bool = True,
) -> Entry:
    """The entry of a detector that said ``figures`` about networks of these kinds, both by the network's id."""
    all_kinds = np.array([kinds[name] for name in figures])
    said = np.array(list(figures.values()), dtype=np.float64)
    clean = all_kinds == CLEAN
    if clean.all() or not clean.any():
        raise SettingsError("A comparison needs clean networks and backdoored ones; give some of both.")
    rows = [_row(ALL, said[clean], said[~clean], probabilities)]
    for kind in dict.fromkeys(all_kinds[~clean].tolist()):
        rows.append(_row(kind, said[clean], said[all_kinds == kind], probabilities))
    rounded = {name: round(figure, 6) for name, figure in figures.items()}
    time_taken = None if seconds is None else round(seconds, 1)
    return Entry(detector, networks, pack.sha256, tuple(rows), time_taken, rounded)


def _row(
    kind: str, clean: NDArray[np.float64], trojaned: NDArray[np.float64], probabilities: bool
) -> BenchmarkRow:
    counts = len(clean), len(trojaned)
    area = auc(clean, trojaned)
    loss = cross_entropy(clean, trojaned) if probabilities else (None, None, None)
    return BenchmarkRow(kind, *counts, area, *auc_interval(area, *counts), *loss)


def ranked(entries: Iterable[Entry]) -> list[Entry]:
    """By networks, then by the cross-entropy over all kinds. Those without one stand last, by AUC."""

    def place(one: Entry) -> tuple[str, float, float]:
        whole = one.rows[0]
        loss = math.inf if whole.cross_entropy is None else whole.cross_entropy
        return one.networks, loss, -whole.auc

    return sorted(entries, key=place)
