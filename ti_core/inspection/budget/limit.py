"""A stream within the time and the memory: if either ends in the middle of it, the inspection goes on without it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar

from ti_core.inspection.clock import Clock
from ti_core.inspection.forecast import Forecast
from ti_core.inspection.result import Inspection
from ti_core.streams import Stream
from ti_core.system.memory import is_out_of_memory
from ti_core.system.progress import ShareProgress

Found = TypeVar("Found")


class _OutOfTimeError(Exception):
    """The time of the inspection is over in the middle of a stream."""


@dataclass(frozen=True)
class Limit:
    """Runs streams. Those that do not end are noted in the result.

    Parameters
    ----------
    result, clock : of the inspection.
    forecast : knows the time that is left; None if the inspection may take any time.
    """

    result: Inspection
    clock: Clock
    forecast: Forecast | None

    def has_time(self, stream: Stream, judged: bool) -> bool:
        """Whether there is time and memory to begin a stream. Without a verdict so far, no stream comes too late."""
        if stream.begins_from in self.result.too_large:
            self.result.too_large += (stream.name,)
            return False
        return self.forecast is None or not self.forecast.leaves_out(stream, judged)

    def run(self, stream: Stream, judged: bool, compute: Callable[[ShareProgress], Found]) -> Found | None:
        """What ``compute`` gives, timed under the stream's name; None if time or memory ended in the middle of it.

        Parameters
        ----------
        judged : whether a verdict can be given without this stream. If not, it is not broken off for want of time,
            and want of memory is an error.
        """

        def share(done: float) -> None:
            self.clock.share(done)
            if judged and self.forecast is not None and self.forecast.overdue():
                raise _OutOfTimeError

        try:
            with self.clock.stage(stream.name):
                found = compute(share)
        except _OutOfTimeError:
            assert self.forecast is not None
            self.forecast.leave_out(stream)
            return None
        except (MemoryError, RuntimeError) as error:
            if not judged or not is_out_of_memory(error):
                raise
            self.result.too_large += (stream.name,)
            return None
        if self.forecast is not None and self.clock.sources.get(stream.name) == "computed":
            self.forecast.took(stream.name, self.clock.timings[stream.name])
        return found
