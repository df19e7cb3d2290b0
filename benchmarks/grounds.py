"""Asks how often an alarm has a ground: a stream that finds the network unusual among the clean reference models.

``python -m benchmarks.grounds`` goes through the fitted members of the bundled packs, each clean one compared with the
other clean ones. For each pack and several shares it prints how many alarms of the joint meta-model over backdoors and
over clean networks are left if an alarm needs a stream in which at most that share of the clean models go as far.
:data:`ti_core.detector.grounds.GROUND` is one of these shares.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import numpy as np
from numpy.typing import NDArray

from benchmarks.asked import packs
from ti_core.reference.judge import Judge
from ti_core.reference.pack import load_pack
from ti_core.reference.reference import Reference
from ti_core.streams import Stream, make_streams
from ti_core.streams.base import Array
from ti_core.system.cache import Cache

SHARES = (0.03, 0.05, 0.1, 0.2)


def least_shares(
    streams: Iterable[Stream],
    fitted: Mapping[str, Mapping[str, Array]],
    clean: NDArray[np.bool_],
    names: tuple[str, ...],
) -> NDArray[np.floating]:
    """By member, the smallest share of other clean members that go as far, over the streams."""
    shares = []
    for stream in streams:
        evidence = fitted[stream.name]
        for i in range(len(clean)):
            others = clean & (np.arange(len(clean)) != i)
            reading = stream.read(
                {k: v[i] for k, v in evidence.items()}, {k: v[others] for k, v in evidence.items()}, names
            )
            shares.append(reading.clean_share)
    return np.array(shares).reshape(-1, len(clean)).min(0)


def main(arguments: Iterable[str] | None = None) -> None:
    for name in packs(__doc__, arguments):
        pack = load_pack(name)
        reference = Reference(pack, pack.settings, Cache(None))
        streams = make_streams(pack.settings)
        fitted = {s.name: reference.evidence(s, None) for s in streams}
        judge = Judge(reference, streams, fitted)
        assert judge.joint is not None
        clean = reference.labels == "clean"
        alarm = judge.joint.oof >= judge.joint.calibration.high
        least = least_shares(judge.deep_streams, fitted, clean, pack.class_names)
        bad, false = alarm & ~clean, alarm & clean
        print(
            f"{name}: {bad.sum()} of {(~clean).sum()} backdoors, {false.sum()} of {clean.sum()} clean called"
        )
        for share in SHARES:
            grounded = least <= share
            print(f"  ground {share:.0%}: {(bad & grounded).sum()} and {(false & grounded).sum()} are left")


if __name__ == "__main__":
    main()
