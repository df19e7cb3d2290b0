"""Estimates of the cost of a change of settings, before an inspection."""

from __future__ import annotations

import threading

from ti_core.classifier.first_pass import FirstPass, measure
from ti_core.reference.pack import Pack
from ti_core.reference.reference import Reference
from ti_core.settings import Settings
from ti_core.streams import make_streams
from ti_core.system.cache import Cache
from ti_core.worker.pack_jobs import open_apart

MEASURED = 3
"""Number of a pack's reference models that are measured, evenly spread over its list."""


class Pace:
    """What the reference models of each pack take on this machine. All sessions share it."""

    def __init__(self) -> None:
        self._seen: dict[str, FirstPass] = {}
        self._lock = threading.Lock()

    def reference_seconds(self, pack: Pack, settings: Settings) -> float:
        """Seconds to compute the reference models' evidence at these settings; 0 if the pack contains it.

        Raises
        ------
        PackError : the pack's networks have to be run, and something in the pack cannot be used.
        """
        reference = Reference(pack, settings, Cache(None))
        missing = [stream for stream in make_streams(settings) if reference.to_compute(stream)]
        total = 0.0
        for stream in missing:
            passes = stream.passes(len(pack.class_names), pack.input_shape)
            total += stream.seconds if passes is None else passes.seconds(self._of_member(reference))
        return total * len(reference.fitted)

    def _of_member(self, reference: Reference) -> FirstPass:
        """A first pass of a reference model, the mean of several."""
        pack, members = reference.pack, reference.fitted
        with self._lock:
            if pack.sha256 not in self._seen:
                open_apart(pack)
                chosen = members[:: max(1, len(members) // MEASURED)][:MEASURED]
                found = [measure(pack.scores(member), pack.images, 0.0) for member in chosen]
                self._seen[pack.sha256] = FirstPass(
                    sum(f.forward for f in found) / len(found), sum(f.both for f in found) / len(found)
                )
            return self._seen[pack.sha256]
