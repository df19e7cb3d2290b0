"""The shortlist: short searches of all classes by two streams, and the classes that stand out in either.

A universal perturbation finds blends best, a search inside windows finds patches best. Together they predict the size
of each class's smallest mask better than a short search for masks does.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from weakref import WeakKeyDictionary

import numpy as np
import torch
from numpy.typing import NDArray

from ti_core.classifier.fast.copying import fast_copy
from ti_core.streams.base import Array, Context, Progress, silent
from ti_core.streams.passes import Passes, portions
from ti_core.streams.searches import patches, perturbations
from ti_core.streams.searches.screening import Screening
from ti_core.streams.searches.search import pools
from ti_core.streams.statistics import scale_free


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
    scores: torch.nn.Module, context: Context, screening: Screening, progress: Progress = silent
) -> Shortlist:
    """Search all classes shortly. The last result is kept with the network, for the next stream."""
    key = _key(scores, context, screening)
    known = _KNOWN.get(scores)
    if known is None or known[0] != key:
        known = _KNOWN[scores] = key, _look(scores, context, screening, progress)
    return known[1]


SHARED_BY = ("inversion", "windowed", "universal")
"""The streams that use the shortlist, in the order in which they run. The first that is switched on makes it."""


def passes(
    name: str, streams: tuple[str, ...], classes: int, shape: tuple[int, int, int], screening: Screening
) -> Passes:
    """The images that the stream of that name sends through the network for the shortlist; none if another makes it."""
    sharing = [stream for stream in SHARED_BY if stream in streams]
    if not screening.applies(classes) or (sharing and sharing[0] != name):
        return Passes()
    return sum(_parts(classes, shape, screening), Passes())


def ahead(scores: torch.nn.Module, context: Context, screening: Screening) -> Passes:
    """The images that :func:`shortlist` would send through this network now; none if its result is known."""
    known = _KNOWN.get(scores)
    if not screening.applies(context.classes) or (known and known[0] == _key(scores, context, screening)):
        return Passes()
    channels, height, width = (int(n) for n in context.images.shape[1:])
    return sum(_parts(context.classes, (channels, height, width), screening), Passes())


def _parts(classes: int, shape: tuple[int, int, int], screening: Screening) -> tuple[Passes, Passes]:
    """The images of the search in balls and of the search in windows."""
    balls, blends = perturbations.PerturbationSearch.for_images(*shape, classes).short().passes(classes)
    places = patches.WindowSearch.for_images(*shape[1:], classes)
    if screening.shortens_windows(classes):
        places = places.short()
    return balls + blends * 2, places.passes(classes, *shape[1:])


def _look(scores: torch.nn.Module, context: Context, screening: Screening, progress: Progress) -> Shortlist:
    images, count = context.images.float(), context.classes
    channels, height, width = (int(n) for n in images.shape[1:])
    network, classes = fast_copy(scores, images, context.rounded), torch.arange(count, device=images.device)
    balls = perturbations.PerturbationSearch.for_images(channels, height, width, count).short()
    pool = pools(context.labels, count, balls.effort.unseen)
    first, second = portions(progress, _parts(count, (channels, height, width), screening))
    in_balls = perturbations.find_perturbations(network, images, pool, classes, balls, first)
    places = patches.WindowSearch.for_images(height, width, count)
    if screening.shortens_windows(count):
        places = places.short()
    else:
        pool = pools(context.labels, count, places.effort.unseen)
    in_windows = patches.find_patterns(network, images, pool, classes, places, second)
    ball, blend, place = (
        scale_free(values[None])[0]
        for values in (in_balls["margins"][-1], in_balls["blended"], in_windows["margins"].max(1))
    )
    # A blend's target is nearly always first in its view; a patch's target may be third or fourth.
    chosen = screening.choose(
        np.maximum(ball, blend), patches.standing_out(in_windows["margins"]), turns=(1, 2)
    )
    return Shortlist(in_balls, in_windows, np.asarray((ball + blend + place) / 3, dtype=np.float32), chosen)


def _key(scores: torch.nn.Module, context: Context, screening: Screening) -> tuple[object, ...]:
    """Everything that the short searches depend on. A network whose weights changed counts as another one."""
    state = tuple(t._version for t in (*scores.parameters(), *scores.buffers()))
    shown = hashlib.sha256()
    for tensor in (context.images, context.labels):
        shown.update(tensor.detach().cpu().contiguous().numpy().tobytes())
    return screening, context.classes, state, shown.hexdigest()
