"""Asks how sure an alarm must be over a network unlike the reference models.

``python -m benchmarks.unlike`` leaves every recipe and every architecture of the bundled packs out of the fit in
turn. It judges the fitted members that were left out: networks unlike those that the thresholds were set on. For
several minimum probabilities it prints the share of clean ones that are called backdoored, and of backdoored ones
that are found. :data:`ti_core.detector.likeness.UNLIKE_SURE` is one of these probabilities.
"""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

from benchmarks.asked import packs
from ti_core.evaluation.scoring import Scored, evidence_of_all, score, split_pack
from ti_core.evaluation.shift import splits_of
from ti_core.reference.families import share_interval
from ti_core.reference.pack import Pack, load_pack
from ti_core.reference.reference import Reference
from ti_core.streams import make_streams
from ti_core.system.cache import Cache

LEAST = (0.0, 0.7, 0.8, 0.9, 0.95)


def left_out(pack: Pack) -> dict[str, Scored]:
    """By "recipe" and "architecture", the fitted members, each judged without all members that share its own."""
    streams = make_streams(pack.settings)
    evidence = evidence_of_all(Reference(pack, pack.settings, Cache(None)), streams)
    found: dict[str, Scored] = {}
    for split in splits_of(pack, "fitted")[0]:
        view = split_pack(pack, pack.settings, streams, evidence, split.fit, split.test)
        fitted = {s.name: view.evidence(s, None) for s in streams}
        tested = {s.name: view.evidence(s, None, held_out=True) for s in streams}
        own = score(view, fitted, tested, [m for m in view.pack.members if m.held_out])["joint"]
        found[split.by] = found[split.by].together(own) if split.by in found else own
    return found


def lines(name: str, by: str, scored: Scored) -> list[str]:
    """What each minimum probability does to these members."""
    clean = np.array([not m.trojaned for m in scored.members])
    rows = []
    for least in LEAST:
        called = scored.called & (scored.probability >= least)
        parts = []
        for side in (clean, ~clean):
            count, share = int(side.sum()), float(called[side].mean())
            low, high = share_interval(share, count)
            parts.append(f"{round(share * count)} of {count} ({low:.0%} to {high:.0%})")
        rows.append(
            f"{name:9} {by:13} from {least:4.2f} on: clean called {parts[0]}, backdoors found {parts[1]}"
        )
    return rows


def main(arguments: Iterable[str] | None = None) -> None:
    for name in packs(__doc__, arguments):
        for by, scored in left_out(load_pack(name)).items():
            print("\n".join(lines(name, by, scored)), flush=True)


if __name__ == "__main__":
    main()
