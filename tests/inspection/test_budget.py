"""An inspection with too little time for all streams: it says what it left out, and repeats with what it kept."""

from __future__ import annotations

import math
import re
from pathlib import Path

import pytest

from ti_core.errors import TooLongError
from ti_core.inspection.forecast import Forecast
from ti_core.inspection.with_pack import inspect
from ti_core.reconstruction.model import Model
from ti_core.reference.pack import Pack
from ti_core.settings import Settings
from ti_core.streams import Stream
from ti_core.system.cache import Cache


@pytest.fixture
def suspect(tiny_pack: Pack) -> Model:
    network = tiny_pack.scores(tiny_pack.members[0]).network
    return Model(
        network, "m.onnx", "0" * 64, "onnx", "m", 0, len(tiny_pack.class_names), tiny_pack.input_shape
    )


class Slow(Forecast):
    """A forecast by which three streams take far too long."""

    def stages(self, known: object = None) -> dict[str, float]:
        found = super().stages(known)  # type: ignore[arg-type]
        return found | {name: 900.0 for name in ("warp", "universal", "windowed") if name in found}


def test_streams_without_time_are_left_out_and_named(
    tiny_pack: Pack, tiny_settings: Settings, suspect: Model
) -> None:
    forecast = Slow(tiny_settings, 120.0)
    found = inspect(suspect, tiny_pack, tiny_settings, forecast=forecast)
    slow = ("warp", "universal", "windowed")
    kept = [name for name in tiny_settings.streams if name not in (*slow, "narrowed")]
    assert list(found.evidence) == kept
    assert list(found.left_out) == ["warp", "universal", "narrowed", "windowed"]
    assert all(found.left_out[name] == pytest.approx(900.0, abs=0.1) for name in slow)
    report = found.report
    assert re.fullmatch(
        r"The time allowed was too short for some streams, which were left out: narrowed \(.*\), warp \(about 15"
        r" minutes\), universal \(about 15 minutes\), windowed \(about 15 minutes\)\.",
        report.reasons[0],
    )
    assert list(report.settings["streams"]) == kept
    waves = next(row for row in report.coverage if (row["kind"], row["mapping"]) == ("stripes", "all to one"))
    assert waves["status"] == "not looked for" and waves["why"] == "there was no time for it"
    again = inspect(suspect, tiny_pack, tiny_settings.with_(streams=tuple(kept)))
    assert again.report.probability == report.probability and again.report.verdict == report.verdict


def test_what_was_done_is_kept_for_a_longer_inspection(
    tiny_pack: Pack, tiny_settings: Settings, suspect: Model, tmp_path: Path
) -> None:
    cache = Cache(tmp_path)
    short = inspect(suspect, tiny_pack, tiny_settings, cache=cache, forecast=Slow(tiny_settings, 120.0))
    whole = inspect(
        suspect, tiny_pack, tiny_settings, cache=cache, forecast=Forecast(tiny_settings, math.inf)
    )
    assert set(whole.evidence) == set(tiny_settings.streams) and not whole.left_out
    assert {name for name in short.evidence if whole.report.cache[name] == "cache"} == set(short.evidence)


def test_a_stream_that_comes_too_late_is_left_out_in_the_middle(
    tiny_pack: Pack, tiny_settings: Settings, suspect: Model, monkeypatch: pytest.MonkeyPatch
) -> None:
    late = {"universal"}
    monkeypatch.setattr(
        Forecast,
        "leaves_out",
        lambda self, stream, judged: _late(self, stream, judged, late),
    )
    found = inspect(suspect, tiny_pack, tiny_settings, forecast=Forecast(tiny_settings, 1e6))
    assert "universal" not in found.evidence and found.report.verdict in (
        "clean",
        "inconclusive",
        "backdoored",
    )
    assert found.class_scores and "universal" not in found.class_scores


def _late(forecast: Forecast, stream: Stream, judged: bool, late: set[str]) -> bool:
    if stream.name in late and judged:
        forecast.left_out[stream.name] = 60.0
        return True
    return False


def test_no_time_at_all_is_an_error(tiny_pack: Pack, tiny_settings: Settings, suspect: Model) -> None:
    with pytest.raises(TooLongError, match="shortest inspection"):
        inspect(suspect, tiny_pack, tiny_settings, forecast=Forecast(tiny_settings, 1e-3))
