"""Asks what each stream adds to the joint verdict, and what it costs.

``python -m benchmarks.efforts`` goes through the bundled packs. For several choices of streams it fits the detectors to
the fitted members. It prints the AUC on the held-out ones, the shares of backdoors found and of clean ones called clean
and backdoored, and the passes that the streams of the choice need, as a share of those of all streams.
:data:`ti_core.stream_registry.FIRST` and :data:`ti_core.stream_registry.QUICK` rest on it.
"""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

from benchmarks.asked import packs
from ti_core.classifier.first_pass import BACKWARD
from ti_core.evaluation.rates import auc
from ti_core.evaluation.scoring import evidence_of_all, score, split_pack
from ti_core.reference.pack import Pack, load_pack
from ti_core.reference.reference import Reference
from ti_core.streams import make_streams
from ti_core.system.cache import Cache

CHOICES = (
    ("saliency",),
    ("saliency", "inversion"),
    ("saliency", "windowed"),
    ("saliency", "universal"),
    ("saliency", "inversion", "windowed"),
    ("saliency", "universal", "windowed"),
    ("saliency", "universal", "windowed", "inversion"),
)


def cost(pack: Pack, names: Iterable[str]) -> float:
    """The passes that these streams send through a network, in forward passes of one image."""
    settings = pack.settings.with_(streams=tuple(names))
    passes = [s.passes(len(pack.class_names), pack.input_shape) for s in make_streams(settings)]
    return sum(p.forward + BACKWARD * p.both for p in passes if p is not None)


def line(pack: Pack, names: tuple[str, ...]) -> str:
    """What these streams tell of the held-out members."""
    settings = pack.settings.with_(streams=names)
    streams = make_streams(settings)
    evidence = evidence_of_all(Reference(pack, settings, Cache(None)), streams)
    view = split_pack(pack, settings, streams, evidence, pack.where(fitted=True), pack.where(fitted=False))
    fitted = {s.name: view.evidence(s, None) for s in streams}
    tested = {s.name: view.evidence(s, None, held_out=True) for s in streams}
    found = score(view, fitted, tested, [m for m in view.pack.members if m.held_out])
    scored = found.get("joint") or found["saliency"]
    clean = np.array([not m.trojaned for m in scored.members])
    p, called, cleared = scored.probability, scored.called, scored.verdicts == "clean"
    return (
        f"{pack.name:9} {', '.join(names):45} cost {cost(pack, names) / cost(pack, CHOICES[-1]):4.0%}"
        f"  AUC {auc(p[clean], p[~clean]):.3f}  found {called[~clean].mean():4.0%} of {(~clean).sum()}"
        f"  clean called clean {cleared[clean].mean():4.0%}, backdoored {called[clean].mean():3.0%} of {clean.sum()}"
    )


def main(arguments: Iterable[str] | None = None) -> None:
    for name in packs(__doc__, arguments):
        for choice in CHOICES:
            print(line(load_pack(name), choice), flush=True)


if __name__ == "__main__":
    main()
