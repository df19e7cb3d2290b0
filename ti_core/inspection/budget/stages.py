"""What the stages of an inspection take beside its streams."""

from __future__ import annotations

from ti_core.streams.passes import Passes

STAGES = {
    "preprocessing": 0.05,
    "probes": 0.1,
    "saliency reference": 0.05,
    "saliency verdict": 0.7,
    "pictures": 1.0,
    "verdict": 0.1,
    "trigger": 0.05,
    "case": 0.1,
}
"""Seconds of the stages on two cores beside the passes of the network."""
READ = 0.01
"""Seconds of reading evidence from the cache or from the pack."""
PICTURES = Passes(both=300)
"""Images that the pictures send through networks. The suspect and a reference model are shown the same."""
TRIGGER = (Passes(forward=5000, both=1536), Passes(forward=3500, both=1152), Passes(forward=1600, both=400))
"""Images that the search of a trigger and its occlusion send through the network, if one is searched, by the level of
:mod:`ti_core.streams.searches.sparing`."""
