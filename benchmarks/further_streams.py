"""Asks what a pack's verdict gains by each stream.

``python -m benchmarks.further_streams --pack cifar10`` adds the streams whose evidence the pack holds without using it
to the pack's own streams, alone and together. ``--without narrowed`` leaves one of its own out instead.
For each choice it fits the joint meta-model. It prints how many fitted members are called backdoored, by out-of-fold
predictions, in all and by family, and the upper threshold. No held-out member is looked at.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterable
from dataclasses import replace
from itertools import chain, combinations

import numpy as np

from ti_core.detector.alternatives import Alternatives
from ti_core.evaluation.rates import auc
from ti_core.reference.families import HARD_NEGATIVES
from ti_core.reference.judge import Judge
from ti_core.reference.pack import Pack, load_pack
from ti_core.reference.reference import Reference
from ti_core.streams import make_streams
from ti_core.system.cache import Cache


def further(pack: Pack) -> tuple[str, ...]:
    """Names of the streams whose evidence the pack holds, but does not use."""
    return tuple(name for name in pack.record["stream_versions"] if name not in pack.settings.streams)


def line(pack: Pack, added: tuple[str, ...], left_out: str | None = None) -> str:
    """What the pack's streams and these say of the fitted members."""
    own = tuple(name for name in pack.settings.streams if name != left_out)
    settings = pack.settings.with_(streams=(*own, *added))
    made = replace(pack, record=dict(pack.record) | {"settings": settings.as_dict()})
    reference, streams = Reference(made, settings, Cache(None)), make_streams(settings)
    fitted = {s.name: reference.evidence(s, None) for s in streams}
    judge = Judge(reference, streams, fitted)
    assert judge.joint is not None
    clean = reference.labels == "clean"
    beside = {name: reference.clean(stacked) for name, stacked in fitted.items()}
    p = Alternatives.of(streams, fitted, beside, clean).added(judge.joint.oof)
    called, low = p >= judge.joint.calibration.high, judge.joint.calibration.low
    families = np.array([m.family for m in reference.fitted])
    hard = clean & np.isin(families, list(HARD_NEGATIVES))
    by_family = (
        f"{family} {called[of].sum()} of {of.sum()}"
        for family in sorted(set(families[~clean]))
        for of in [~clean & (families == family)]
    )
    choice = f"without {left_out}" if left_out else f"and {' and '.join(added) or 'nothing'}"
    return (
        f"{pack.name}, {choice}: AUC {auc(p[clean], p[~clean]):.3f}, upper threshold"
        f" {judge.joint.calibration.high:.2f}, found {called[~clean].sum()} of {(~clean).sum()}, clean called clean"
        f" {(p < low)[clean].sum()} and backdoored {called[clean].sum()} of {clean.sum()} (hard ones"
        f" {called[hard].sum()} of {hard.sum()}); {', '.join(by_family)}"
    )


def main(arguments: Iterable[str] | None = None) -> None:
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--pack", default="cifar10")
    options.add_argument("--without", metavar="STREAM", help="one of the pack's own that is left out")
    given = options.parse_args(None if arguments is None else list(arguments))
    pack = load_pack(given.pack)
    if given.without:
        print(line(pack, ()), line(pack, (), given.without), sep="\n")
        return
    names = further(pack)
    for added in chain.from_iterable(combinations(names, count) for count in range(len(names) + 1)):
        print(line(pack, added), flush=True)


if __name__ == "__main__":
    main()
