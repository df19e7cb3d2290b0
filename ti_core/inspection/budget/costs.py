"""What each effort costs with one model, from one measured pass."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace

from ti_core.classifier.first_pass import Ahead, FirstPass
from ti_core.inspection.forecast import Forecast, Known
from ti_core.settings import Settings
from ti_core.stream_registry import EFFORTS


class MeasuredError(Exception):
    """A first pass was measured, and nothing more is wanted."""


@dataclass
class Scales(Forecast):
    """Measures a first pass of a network, and ends the work there.

    Parameters
    ----------
    lacking : by settings, the evidence of reference models that an inspection would have to compute first.

    Raises
    ------
    MeasuredError : as soon as the pass is measured.
    """

    lacking: Callable[[Settings], Known] = field(default=lambda settings: Known())

    def measured(self, first: FirstPass, ahead: Ahead) -> None:
        self.progress("measuring", 1.0)
        self.first, self.ahead = first, ahead
        raise MeasuredError

    def costs(self) -> dict[str, float]:
        """Expected seconds of each effort, the standard one with the settings' own streams; none before a pass.

        The search for a trigger, which only a suspicious model gets, is counted in.
        """
        if self.first is None or self.ahead is None:
            return {}
        return {effort: self._seconds(self.settings.of_effort(effort)) for effort in EFFORTS}

    def _seconds(self, settings: Settings) -> float:
        stages: Mapping[str, float] = replace(self, settings=settings).stages(self.lacking(settings))
        return sum(stages.values())
