"""Estimates of the time of an inspection: its progress, the time left, and the cost of a change of settings."""

from __future__ import annotations

import threading
from collections.abc import Mapping

from ti_core.reference.pack import Pack
from ti_core.settings import Settings
from ti_core.stream_registry import STREAMS
from ti_core.streams import make_streams, stream_class

DEFAULT = {
    "opening": 0.2,
    "preprocessing": 0.2,
    "probes": 0.2,
    "saliency reference": 0.1,
    "saliency verdict": 0.3,
    "pictures": 0.6,
    "verdict": 0.1,
    "trigger": 0.2,
    "case": 0.1,
}
"""Initial estimates for the stages other than the streams: seconds for small networks on two cores."""
ALONE = "without a pack"
"""Key for the times of inspections that use the user's own images. No pack has such a name."""
PER_PROBE = 2e-4
"""Estimated seconds that one reference model takes for one probe of at most 784 values."""


class Pace:
    """The last measured times of the stages, by pack. All sessions share them."""

    def __init__(self) -> None:
        self._seen: dict[str, dict[str, float]] = {}
        self._lock = threading.Lock()

    def learn(self, pack: str, timings: Mapping[str, float]) -> None:
        """Store the seconds per stage of a finished inspection."""
        with self._lock:
            self._seen[pack] = {**self._seen.get(pack, {}), **timings}

    def expected(self, pack: Pack | None, settings: Settings, alone: bool = False) -> dict[str, float]:
        """Expected seconds of each stage, in order. ``alone`` means the user's own images instead of a pack."""
        usual = usual_seconds()
        with self._lock:
            known = usual | self._seen.get(ALONE if alone else pack.name if pack else "", {})
        streams = [stream_class(name) for name in STREAMS if name in settings.streams]
        if alone:
            stages = ["opening", "preprocessing", *(s.name for s in streams if s.usual is not None)]
        else:
            stages = ["opening", "preprocessing", "probes"]
            for stream in streams:
                stages += [stream.name, f"{stream.name} reference"]
                if stream.on_probes:
                    stages += ["saliency verdict", "pictures"]
        stages += ["verdict", "trigger", "case"]
        found = {name: max(known.get(name, 0.0), 0.01) for name in stages}
        if pack is not None:
            missing = missing_evidence(pack, settings)
            for name in missing:
                found[f"{name} reference"] = self.reference_seconds(pack, settings.with_(streams=(name,)))
        return found

    def reference_seconds(self, pack: Pack, settings: Settings) -> float:
        """Seconds to compute the reference models' evidence at these settings; 0 if the pack contains it."""
        members = sum(not m.held_out for m in pack.members)
        channels, height, width = pack.input_shape
        usual = usual_seconds()
        with self._lock:
            known = usual | self._seen.get(pack.name, {})
        total = 0.0
        for name in missing_evidence(pack, settings):
            if stream_class(name).on_probes:
                probes = 3 * settings.images * len(settings.trigger_kinds)
                total += members * probes * PER_PROBE * max(1.0, channels * height * width / 784)
            else:
                total += members * known.get(name, 1.0)
        return total


def usual_seconds() -> dict[str, float]:
    """Seconds of every stage for small networks on two cores."""
    return DEFAULT | {name: stream_class(name).seconds for name in STREAMS}


def missing_evidence(pack: Pack, settings: Settings) -> list[str]:
    """The streams for which the pack has no evidence of the reference models at these settings."""
    from ti_core.reference.reference import Reference
    from ti_core.system.cache import Cache

    reference = Reference(pack, settings, Cache(None))
    return [stream.name for stream in make_streams(settings) if not reference.serves_baseline(stream)]


def progress(expected: Mapping[str, float], stage: str, share: float) -> float:
    """The finished share of the inspection, 0 to 1, when ``share`` of ``stage`` is finished."""
    done = 0.0
    for name, seconds in expected.items():
        if name == stage:
            return min(1.0, (done + share * seconds) / sum(expected.values()))
        done += seconds
    return 0.0


def seconds_left(expected: Mapping[str, float], stage: str, share: float, elapsed: float) -> float:
    """The seconds left, from the expected times and the speed of this run so far."""
    total = sum(expected.values())
    done = progress(expected, stage, share) * total
    # The first second says little about the machine, so the expected speed counts as three measured seconds.
    speed = (elapsed + 3.0) / (done + 3.0)
    return max(0.0, (total - done) * min(max(speed, 0.3), 10.0))
