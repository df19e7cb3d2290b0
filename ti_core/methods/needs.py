"""Whether what a method needs is there, and the sentence that says which need is not met."""

from __future__ import annotations

from collections.abc import Callable

from ti_core.methods.base import FEWEST_CLASSES, Method, Need, Subject
from ti_core.methods.layers import activations, places
from ti_core.streams.last_layer import last_rows

FEWEST_IMAGES = 20


def unmet(method: Method, subject: Subject) -> str | None:
    """The first need of the method that is not met, in a sentence; None if all are. At most one image is looked at."""
    for need in method.needs:
        reason = CHECKS[need](method, subject)
        if reason is not None:
            return f"{method.title} needs {need.value}: {reason}."
    return None


def _images(method: Method, subject: Subject) -> str | None:
    found = len(subject.images)
    return None if found >= FEWEST_IMAGES else f"there are {found}, and it needs {FEWEST_IMAGES} or more"


def _classes(method: Method, subject: Subject) -> str | None:
    return None if subject.classes >= FEWEST_CLASSES else f"the network has {subject.classes}"


def _zoo(method: Method, subject: Subject) -> str | None:
    if subject.pack is None:
        return "images of your own bring none, so choose a reference pack"
    fitted = {m.trojaned for m in subject.pack.members if not m.held_out}
    return None if len(fitted) == 2 else "the pack's fitted members are not of both sorts"


def _learning(method: Method, subject: Subject) -> str | None:
    if subject.pack is None:
        return "images of your own bring no pack, so choose a reference pack"
    if method.name in subject.learnt:
        return None
    return f"run python -m ti_core pack learn {subject.pack.name} --methods {method.name} first"


def _last_linear(method: Method, subject: Subject) -> str | None:
    rows = last_rows(subject.scores.network, subject.classes)
    return None if rows is not None else "the network's last layer has no row of weights for each class"


def _layers(method: Method, subject: Subject) -> str | None:
    found = places(subject.scores, subject.images[:1])
    return None if found else "the file gives one whole graph, whose inner layers it does not name"


def _activations(method: Method, subject: Subject) -> str | None:
    found = activations(subject.scores, subject.images[:1])
    return None if found else "the network has none that can be watched"


CHECKS: dict[Need, Callable[[Method, Subject], str | None]] = {
    Need.IMAGES: _images,
    Need.CLASSES: _classes,
    Need.ZOO: _zoo,
    Need.LEARNING: _learning,
    Need.LAST_LINEAR: _last_linear,
    Need.LAYERS: _layers,
    Need.ACTIVATIONS: _activations,
}
