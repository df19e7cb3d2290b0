"""Every line of the registry leads to a stream that says what people read of it."""

from __future__ import annotations

import subprocess
import sys
from itertools import product

import pytest

from ti_core.inspection.findings.looked_for import seekers
from ti_core.kinds import KINDS, MAPPINGS
from ti_core.settings import Settings
from ti_core.stream_registry import DEFAULT, FIRST, STREAMS
from ti_core.streams import Stream, in_turn, known_stream, make_streams, stream_class
from ti_core.streams.searches.shortlist import SHARED_BY


@pytest.mark.parametrize("name", STREAMS)
def test_a_line_leads_to_its_class(name: str) -> None:
    stream = stream_class(name)
    assert issubclass(stream, Stream) and stream.name == name
    assert all((stream.title, stream.doing, stream.heading, stream.unit, stream.measures))
    assert stream.version >= 1 and stream.seconds > 0
    assert Settings(streams=(name,)).streams == (name,)


def test_streams_are_made_in_the_order_of_the_registry() -> None:
    assert [s.name for s in make_streams(Settings(streams=tuple(reversed(STREAMS))))] == list(STREAMS)
    assert [s.name for s in make_streams(Settings())] == list(DEFAULT)


def test_an_unknown_stream_of_a_strangers_report_is_none() -> None:
    assert known_stream("no_such_stream") is None


LOOK_FOR = {
    ("patch", "all to one"): "saliency windowed narrowed inversion per_image last_layer",
    ("blend", "all to one"): "saliency universal inversion per_image last_layer",
    ("stripes", "all to one"): "universal per_image stripes last_layer",
    ("warp", "all to one"): "per_image warp last_layer",
    ("input dependent", "all to one"): "per_image last_layer",
    ("gate", "all to one"): "graph",
    ("patch", "one source"): "pairs",
    ("blend", "one source"): "pairs",
    ("gate", "one source"): "graph",
    ("patch", "all to all"): "assignment",
    ("blend", "all to all"): "assignment",
    ("gate", "all to all"): "graph",
}


def test_every_kind_and_mapping_has_the_streams_that_look_for_it() -> None:
    for kind, mapping in product(KINDS, MAPPINGS):
        assert seekers(kind, mapping) == LOOK_FOR.get((kind, mapping), "").split()
    for name in STREAMS:
        stream = stream_class(name)
        assert set(stream.kinds) <= set(KINDS) and set(stream.mappings) <= set(MAPPINGS) and stream.mappings
    assert [name for name in STREAMS if stream_class(name).weak] == ["last_layer"]


def test_settings_load_no_network_library() -> None:
    code = "import sys, ti_core.settings; print('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True).stdout == "False\n"


def test_streams_run_in_the_order_of_what_they_tell_after_the_papers_own() -> None:
    run = [s.name for s in in_turn(make_streams(Settings(streams=tuple(STREAMS))))]
    assert run == [*sorted(FIRST, key=lambda name: name != "saliency"), "pairs", "stripes"]
    assert [name for name in run if name in SHARED_BY] == list(SHARED_BY), (
        "the first that runs makes the shortlist"
    )
