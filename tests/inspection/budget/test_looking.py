"""A first look at a model: which packs fit, and what is said where none or several do."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from benchmarks.forecasts import as_model
from ti_core.errors import NoPackFitsError
from ti_core.inspection.budget import looking
from ti_core.reconstruction.model import Model
from ti_core.reference.pack import Pack
from ti_core.reference.reference import Reference
from ti_core.settings import Settings
from ti_core.stream_registry import EFFORTS
from ti_core.streams import make_streams
from ti_core.system.cache import Cache


def fits(monkeypatch: pytest.MonkeyPatch, *packs: Pack) -> None:
    def packs_for(model: Model) -> list[Pack]:
        if not packs:
            raise NoPackFitsError("No reference pack fits this model.")
        return list(packs)

    monkeypatch.setattr(looking, "packs_for", packs_for)


def test_the_one_pack_that_fits_is_named_with_the_reason(
    tiny_pack: Pack, monkeypatch: pytest.MonkeyPatch
) -> None:
    fits(monkeypatch, tiny_pack)
    look = looking.look_at(as_model(tiny_pack, tiny_pack.members[0]), None, Settings(), {})
    assert look.pack == "bars" and list(look.seconds) == list(EFFORTS)
    assert look.why == "It is compared with the reference pack bars: the one for 1 channel and 4 classes."


def test_evidence_that_the_pack_lacks_is_counted_in(
    tiny_pack: Pack, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    fits(monkeypatch, tiny_pack)
    model, cache = as_model(tiny_pack, tiny_pack.members[0]), Cache(tmp_path)
    assert "stripes" not in tiny_pack.settings.streams
    before = looking.look_at(model, None, Settings(), {}, cache=cache).seconds
    settings = tiny_pack.settings.with_(streams=("pairs", "stripes"))
    reference = Reference(tiny_pack, settings, cache)
    for stream in make_streams(settings):
        reference.evidence(stream, None)
    after = looking.look_at(model, None, Settings(), {}, cache=cache).seconds
    # The standard effort lacks nothing; of the passes of a tiny network most seconds are the stages' own.
    assert 2 * (after["thorough"] - after["standard"]) < before["thorough"] - before["standard"]
    cache.close()


def test_of_several_packs_the_images_decide(tiny_pack: Pack, monkeypatch: pytest.MonkeyPatch) -> None:
    fits(monkeypatch, tiny_pack, tiny_pack)
    look = looking.look_at(as_model(tiny_pack, tiny_pack.members[0]), None, Settings(), {})
    assert look.pack == "" and "whose images it classifies best" in look.why and look.seconds


def test_without_a_pack_the_model_is_described_all_the_same(
    tiny_pack: Pack, monkeypatch: pytest.MonkeyPatch
) -> None:
    fits(monkeypatch)
    model = replace(as_model(tiny_pack, tiny_pack.members[0]), classes=7)
    look = looking.look_at(model, None, Settings(), {})
    assert look.classes == 7 and look.why == "No reference pack fits this model." and look.seconds == {}
