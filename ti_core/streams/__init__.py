"""Streams of evidence, one in each file; :mod:`ti_core.stream_registry` lists them."""

from __future__ import annotations

from collections.abc import Sequence
from pkgutil import resolve_name

from ti_core.settings import Settings
from ti_core.stream_registry import FIRST, FIRST_OF_LARGE, QUICK, QUICK_OF_LARGE, STREAMS
from ti_core.streams.base import Context, Evidence, Features, Reading, Stream, stack
from ti_core.streams.searches.search import are_large


def stream_class(name: str) -> type[Stream]:
    """The class of the stream of that name.

    Raises
    ------
    KeyError : no stream has that name.
    """
    found: type[Stream] = resolve_name(STREAMS[name].place)
    return found


def known_stream(name: str) -> type[Stream] | None:
    """The class of the stream of that name, or None: a report may name streams that this program does not have."""
    return stream_class(name) if name in STREAMS else None


def make_streams(settings: Settings, alone: tuple[int, int] | None = None) -> list[Stream]:
    """The streams that are switched on, in the order they report: cheap ones first.

    Parameters
    ----------
    alone : height and width of the images, if there are no reference models. Then a quick inspection of large images
        asks others than one of small images.
    """
    if alone is not None and are_large(*alone) and set(settings.streams) == set(QUICK):
        settings = settings.with_(streams=QUICK_OF_LARGE)
    return [stream_class(name)(settings) for name in STREAMS if name in settings.streams]


def in_turn(streams: Sequence[Stream]) -> list[Stream]:
    """These streams in the order in which they run: what tells most by the second first."""
    first = FIRST_OF_LARGE if any(s.sparing.large for s in streams) else FIRST
    order = [*first, *(s.name for s in streams if s.name not in first)]
    return sorted(streams, key=lambda s: (not s.on_probes, order.index(s.name)))


__all__ = [
    "Context",
    "Evidence",
    "Features",
    "Reading",
    "Stream",
    "in_turn",
    "known_stream",
    "make_streams",
    "stack",
    "stream_class",
]
