"""The work of a stream, as numbers of images that go through the network."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from ti_core.classifier.first_pass import BACKWARD, FirstPass


@dataclass(frozen=True)
class Passes:
    """Numbers of images that a piece of work sends through a network.

    Parameters
    ----------
    forward : images that go forward only.
    both : images that go forward, and whose gradient comes back to the pixels.
    """

    forward: int = 0
    both: int = 0

    def __add__(self, other: Passes) -> Passes:
        return Passes(self.forward + other.forward, self.both + other.both)

    def __mul__(self, count: int) -> Passes:
        return Passes(self.forward * count, self.both * count)

    def seconds(self, first: FirstPass) -> float:
        """Seconds that the work takes with a network of that first pass."""
        return self.forward * first.forward + self.both * first.both

    @property
    def weight(self) -> float:
        """The work in forward passes, to compare pieces of work on one network."""
        return self.forward + BACKWARD * self.both


def portions(progress: Callable[[float], None], work: Sequence[Passes]) -> list[Callable[[float], None]]:
    """Progress callbacks of consecutive pieces of work. Each moves ``progress`` by its portion of the whole work."""
    total = sum(piece.weight for piece in work) or 1.0
    starts = [sum(piece.weight for piece in work[:i]) / total for i in range(len(work))]

    def part(start: float, length: float) -> Callable[[float], None]:
        return lambda share: progress(min(1.0, start + share * length))

    return [part(start, piece.weight / total) for start, piece in zip(starts, work, strict=True)]
