"""Streams of evidence; a new one is a file and a line here."""

from __future__ import annotations

from collections.abc import Callable

from ti_core.settings import Settings
from ti_core.streams.base import Context, Evidence, Features, Reading, Stream, stack
from ti_core.streams.inversion import Inversion
from ti_core.streams.saliency import Saliency
from ti_core.streams.universal import Universal
from ti_core.streams.windowed import Windowed

STREAMS: dict[str, Callable[[Settings], Stream]] = {
    "saliency": Saliency,
    "universal": Universal,
    "windowed": Windowed,
    "inversion": Inversion,
}


def make_streams(settings: Settings) -> list[Stream]:
    """The streams that are switched on, in the order they report: cheap ones first."""
    return [STREAMS[name](settings) for name in STREAMS if name in settings.streams]


__all__ = ["STREAMS", "Context", "Evidence", "Features", "Reading", "Stream", "make_streams", "stack"]
