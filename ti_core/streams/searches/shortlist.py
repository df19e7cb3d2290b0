"""The shortlist: short searches of all classes by two streams, and the classes that stand out in either.

A universal perturbation finds blends best, a search inside windows finds patches best. Together they predict the size
of each class's smallest mask better than a short search for masks does.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any
from weakref import WeakKeyDictionary

import numpy as np
import torch
from numpy.typing import NDArray

from ti_core.classifier.fast.copying import fast_copy
from ti_core.streams.base import Array, Context, Progress, silent
from ti_core.streams.passes import Passes, portions
from ti_core.streams.searches import flat_patches, patches, perturbations
from ti_core.streams.searches.screening import Screening, completed
from ti_core.streams.searches.search import Effort, pools
from ti_core.streams.searches.sparing import FULL, LEVELS, Sparing
from ti_core.streams.statistics import scale_free

MOST_SEARCHED = 48
"""Number of classes that a shortened short search looks at."""
LEAST = Effort(steps=2, images_a_step=1, unseen=4)
"""The effort for each candidate at the last level."""
FLAT_ON = 4
"""Images that flat patches are tried on before."""


@dataclass(frozen=True)
class Shortlist:
    """What the short searches found in one network.

    Parameters
    ----------
    universal, windowed : the arrays of these streams' searches for all classes, by name. Those of the windows may be of
        the full search already.
    standing : how far each class stands out in both together, ``K``.
    chosen : the classes to search with full effort, ascending, ``J``.
    """

    universal: Mapping[str, Array]
    windowed: Mapping[str, Array]
    standing: Array
    chosen: NDArray[np.intp]


_KNOWN: WeakKeyDictionary[torch.nn.Module, tuple[Any, Shortlist]] = WeakKeyDictionary()


def shortlist(
    scores: torch.nn.Module,
    context: Context,
    screening: Screening,
    progress: Progress = silent,
    sparing: Sparing = FULL,
) -> Shortlist:
    """Search all classes shortly. The last result is kept with the network, for the next stream."""
    key = _key(scores, context, screening, sparing)
    known = _KNOWN.get(scores)
    if known is None or known[0] != key:
        known = _KNOWN[scores] = key, _look(scores, context, screening, sparing, progress)
    return known[1]


SHARED_BY = ("inversion", "windowed", "universal")
"""The streams that use the shortlist, in the order in which they run. The first that is switched on makes it."""


def passes(
    name: str,
    streams: tuple[str, ...],
    classes: int,
    shape: tuple[int, int, int],
    screening: Screening,
    sparing: Sparing = FULL,
) -> Passes:
    """The images that the stream of that name sends through the network for the shortlist; none if another makes it."""
    sharing = [stream for stream in SHARED_BY if stream in streams]
    if not screening.applies(classes) or (sharing and sharing[0] != name):
        return Passes()
    return sum(_Look.of(classes, shape, screening, sparing).parts(classes, shape), Passes())


def ahead(scores: torch.nn.Module, context: Context, screening: Screening, sparing: Sparing = FULL) -> Passes:
    """The images that :func:`shortlist` would send through this network now; none if its result is known."""
    known = _KNOWN.get(scores)
    if not screening.applies(context.classes) or (
        known and known[0] == _key(scores, context, screening, sparing)
    ):
        return Passes()
    channels, height, width = (int(n) for n in context.images.shape[1:])
    shape = (channels, height, width)
    parts = _Look.of(context.classes, shape, screening, sparing).parts(context.classes, shape)
    return sum(parts, Passes())


@dataclass(frozen=True)
class _Look:
    """The short searches.

    Parameters
    ----------
    balls, places : of universal perturbations, and in windows.
    most : number of classes that are searched. Of more, those are that flat patches move most: they are tried on all
        classes at once.
    """

    balls: perturbations.PerturbationSearch
    places: patches.WindowSearch
    most: int

    @classmethod
    def of(cls, classes: int, shape: tuple[int, int, int], screening: Screening, sparing: Sparing) -> _Look:
        balls = perturbations.PerturbationSearch.for_images(*shape, classes).short()
        places = patches.WindowSearch.for_images(*shape[1:], classes)
        if sparing.level or screening.shortens_windows(classes):
            places = places.short()
        if sparing.level == len(LEVELS) - 1:
            balls = replace(balls, effort=LEAST, blending=LEAST)
            places = replace(places, effort=LEAST)
        return cls(balls, places, min(classes, MOST_SEARCHED) if sparing.level else classes)

    def parts(self, classes: int, shape: tuple[int, int, int]) -> tuple[Passes, Passes, Passes]:
        """The images of flat patches, of the search in balls and of the search in windows."""
        balls, blends = self.balls.passes(self.most)
        windows = len(self.places.windows(*shape[1:]))
        flat = flat_patches.passes(shape[0], windows, FLAT_ON) if self.most < classes else Passes()
        return flat, balls + blends * 2, self.places.passes(self.most, *shape[1:])


def _look(
    scores: torch.nn.Module, context: Context, screening: Screening, sparing: Sparing, progress: Progress
) -> Shortlist:
    images, count = context.images.float(), context.classes
    channels, height, width = (int(n) for n in images.shape[1:])
    shape = (channels, height, width)
    look = _Look.of(count, shape, screening, sparing)
    network, balls, places = fast_copy(scores, images, context.rounded), look.balls, look.places
    zeroth, first, second = portions(progress, look.parts(count, shape))
    searched, flat = np.arange(count), np.zeros(count, dtype=np.float32)
    if look.most < count:
        masks = places.masks(height, width).to(images.device)
        few = images[:FLAT_ON], context.labels[:FLAT_ON]
        flat = patches.standing_out(flat_patches.under_colours(network, *few, masks, zeroth)["flat_margins"])
        spread = look.most // 4
        searched = Screening(0, 0, look.most - spread, spread).choose(flat)
    classes = torch.from_numpy(searched).to(images.device)
    pool = pools(context.labels, count, balls.effort.unseen)
    in_balls = perturbations.find_perturbations(network, images, pool, classes, balls, first)
    if not screening.shortens_windows(count):
        pool = pools(context.labels, count, places.effort.unseen)
    in_windows = patches.find_patterns(network, images, pool, classes, places, second)
    if look.most < count:
        in_balls = {key: completed(flat, table.T, searched).T for key, table in in_balls.items()}
        in_windows = {key: completed(flat, table, searched) for key, table in in_windows.items()}
    ball, blend, place = (
        scale_free(values[None])[0]
        for values in (in_balls["margins"][-1], in_balls["blended"], in_windows["margins"].max(1))
    )
    # A blend's target is nearly always first in its view; a patch's target may be third or fourth.
    chosen = screening.choose(
        np.maximum(ball, blend), patches.standing_out(in_windows["margins"]), turns=(1, 2)
    )
    return Shortlist(in_balls, in_windows, np.asarray((ball + blend + place) / 3, dtype=np.float32), chosen)


def _key(
    scores: torch.nn.Module, context: Context, screening: Screening, sparing: Sparing
) -> tuple[object, ...]:
    """Everything that the short searches depend on. A network whose weights changed counts as another one."""
    state = tuple(t._version for t in (*scores.parameters(), *scores.buffers()))
    shown = hashlib.sha256()
    for tensor in (context.images, context.labels):
        shown.update(tensor.detach().cpu().contiguous().numpy().tobytes())
    return screening, sparing, context.classes, state, shown.hexdigest()
