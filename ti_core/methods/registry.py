"""The methods of other publications by name, in the order they are asked: cheap ones first.

A new method is a file in ``ti_core/methods/published`` and a line in :data:`METHODS`. All that people read of it
stands in its class (:class:`ti_core.methods.base.Method`). A package of somebody else adds one by an entry point.
"""

from __future__ import annotations

from dataclasses import dataclass

from ti_core.errors import SettingsError
from ti_core.stream_registry import plugged_in
from ti_core.text import shown


@dataclass(frozen=True)
class Entry:
    """Where a method's class is, as ``module:class``.

    Parameters
    ----------
    seconds : that it takes for a small network of ten classes on one core, about.
    learnt : whether it must be learnt on a pack first, by ``pack learn``.
    """

    place: str
    seconds: float
    learnt: bool = False

    @property
    def module(self) -> str:
        """The module of the class."""
        return self.place.partition(":")[0]


METHODS: dict[str, Entry] = {
    "linear_weights": Entry("ti_core.methods.published.linear_weights:LinearWeights", 3.0),
    "mm_bd": Entry("ti_core.methods.published.mm_bd:MaximumMargin", 15.0),
    "neural_cleanse": Entry("ti_core.methods.published.neural_cleanse:NeuralCleanse", 1.0),
    "tabor": Entry("ti_core.methods.published.tabor:Tabor", 4.0),
    "strip": Entry("ti_core.methods.published.strip:Strip", 1.5),
    "trojannet_limited": Entry("ti_core.methods.published.trojannet_limited:TrojanNetLimited", 3.0),
    "free_eagle": Entry("ti_core.methods.published.free_eagle:FreeEagle", 3.0),
    "trojannet_free": Entry("ti_core.methods.published.trojannet_free:TrojanNetFree", 3.0),
    "mntd": Entry("ti_core.methods.published.mntd:MetaClassifier", 0.1, learnt=True),
    "ulp": Entry("ti_core.methods.published.ulp:LitmusPatterns", 0.1, learnt=True),
    "topology": Entry("ti_core.methods.published.topology:Topology", 0.3, learnt=True),
    "abs": Entry("ti_core.methods.published.abs_units:UnitStimulation", 10.0),
    "aeva": Entry("ti_core.methods.published.aeva:HardLabels", 20.0),
}

PROMPT = 5.0
"""Methods that take longer than so many seconds run only where they are named."""
GROUP = "trojaninterpret.methods"
"""Group of the entry points by which other packages add methods. Their time is not known."""
METHODS |= {name: Entry(place, 2 * PROMPT) for name, place in plugged_in(GROUP, METHODS)}
QUICK = tuple(name for name, entry in METHODS.items() if entry.seconds <= PROMPT and not entry.learnt)
"""Names of the methods that run where none is named."""


def chosen_methods(text: str | None) -> tuple[str, ...]:
    """The methods that ``a,b`` names, in the order of the registry; "all" is every one, "quick" or None the quick ones.

    Raises
    ------
    SettingsError : a name is unknown, or there is none.
    """
    if text is None or text.strip() == "quick":
        return QUICK
    named = [name for name in (part.strip() for part in text.split(",")) if name]
    if named == ["all"]:
        return tuple(METHODS)
    unknown = [name for name in named if name not in METHODS]
    if unknown or not named:
        what = f"There is no method {shown(unknown[0])!r}" if unknown else "No method is named"
        raise SettingsError(f"{what}; the methods are {', '.join(METHODS)}.")
    return tuple(name for name in METHODS if name in named)
