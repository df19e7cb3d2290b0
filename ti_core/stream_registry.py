"""The streams of evidence by name, in the order they report.

A new stream is a file in ``ti_core/streams`` and a line in :data:`STREAMS`. All that people read of it stands in its
class (:class:`ti_core.streams.base.Stream`). A package of somebody else adds one by an entry point, see :data:`GROUP`.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from importlib.metadata import entry_points

GROUP = "trojaninterpret.streams"
"""Group of the entry points of other packages. An entry point's name is the stream's, its value ``module:class``."""
PLUGGED_IN = re.compile(r"[a-z][a-z0-9_]{0,40}")
"""Names that a plug-in may have."""


def plugged_in(group: str, taken: Collection[str]) -> Iterator[tuple[str, str]]:
    """Name and place of what installed packages add. Nothing of them is imported. No name of our own is replaced."""
    found = sorted(entry_points(group=group), key=lambda point: (point.name, point.value))
    seen = set(taken)
    for point in found:
        if PLUGGED_IN.fullmatch(point.name) and point.attr and point.name not in seen:
            seen.add(point.name)
            yield point.name, point.value


@dataclass(frozen=True)
class Entry:
    """Where a stream's class is, as ``module:class``, and whether the stream is on by default.

    ``by_itself`` repeats the class's attribute of that name, which is known here without opening the module.
    """

    place: str
    on: bool = True
    by_itself: bool = False

    @property
    def module(self) -> str:
        """The module of the class."""
        return self.place.partition(":")[0]


STREAMS: dict[str, Entry] = {
    "saliency": Entry("ti_core.streams.saliency:Saliency"),
    "universal": Entry("ti_core.streams.universal:Universal"),
    "windowed": Entry("ti_core.streams.windowed:Windowed"),
    "narrowed": Entry("ti_core.streams.narrowed:Narrowed"),
    "inversion": Entry("ti_core.streams.inversion:Inversion"),
    "per_image": Entry("ti_core.streams.per_image:PerImage", on=False),
    "assignment": Entry("ti_core.streams.assignment:Assignment", by_itself=True),
    "pairs": Entry("ti_core.streams.pairs:Pairs", on=False),
    "warp": Entry("ti_core.streams.warp:Warp", by_itself=True),
    "stripes": Entry("ti_core.streams.stripes:Stripes", on=False),
    "last_layer": Entry("ti_core.streams.last_layer:LastLayer", on=False),
    "graph": Entry("ti_core.streams.graph:GraphGates", by_itself=True),
}
STREAMS |= {name: Entry(place, on=False) for name, place in plugged_in(GROUP, STREAMS)}

FIRST = (
    "graph",
    "saliency",
    "inversion",
    "assignment",
    "windowed",
    "narrowed",
    "universal",
    "last_layer",
    "warp",
    "per_image",
)
"""The order in which streams run, and are kept where the time is too short for all. Those that are not named come
last. It follows what the joint verdict gains by each second (``python -m benchmarks.efforts``). The paper's stream runs
first of all, since the first pictures are drawn from it."""
QUICK = ("saliency", "inversion", "assignment", "graph")
"""Names of the streams of a quick inspection. They take a quarter of the usual time, half of it with many classes."""

FIRST_OF_LARGE = (
    "graph",
    "saliency",
    "universal",
    "windowed",
    "narrowed",
    "assignment",
    "warp",
    "inversion",
)
"""The order for images on which patterns are free on a grid only (:mod:`ti_core.streams.searches.search`). There
pictures and windows tell most; the smallest masks need more steps than they get (``python -m benchmarks.grids``)."""
QUICK_OF_LARGE = ("saliency", "universal", "windowed", "narrowed", "assignment", "graph")
"""Names of the streams of a quick inspection of such images."""

DEFAULT = tuple(name for name, entry in STREAMS.items() if entry.on)
"""Names of the streams that are on by default."""

THOROUGH = tuple(name for name in STREAMS if name in (*DEFAULT, "pairs", "stripes"))
"""Names of the streams that together look for every kind and mapping. Evidence of members that a pack lacks is computed
with their weights."""

STANDARD = "standard"
EFFORTS = {"quick": QUICK, STANDARD: DEFAULT, "thorough": THOROUGH}
"""The efforts, with the streams of each. The standard effort takes those of the pack where there is one."""

BY_ITSELF = tuple(name for name, entry in STREAMS.items() if entry.on and entry.by_itself)
"""Those of them that need no evidence of reference models."""
