"""The recovered trigger counts only beyond what the same search does to clean networks."""

from __future__ import annotations

import math

import pytest

from ti_core.detector.detector import Assessment
from ti_core.detector.grounds import GROUND, grounded
from ti_core.detector.recovery import POWER, Recovery, share_beyond, weight
from ti_core.streams import Reading

CLEAN = [Recovery(0, 0.99, 0.08), Recovery(1, 0.95, 0.2), Recovery(2, 0.5, 0.05), Recovery(3, 0.9, 0.05)]


@pytest.mark.parametrize(
    ("flips", "change", "as_far"),
    [(0.95, 0.08, 1), (0.95, 0.2, 2), (0.9, 0.05, 1), (0.91, 0.05, 0), (0.4, 0.3, 4), (1.0, 1.0, 0)],
)
def test_a_clean_network_goes_as_far_that_flips_as_many_by_as_small_a_change(
    flips: float, change: float, as_far: int
) -> None:
    assert share_beyond(Recovery(7, flips, change), CLEAN) == pytest.approx((1 + as_far) / 5)


def test_without_clean_networks_nothing_is_known() -> None:
    assert math.isnan(share_beyond(CLEAN[0], []))


def test_what_clean_networks_do_too_adds_nothing() -> None:
    assert [weight(s) for s in (GROUND + 1e-6, 0.5, 1.0, math.nan)] == [0, 0, 0, 0]
    assert weight(0.01) == pytest.approx(math.log(POWER / 0.01)) and weight(GROUND) > 2


def test_what_no_clean_network_does_is_a_ground_for_an_alarm() -> None:
    alarm = Assessment("backdoored", 0.68, "patch", 0.2, 0.5)
    usual = {"windowed": Reading(1.0, 0.59, "x", 0)}
    assert grounded(alarm, usual, GROUND) == alarm
    assert grounded(alarm, usual, 0.2).verdict == grounded(alarm, usual).verdict == "inconclusive"
