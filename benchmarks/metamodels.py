"""Compares joint meta-models, trees and weighted sums, on recipes and architectures that they were not fitted to.

``python -m benchmarks.metamodels`` prints, for every bundled pack, the AUC of all streams when each recipe or
architecture is left out (:func:`ti_core.evaluation.shift.shift`), and the mean of each kind of meta-model. It uses only
members that the pack's detector is fitted to, so that the choice may depend on these figures. It takes minutes.
"""

from __future__ import annotations

from unittest import mock

import numpy as np

from ti_core.detector.metamodels import Anchored, Boosting, Fitter
from ti_core.evaluation.shift import shift
from ti_core.reference.pack import Pack, load_pack, pack_names

KINDS: dict[str, Fitter] = {
    "trees": Boosting(iterations=150, depth=2, learning_rate=0.05, monotone=True),
    "weighted sum without an anchor": Anchored(weight=0.0, firm=0.0, loose=(), penalty=3.0, calibrated=False),
    "weighted sum": Anchored(),
}


def areas(pack: Pack, fitter: Fitter) -> dict[tuple[str, str], float]:
    """AUC by the left-out part and the kind of trigger."""
    with mock.patch("ti_core.reference.reference.JOINT", fitter):
        rows = shift(pack).rows
    return {(s.title, s.row.kind): s.row.auc for s in rows if s.together and s.row.streams == "joint"}


def main() -> None:
    found: dict[str, list[float]] = {}
    for pack in map(load_pack, pack_names()):
        tables = {name: areas(pack, fitter) for name, fitter in KINDS.items()}
        for key in tables["trees"]:
            figures = {name: table[key] for name, table in tables.items()}
            for name, area in figures.items():
                found.setdefault(name, []).append(area)
            said = ", ".join(f"{name} {area:.3f}" for name, area in figures.items())
            print(f"{pack.name}, {key[0]}, {key[1]}/clean: {said}", flush=True)
    print("mean: " + ", ".join(f"{name} {np.mean(own):.3f}" for name, own in found.items()))


if __name__ == "__main__":
    main()
