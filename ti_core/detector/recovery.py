"""The recovered trigger as evidence: the share of clean networks that give way as far, to as small a change.

Clean networks give way too. On many of them one patch or one faint pattern turns nearly all images. So a recovered
trigger is evidence only beyond what the same search does to the clean reference models.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass

from ti_core.detector.grounds import GROUND

POWER = 0.5
"""Share of backdoored networks whose recovered trigger stands so far beyond the clean ones."""


@dataclass(frozen=True)
class Recovery:
    """What the recovery did to one network.

    Parameters
    ----------
    target : the class that the trigger was made for.
    flip_share : share of unseen images that it turns, 0 to 1.
    change : how much of an image it replaces, 0 to 1.
    """

    target: int
    flip_share: float
    change: float

    def as_far_as(self, other: Recovery) -> bool:
        """Whether this network gives way as far, to as small a change."""
        return self.flip_share >= other.flip_share and self.change <= other.change


def share_beyond(own: Recovery, clean: Iterable[Recovery]) -> float:
    """The share of clean networks that give way as far as ``own``, 0 to 1; NaN if there are none.

    ``own`` counts as one more of them, as in conformal prediction, so that few networks make for a large share.
    """
    reached = [other.as_far_as(own) for other in clean]
    return (1 + sum(reached)) / (1 + len(reached)) if reached else math.nan


def weight(share: float) -> float:
    """What a recovered trigger adds to the log-odds of a backdoor; 0 unless it is a ground for an alarm."""
    return math.log(POWER / share) if share <= GROUND else 0.0
