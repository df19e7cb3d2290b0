"""No alarm without a ground: some stream must find the network unusual among the clean reference models.

The joint meta-model adds up what several streams say. It can call a network backdoored in which no single stream found
anything that clean networks do not have. Such a verdict is not made.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import replace

from ti_core.detector.detector import Assessment
from ti_core.streams import stream_class
from ti_core.streams.base import Reading

GROUND = 0.05
"""Largest share of clean reference models that go as far, in a stream that is a ground for an alarm.

Nearly all fitted members of the four bundled packs that the joint meta-model calls backdoored have such a stream.
``python -m benchmarks.grounds`` prints how many, and how many false alarms it removes.
"""


def has_ground(readings: Mapping[str, Reading]) -> bool:
    """Whether a stream that compares classes with clean models found the network unusual."""
    return any(
        reading.clean_share <= GROUND
        for name, reading in readings.items()
        if not stream_class(name).on_probes
        and not stream_class(name).by_itself
        and not math.isnan(reading.clean_share)
    )


def grounded(
    assessment: Assessment, readings: Mapping[str, Reading], recovered: float = math.nan
) -> Assessment:
    """The assessment, which is inconclusive where it would be an alarm without a ground.

    Parameters
    ----------
    recovered : share of clean networks that give way as far to a recovered trigger, which may be the ground; NaN if
        that is not known.
    """
    if assessment.verdict != "backdoored" or has_ground(readings) or recovered <= GROUND:
        return assessment
    return replace(assessment, verdict="inconclusive", trigger_kind=None)
