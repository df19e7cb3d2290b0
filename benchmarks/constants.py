"""What the numbers set by hand in the detector and in the searches change.

``python -m benchmarks.constants`` leaves every recipe and every architecture out of the fit in turn, as ``evaluate
--shift`` does, and judges the members that were left out by the evidence that the pack holds. It varies two numbers of
:mod:`ti_core.detector.detector`: :data:`OUTSIDE`, and the floor of a feature's spread. They only decide which model is
"inconclusive" instead of "clean", so that AUC and false alarms are the same for all values. Only members that the
pack's detector is fitted to take part.

``--momentum N`` varies the momentum of the searches instead. It computes the evidence of the stream "universal" of N
clean and N trojaned members anew, and compares how far the target class stands out with how far a clean network's most
outstanding class does.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from unittest import mock

import numpy as np
from numpy.typing import NDArray
from sklearn.metrics import roc_auc_score

from ti_core.detector import detector
from ti_core.detector.detector import Detector
from ti_core.detector.thresholds import log_odds
from ti_core.evaluation.scoring import evidence_of_all, split_pack
from ti_core.evaluation.shift import splits_of
from ti_core.reference.judge import Judge
from ti_core.reference.pack import Member, Pack, load_pack
from ti_core.reference.reference import Reference
from ti_core.streams import make_streams
from ti_core.streams.base import as_stack
from ti_core.streams.statistics import in_usual_margins
from ti_core.streams.universal import Universal
from ti_core.system.cache import Cache

PACKS = ("mnist", "cifar10")
BOUNDS = (1.0, 1.5, 2.0, 3.0, 5.0, float("inf"))
FLOORS = ((0.0, 0.0), (0.02, 0.0), (0.0, 0.1), (0.02, 0.1), (0.02, 0.3), (0.1, 0.1), (0.2, 0.5))
"""The constant part of the floor, and its part of the median spread."""
MOMENTA = (0.0, 0.5, 0.7, 0.9, 1.0)
SEARCHES = ("search", "perturbations")
Floats = NDArray[np.floating]


@dataclass(frozen=True)
class Judged:
    """Members that were left out of the fit of one detector: features ``R x F``, probability and label, ``R``."""

    by: Detector
    rows: Floats
    probability: Floats
    trojaned: NDArray[np.bool_]

    def clean(self) -> NDArray[np.bool_]:
        """Those that the thresholds alone call clean."""
        return self.probability < self.by.calibration.low

    def distance(self, constant: float, relative: float) -> Floats:
        """Distance to the nearest fitted member in units of the reach, with this floor of the spread."""
        spread = np.quantile(self.by.reference, 0.9, axis=0) - np.quantile(self.by.reference, 0.1, axis=0)
        scale = np.maximum(spread, max(constant + relative * float(np.median(spread)), 1e-9))
        among = detector._distances(self.by.reference, self.by.reference, scale)
        np.fill_diagonal(among, np.inf)
        reach = max(float(among.min(axis=1).max()), 1e-9)
        return detector._distances(self.rows, self.by.reference, scale).min(axis=1) / reach


def left_out(pack: Pack) -> Iterator[Judged]:
    """The fitted members that every recipe or architecture in turn is left out with, judged jointly."""
    streams = make_streams(pack.settings)
    reference = Reference(pack, pack.settings, Cache(None))
    evidence = evidence_of_all(reference, streams)
    for split in splits_of(pack)[0]:
        view = split_pack(pack, pack.settings, streams, evidence, split.fit, split.test)
        fitted = {s.name: view.evidence(s, None) for s in streams}
        tested = {s.name: view.evidence(s, None, held_out=True) for s in streams}
        members = [m for m in view.pack.members if m.held_out]
        judge = Judge(view, streams, fitted)
        paper = judge.by_paper(tested) if judge.paper_stream else None
        found = judge.jointly(tested, [m.clean_accuracy for m in members], paper)
        rows = np.asarray(found.rows, dtype=np.float64)
        yield Judged(found.detector, rows, found.probability, np.array([m.trojaned for m in members]))


def shares(judged: list[Judged], floor: tuple[float, float], bound: float) -> tuple[int, int, int, int]:
    """How many clean and trojaned members were called clean, and how many of each become inconclusive."""
    counts = [0, 0, 0, 0]
    for one in judged:
        called, far = one.clean(), one.distance(*floor) > bound
        for place, side in enumerate((~one.trojaned, one.trojaned)):
            counts[place] += int((called & side & ~far).sum())
            counts[2 + place] += int((called & side & far).sum())
    return counts[0], counts[1], counts[2], counts[3]


def of_detector(pack: Pack) -> list[str]:
    """One line for each value."""
    judged = list(left_out(pack))
    trojaned = np.concatenate([one.trojaned for one in judged])
    odds = np.concatenate([log_odds(one.probability) for one in judged])
    above = np.concatenate([one.probability >= one.by.calibration.high for one in judged])
    alarms = int((above & ~trojaned).sum())
    lines = [
        f"{pack.name}: {len(judged)} fits, {int((~trojaned).sum())} clean and {int(trojaned.sum())} trojaned members"
        f" left out; for all values AUC {roc_auc_score(trojaned, odds):.3f}, {alarms} clean ones called backdoored"
    ]
    for name, values in (
        ("OUTSIDE", [((0.02, 0.1), bound) for bound in BOUNDS]),
        ("floor", [(floor, detector.OUTSIDE) for floor in FLOORS]),
    ):
        for floor, bound in values:
            clean, missed, doubtful, rescued = shares(judged, floor, bound)
            farthest = max(
                (float(one.distance(*floor)[one.clean()].max(initial=0.0)) for one in judged), default=0.0
            )
            value = f"{bound:g}" if name == "OUTSIDE" else f"{floor[0]:g} + {floor[1]:g} of the median spread"
            lines.append(
                f"{pack.name}, {name} {value}: {clean} clean and {missed} trojaned ones called clean; {doubtful} clean"
                f" and {rescued} trojaned ones inconclusive for their distance; the farthest at {farthest:.2f}"
            )
    return lines


@contextmanager
def momentum(value: float) -> Iterator[None]:
    with ExitStack() as stack:
        for name in SEARCHES:
            stack.enter_context(mock.patch(f"ti_core.streams.searches.{name}.MOMENTUM", value))
        yield


def spread_over(members: list[Member], count: int) -> list[Member]:
    """So many of them, evenly spread."""
    places = np.unique(np.linspace(0, len(members) - 1, min(count, len(members))).round().astype(int))
    return [members[i] for i in places]


def of_searches(pack: Pack, count: int) -> Iterator[str]:
    """One line for each momentum."""
    reference = Reference(pack, pack.settings, Cache(None))
    stream, context, classes = Universal(pack.settings), reference.context(None), len(pack.class_names)
    fitted = [m for m in pack.members if not m.held_out]
    clean, bad = (spread_over([m for m in fitted if m.trojaned is side], count) for side in (False, True))
    for value in MOMENTA:
        with momentum(value):
            stacks = {m.id: as_stack(stream.evidence(pack.scores(m), context)) for m in (*clean, *bad)}
        # The mean over the triggers that are searched for each class.
        margins = {
            id: in_usual_margins(stack).reshape(-1, classes).mean(axis=0) for id, stack in stacks.items()
        }
        largest = np.array([margins[m.id].max() for m in clean])
        targets = np.array([margins[m.id][m.target_class or 0] for m in bad])
        area = float((targets[:, None] > largest[None]).mean())
        yield (
            f"{pack.name}, momentum {value:g}: {len(bad)} trojaned members' target class at {np.median(targets):.2f}"
            f" usual margins (median), {len(clean)} clean members' largest class at {np.median(largest):.2f};"
            f" AUC {area:.2f}"
        )


def main(arguments: Iterable[str] | None = None) -> None:
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--pack", nargs="+", default=PACKS)
    options.add_argument("--momentum", type=int, default=0, metavar="N", help="members of each side; minutes")
    given = options.parse_args(None if arguments is None else list(arguments))
    for pack in map(load_pack, given.pack):
        for line in of_searches(pack, given.momentum) if given.momentum else of_detector(pack):
            print(line, flush=True)


if __name__ == "__main__":
    main()
