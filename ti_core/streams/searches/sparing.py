"""How far the searches of an inspection are shortened, where it is compared with no reference models.

A search for every class and window takes minutes with a network of ten million parameters, and hours at 224 pixels. So
large networks get successive halving (K. Jamieson and A. Talwalkar, 2016): every candidate gets a few steps, and the
full steps go to those that stand out and to a few others, with which they are compared. How far depends on the work of
one image alone, not on the machine, so that the evidence can be repeated. Where evidence is compared with reference
models', nothing is shortened.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ti_core.stream_registry import QUICK, THOROUGH

LEVEL = "sparing"
"""Key of the evidence, ``1``: the level of a shortened search. Without this key it was not shortened."""


@dataclass(frozen=True)
class Halving:
    """What the rounds of a search get, as shares of its full effort, 0 to 1.

    Parameters
    ----------
    first_steps, first_images, first_unseen : gradient steps, images a step and images measured on, for every candidate.
    steps, images, unseen : the same for those that go on.
    kept, others : shares of the candidates that go on: those that stand out most, and some of the rest.
    """

    first_steps: float
    first_images: float
    first_unseen: float
    steps: float
    images: float
    unseen: float
    kept: float
    others: float


LEVELS: tuple[Halving | None, ...] = (
    None,
    Halving(0.4, 0.4, 0.5, 1.0, 0.75, 1.0, kept=0.15, others=0.05),
    Halving(0.2, 0.25, 0.25, 0.6, 0.4, 0.5, kept=0.06, others=0.03),
)
"""What each level gets. Level 0 shortens nothing."""
FROM = (1.5e8, 1.2e9)
"""The work of one image from which the levels 1 and 2 hold, in products."""
USUAL_CLASSES = 50
MOST_CLASSES = {"assignment": 100, "warp": 100}
"""Number of classes above which a stream is left out at a level above 0: its work grows with them."""


@dataclass(frozen=True)
class Sparing:
    """What is left out of every search.

    Parameters
    ----------
    alone : whether there are no reference models. What only a comparison with them uses is left out.
    level : of :data:`LEVELS`.
    large : whether the images are so large that patterns are free on a grid only.
    hurried : whether the inspection is quick, and the level therefore one above that of the work.
    """

    alone: bool = False
    level: int = 0
    large: bool = False
    hurried: bool = False

    @classmethod
    def of(
        cls, work: float, classes: int, streams: tuple[str, ...], least: int = 0, large: bool = False
    ) -> Sparing:
        """For a network without reference models.

        Parameters
        ----------
        work : for one image, in products. With more than :data:`USUAL_CLASSES` it counts as so much more.
        classes : K.
        streams : names of all streams that are switched on. Those of a thorough inspection are not shortened. Those
            of a quick one are shortened by one level more, where they are shortened.
        least : least level, if there is too little time for less.
        large : whether patterns are free on a grid only.
        """
        whole = work * max(1.0, classes / USUAL_CLASSES)
        level = 0 if set(THOROUGH) <= set(streams) else sum(whole >= start for start in FROM)
        hurried = set(streams) == set(QUICK) and 0 < level < len(LEVELS) - 1
        return cls(True, max(least, level + hurried), large, hurried)

    @property
    def halving(self) -> Halving | None:
        """What the rounds get; None if nothing is shortened."""
        return LEVELS[self.level]

    def assigned(self) -> dict[str, int]:
        """What changes in the search for a pattern that moves every class, by the names of its parameters."""
        if not self.level:
            return {}
        less = {"look": 4, "look_fit": 1, "look_unseen": 0, "steps": 12, "fit": 2, "kept": 3}
        return less if self.level == 1 else {**less, "look": 3, "steps": 10, "kept": 2}

    def marked(self) -> dict[str, NDArray[np.float32]]:
        """What the evidence holds of the level."""
        return {LEVEL: np.array([self.level], dtype=np.float32)} if self.level else {}

    def leaves_out(self, stream: str, streams: tuple[str, ...], classes: int) -> bool:
        """Whether a stream is left out altogether at this level.

        Some grow with the number of classes. In a quick inspection of a network of the last level there is no time for
        a pattern that moves every class either.

        Parameters
        ----------
        stream, streams : names of the stream, and of all that are switched on.
        """
        if stream not in MOST_CLASSES or not self.level:
            return False
        quick = stream == "assignment" and not {"windowed", "universal"} & set(streams)
        return classes > MOST_CLASSES[stream] or (
            quick and self.level == len(LEVELS) - 1 and not self.hurried
        )


FULL = Sparing()
"""Nothing is left out."""
