"""Which streams the joint meta-model compares."""

from __future__ import annotations

from dataclasses import replace

from ti_core.reference.judge import Judge
from ti_core.reference.pack import Pack
from ti_core.reference.reference import Reference
from ti_core.streams import make_streams
from ti_core.system.cache import Cache


def of_streams(pack: Pack, *streams: str) -> dict[str, object]:
    """The pack's settings with other streams, as its record holds them."""
    return pack.settings.with_(streams=streams).as_dict()


def compared(pack: Pack, *streams: str) -> set[str]:
    """Names of the streams that the joint meta-model compares, if these are switched on."""
    settings = pack.settings.with_(streams=streams)
    judge = Judge(Reference(pack, settings, Cache(None)), make_streams(settings), {})
    return {stream.name for stream in judge.deep_streams}


def test_a_stream_that_the_pack_was_not_made_with_takes_no_part_in_the_joint_score(tiny_pack: Pack) -> None:
    own = {"universal", "windowed", "inversion"}
    pack = replace(tiny_pack, record=dict(tiny_pack.record) | {"settings": of_streams(tiny_pack, *own)})
    assert compared(pack, "saliency", *own, "stripes", "pairs") == own
    assert compared(pack, "saliency", "windowed", "stripes") == {"windowed"}


def test_without_any_of_the_packs_streams_those_that_compare_classes_do(tiny_pack: Pack) -> None:
    pack = replace(tiny_pack, record=dict(tiny_pack.record) | {"settings": of_streams(tiny_pack, "saliency")})
    assert compared(pack, "saliency", "stripes", "warp", "pairs") == {"stripes"}
