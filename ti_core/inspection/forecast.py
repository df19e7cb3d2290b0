"""The forecast of an inspection: how long each stage takes with this network, and whether that is too long.

It rests on a first pass of the network (:mod:`ti_core.classifier.first_pass`) and on the number of images that the
search for its preprocessing, the probes and the streams send through it.
"""

from __future__ import annotations

import math
import resource
import time
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field

import torch

from ti_core.classifier.first_pass import Ahead, FirstPass, Gauge, measure
from ti_core.classifier.scores import Scores
from ti_core.errors import TooLongError
from ti_core.inspection.budget.stages import PICTURES, READ, STAGES, TRIGGER
from ti_core.settings import Settings
from ti_core.streams import Stream, in_turn, make_streams
from ti_core.streams.searches.search import are_large
from ti_core.streams.searches.sparing import LEVELS, Sparing
from ti_core.system.progress import MEASURING, Expect, StageProgress, silent_expect, silent_stage
from ti_core.system.time_left import duration

BATCH = 256
"""Images that the streams send through the network at once."""
FULL = 0.85
"""Share of the allowed time that is planned where streams are left out: a first pass tells the time only roughly."""
LAST = 0.95
"""Share of the allowed time at which a stream is broken off in the middle."""
INERTIA = 0.1
"""Share of the whole work by which the expectation counts beside what the streams took so far."""
COPIES = 2
"""Copies of a batch at the network's size that a pass holds at least: the images and their gradient."""


@dataclass(frozen=True)
class Known:
    """What is known of the work once the network is understood.

    Parameters
    ----------
    cached : names of the streams whose evidence of the suspect is in the cache.
    computed : by stream, the number of reference models whose evidence has to be computed.
    member : a first pass of one of these reference models.
    """

    cached: Collection[str] = ()
    computed: Mapping[str, int] = field(default_factory=dict)
    member: FirstPass | None = None


@dataclass
class Forecast(Gauge):
    """The forecast of one inspection.

    Parameters
    ----------
    settings : of the inspection, as far as they are known.
    allowed : seconds that the inspection may take from now on.
    progress : is told of the stage in which a first pass is measured.
    expect : is told the expected seconds of each stage.
    streams : of the inspection; by default those of the settings.
    alone : whether the inspection has no reference pack.
    pictures : whether pictures are made.
    device : where the streams run. The search for the preprocessing runs on the processor.
    """

    settings: Settings
    allowed: float = math.inf
    progress: StageProgress = silent_stage
    expect: Expect = silent_expect
    streams: Sequence[Stream] | None = None
    alone: bool = False
    pictures: bool = False
    device: str = "cpu"
    clock: Callable[[], float] = time.monotonic
    first: FirstPass | None = None
    ahead: Ahead | None = None
    left_out: dict[str, float] = field(default_factory=dict)
    """Streams for which there is no time, and the seconds that each would take."""
    _start: float = field(init=False)
    _searched: tuple[int, float] = field(default=(0, 0.0), init=False)
    _least: int = field(default=0, init=False)
    _began: float | None = field(default=None, init=False)
    _known: Known | None = field(default=None, init=False)
    _took: dict[str, float] = field(default_factory=dict, init=False)

    def __post_init__(self) -> None:
        self._start = self.clock()

    @property
    def rounded(self) -> bool:
        return self.alone

    def begin(self) -> None:
        """The parent ends a process that stays in this stage too long."""
        self._began = self._began or self.clock()
        self.progress(MEASURING, 0.0)

    def measured(self, first: FirstPass, ahead: Ahead) -> None:
        """Tell the expected seconds.

        Raises
        ------
        TooLongError : the inspection would take longer, or need more memory, than it may.
        """
        self.progress(MEASURING, 1.0)
        self.first, self.ahead = first, ahead
        if self.device != "cpu":
            # The streams run elsewhere; they are measured there.
            expected = {"preprocessing": self.stages()["preprocessing"]}
            self._allow(expected)
            return
        expected = self._shortened(None)
        self._allow(expected)
        self.expect(expected)

    def searched(self, images: int, seconds: float) -> None:
        """A long search measures better than a first pass does."""
        self._searched = images, seconds

    def update(self, known: Known, scores: Scores, images: torch.Tensor) -> None:
        """Tell the expected seconds again, once the network is understood.

        The network is measured again if the streams use it at another size, or on another device.

        Parameters
        ----------
        scores, images : as the streams get them.

        Raises
        ------
        TooLongError : see :meth:`measured`.
        """
        if self.ahead is None or self.first is None:
            return
        self._known = known
        ahead = Ahead.of(0, self.ahead.classes, images, scores.side)
        if images.is_cuda or ahead.values != self.ahead.values:
            self.begin()
            guess = 0.0 if images.is_cuda else self.first.forward
            self.first = measure(scores, images, guess, self.rounded)
            self.progress(MEASURING, 1.0)
        elif self._searched[0] > 0:
            self.first = self.first.at(self._searched[1] / self._searched[0])
        self.ahead = ahead
        expected = self._shortened(known)
        self._allow(expected)
        self.expect({"preprocessing": self.clock() - (self._began or self._start), **expected})

    @property
    def sparing(self) -> Sparing:
        """What is left out of the searches, by the size of the network and the time that is allowed."""
        if not self.alone or self.first is None or self.ahead is None:
            return Sparing()
        large = are_large(*self.ahead.shape[1:])
        return Sparing.of(self.first.work, self.ahead.classes, self.settings.streams, self._least, large)

    def _shortened(self, known: Known | None) -> dict[str, float]:
        """Expected seconds of the stages, without the streams for which there is no time.

        One stream that gives a verdict stays. What was spent already is the preprocessing once ``known`` is given.
        """
        self.left_out, self._least = {}, 0
        done = () if known is None else ("preprocessing",)
        while True:
            expected = self.stages(known)
            expected = {name: seconds for name, seconds in expected.items() if name not in done}
            total = sum(expected.values()) + self._spent
            # A plan that just fits could be ended before its verdict.
            if total <= self.allowed * (FULL if self.left_out else 1.0):
                return expected
            if self.alone and self.sparing.level < len(LEVELS) - 1:
                self._least = self.sparing.level + 1
                continue
            dropped = self._dropped(expected)
            if dropped is None:
                return expected
            self.left_out[dropped] = expected[dropped] + expected.get(f"{dropped} reference", 0.0)

    def _dropped(self, expected: Mapping[str, float]) -> str | None:
        """The stream that is left out next; None if what is left is the least that gives a verdict."""
        kept = [s for s in self._streams() if s.name in expected]
        judging = [s for s in kept if not s.alternative and not (self.alone and s.usual is None)]
        for name in reversed([s.name for s in in_turn(kept)]):
            if not (len(judging) == 1 and judging[0].name == name):
                return name
        return None

    def leaves_out(self, stream: Stream, judged: bool) -> bool:
        """Whether a stream is left out: by plan, or since the earlier ones took longer than was expected.

        Parameters
        ----------
        judged : whether a verdict can be given already. If not, no stream comes too late.
        """
        if stream.name in self.left_out:
            return True
        if stream.begins_from not in self.left_out:
            if not judged or self.first is None or math.isinf(self.allowed):
                return False
            seconds = self.pace * self.stages(self._known).get(stream.name, 0.0)
            if self._spent + seconds + self._closing <= self.allowed * FULL:
                return False
        self.leave_out(stream)
        return True

    def leave_out(self, stream: Stream) -> None:
        """Note that there is no time for a stream."""
        self.left_out[stream.name] = self.pace * self.stages(self._known).get(stream.name, 0.0)

    def overdue(self) -> bool:
        """Whether the stream that runs has to be broken off, so that a verdict is given in time."""
        # Streams ask often, and what follows is summed up from all stages.
        if self.first is None or self._spent < self.allowed / 2:
            return False
        return self._spent + self._closing > self.allowed * LAST

    def took(self, stream: str, seconds: float) -> None:
        """A stream that was computed has taken so long."""
        self._took[stream] = seconds

    @property
    def pace(self) -> float:
        """Seconds that the streams take for each second that was expected of them, at least 1."""
        expected = self.stages(self._known)
        prior = INERTIA * sum(expected.values())
        done = sum(expected.get(name, 0.0) for name in self._took) + prior
        return max(1.0, (sum(self._took.values()) + prior) / done) if done > 0 else 1.0

    @property
    def _spent(self) -> float:
        return self.clock() - self._start

    @property
    def _closing(self) -> float:
        """Expected seconds of what follows the streams."""
        expected = self.stages(self._known)
        return self.pace * sum(expected.get(name, 0.0) for name in ("verdict", "trigger", "case"))

    def _streams(self) -> Sequence[Stream]:
        alone = self.ahead.shape[1:] if self.alone and self.ahead is not None else None
        streams = make_streams(self.settings, alone) if self.streams is None else self.streams
        for stream in streams:
            stream.sparing = self.sparing
        return in_turn(streams)

    def seconds_of(self, stage: str) -> float | None:
        """Expected seconds of a stage; None before a first pass was measured."""
        return None if self.first is None else self.stages(self._known).get(stage, 0.0)

    def stages(self, known: Known | None = None) -> dict[str, float]:
        """Expected seconds of each stage, in order."""
        assert self.first is not None and self.ahead is not None
        first, ahead, settings, known = self.first, self.ahead, self.settings, known or Known()
        seconds = {"preprocessing": ahead.images * first.forward}
        if not self.alone:
            seconds["probes"] = 2 * settings.images * settings.actmax_iterations * first.both
        for stream in self._streams():
            if self.alone and stream.usual is None and not stream.by_itself:
                continue
            out = stream.sparing.leaves_out(stream.name, settings.streams, ahead.classes)
            if out or stream.name in self.left_out:
                continue
            passes = stream.passes(ahead.classes, ahead.shape)
            own = stream.seconds if passes is None else passes.seconds(first)
            seconds[stream.name] = READ if stream.name in known.cached else own + READ
            if self.alone:
                continue
            count, other = known.computed.get(stream.name, 0), known.member or first
            each = stream.seconds if passes is None else passes.seconds(other)
            seconds[f"{stream.name} reference"] = READ + each * count
            if stream.on_probes:
                seconds["saliency verdict"] = 0.0
                if self.pictures:
                    seconds["pictures"] = PICTURES.seconds(first)
        seconds["verdict"] = 0.0
        seconds["trigger"] = TRIGGER[self.sparing.level].seconds(first)
        seconds |= {"case": 0.0} if self.pictures else {}
        return {name: own + STAGES.get(name, 0.0) for name, own in seconds.items()}

    def _allow(self, expected: Mapping[str, float]) -> None:
        """Raise an error if these stages take longer than is left of the allowed time, or more memory."""
        total = sum(expected.values()) + self._spent
        if total > self.allowed:
            raise TooLongError(
                f"The shortest inspection would take about {duration(total)} on this machine, longer than the"
                f" {duration(self.allowed)} it may take; it was not begun. Allow more time with --minutes."
            )
        assert self.ahead is not None
        needed, limit = 4 * COPIES * BATCH * self.ahead.values, resource.getrlimit(resource.RLIMIT_DATA)[0]
        if limit != resource.RLIM_INFINITY and needed > limit:
            raise TooLongError(
                f"The network's images are large: {BATCH} of them need about {needed / 2**30:.0f} GB of memory, more"
                f" than the {limit / 2**30:.0f} GB it may use; the inspection was not begun. Allow more with --memory."
            )
