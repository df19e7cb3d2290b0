"""What is known of the work of an inspection with a pack, once the network is understood."""

from __future__ import annotations

from collections.abc import Sequence

from ti_core.classifier.first_pass import measure
from ti_core.inspection.forecast import Known
from ti_core.reference.reference import Reference, evidence_key
from ti_core.streams import Stream


def known_work(reference: Reference, streams: Sequence[Stream], name: str) -> Known:
    """Which evidence the cache holds, and for which streams reference models have to be run.

    Parameters
    ----------
    name : of the suspect, in the keys of its evidence.
    """
    computed = {s.name: count for s in streams if (count := reference.to_compute(s))}
    keys = {s.name: evidence_key(s, name, reference.pack, None) for s in streams if not s.on_probes}
    return Known(
        [stream for stream, key in keys.items() if reference.cache.holds(key)],
        computed,
        measure(reference.scores(reference.fitted[0]), reference.context(None).images, 0.0)
        if computed
        else None,
    )
