"""Asks what the verdict without reference models is worth on the members of the bundled packs, by data set.

``python -m benchmarks.own_classes`` takes each member's evidence from its pack, made on the pack's 256 images or
more, and looks at the network's own classes alone. It prints the bounds at which 3 % of the clean members are
called backdoored and 7 % of the trojaned ones lie below, every data set counting the same, and the shares at the
program's own bounds. Then it leaves each data set out: the bounds come from the other three.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from unittest.mock import patch

import numpy as np
from numpy.typing import NDArray

from ti_core.detector.own_classes import BACKDOORED, CLEAN, alone
from ti_core.reference.pack import Pack, load_pack, pack_names
from ti_core.streams.universal import Universal

ALARMS, MISSES = 0.03, 0.07
LIMITS = (1.0, 1.5, 2.0, 2.5, 3.0)

Sides = tuple[NDArray[np.floating], NDArray[np.floating]]
"""Scores of the clean and of the trojaned members of a pack."""


def scores(pack: Pack) -> Sides:
    """The scores of the members, from the evidence in the pack."""
    deep = {name: arrays for name, arrays in pack.baseline.items() if name != "saliency"}
    found = np.array(
        [
            alone({name: {k: v[i] for k, v in arrays.items()} for name, arrays in deep.items()}).score
            for i in range(len(pack.members))
        ]
    )
    bad = np.array([m.trojaned for m in pack.members])
    return found[~bad], found[bad]


def bounds(sides: Iterable[Sides]) -> tuple[float, float]:
    """The lower and the upper bound. One clean member more counts on the wrong side, as in conformal prediction."""
    clean, bad = zip(*sides, strict=True)

    def alarms(bound: float) -> float:
        return float(np.mean([((own >= bound).sum() + 1) / (len(own) + 1) for own in clean]))

    def misses(bound: float) -> float:
        return float(np.mean([(own < bound).mean() for own in bad]))

    every = np.sort(np.concatenate(clean))
    upper = next((float(s) for s in every if alarms(s) <= ALARMS), float(every[-1]))
    lower = next(float(s) for s in np.sort(np.concatenate(bad))[::-1] if misses(s) <= MISSES)
    return lower, upper


def line(name: str, sides: Sides, lower: float, upper: float) -> str:
    clean, bad = sides
    return (
        f"{name:9} bounds {lower:.2f} and {upper:.2f}: of {len(bad)} trojaned {(bad >= upper).sum()} found,"
        f" {(bad < lower).sum()} called clean; of {len(clean)} clean {(clean >= upper).sum()} called backdoored,"
        f" {(clean < lower).sum()} called clean"
    )


def main() -> None:
    packs = [load_pack(name) for name in pack_names()]
    for limit in LIMITS:
        with patch.object(Universal, "at_most", limit):
            tried = [scores(pack) for pack in packs]
        _, upper = bounds(tried)
        hits, alarms = ((sum((own[side] >= upper).sum() for own in tried)) for side in (1, 0))
        print(
            f"universal perturbations count at most {limit}: bound {upper:.2f}, {hits} found, {alarms} false alarms"
        )
    found: Mapping[str, Sides] = {pack.name: scores(pack) for pack in packs}
    print("bounds of all data sets: {:.2f} and {:.2f}".format(*bounds(found.values())))
    for name, sides in found.items():
        print(line(name, sides, CLEAN, BACKDOORED))
    print("at bounds that the other three data sets set:")
    for name, sides in found.items():
        others = bounds(own for other, own in found.items() if other != name)
        print(line(name, sides, *others))


if __name__ == "__main__":
    main()
