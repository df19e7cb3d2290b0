"""No alarm without a ground."""

from __future__ import annotations

import math

import pytest

from ti_core.detector.detector import Assessment
from ti_core.detector.grounds import GROUND, grounded
from ti_core.streams import Reading


def readings(**shares: float) -> dict[str, Reading]:
    return {name: Reading(1.0, share, "x", 0) for name, share in shares.items()}


ALARM = Assessment("backdoored", 0.68, "patch", 0.2, 0.5)


def test_an_alarm_over_a_network_that_no_stream_finds_unusual_becomes_inconclusive() -> None:
    found = grounded(ALARM, readings(saliency=0.0, universal=0.29, windowed=0.59, inversion=0.82))
    assert (found.verdict, found.trigger_kind, found.probability) == ("inconclusive", None, 0.68)


@pytest.mark.parametrize("share", [0.0, GROUND])
def test_one_stream_is_ground_enough(share: float) -> None:
    assert grounded(ALARM, readings(universal=0.6, windowed=share, inversion=math.nan)) == ALARM


def test_other_verdicts_stay() -> None:
    clean = Assessment("clean", 0.02, None, 0.5, 0.5)
    assert grounded(clean, readings(universal=0.6)) == clean
