"""What the fitted members themselves are compared with."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from ti_core.evaluation.scoring import evidence_of_all, split_pack
from ti_core.reference.pack import Pack
from ti_core.reference.reference import OTHERS, Reference, evidence_key
from ti_core.streams.base import Array
from ti_core.streams.inversion import Inversion
from ti_core.system.cache import Cache

STREAM = Inversion()
RARE = 3


@pytest.fixture
def reference(tiny_pack: Pack) -> Reference:
    """All members take part; three clean and three trojaned ones are of an architecture of their own."""
    clean = np.array([m.label == "clean" for m in tiny_pack.members])
    rare = {*np.flatnonzero(clean)[:RARE].tolist(), *np.flatnonzero(~clean)[:RARE].tolist()}
    members = tuple(
        replace(m, architecture="rare" if i in rare else "usual") for i, m in enumerate(tiny_pack.members)
    )
    pack = Pack(tiny_pack.folder, tiny_pack.record, tiny_pack.sha256, members)
    evidence = evidence_of_all(Reference(pack, pack.settings, Cache(None)), [STREAM])
    everyone = np.arange(len(members))
    assert clean.sum() - RARE >= OTHERS > RARE
    return split_pack(pack, pack.settings, [STREAM], evidence, everyone, everyone[:0])


def scores(reference: Reference, stacked: dict[str, Array]) -> Array:
    return reference.class_scores([STREAM], {STREAM.name: stacked})[STREAM.name]


def evidence(reference: Reference) -> dict[str, Array]:
    return {k: v.copy() for k, v in reference.pack.baseline[STREAM.name].items()}


def of(reference: Reference, architecture: str) -> np.ndarray:
    return np.array([m.architecture == architecture for m in reference.fitted])


def test_a_member_is_compared_with_clean_ones_of_other_architectures(reference: Reference) -> None:
    """A clean network moves what is said of those of other architectures, and of its own none but itself."""
    stacked = evidence(reference)
    changed = int(np.flatnonzero(of(reference, "rare") & (reference.labels == "clean"))[0])
    before = scores(reference, stacked)
    stacked["norms"][changed] *= np.linspace(0.3, 3.0, stacked["norms"].shape[1], dtype=np.float32)
    moved = np.flatnonzero((scores(reference, stacked) != before).any(1))
    assert set(moved) == {changed, *np.flatnonzero(of(reference, "usual"))}


def test_where_there_are_too_few_of_them_with_all_other_clean_ones(reference: Reference) -> None:
    stacked = evidence(reference)
    alone = STREAM.class_scores(stacked, reference.clean(stacked), reference.labels == "clean")
    usual = of(reference, "usual")
    found = scores(reference, stacked)
    np.testing.assert_array_equal(found[usual], alone[usual])
    assert (found[~usual] != alone[~usual]).any(1).all()


def test_members_are_computed_where_neither_pack_nor_cache_holds_them(
    tiny_pack: Pack, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = Reference(tiny_pack, tiny_pack.settings, Cache(tmp_path))
    assert found.to_compute(STREAM) == 0
    monkeypatch.setattr(Inversion, "version", 99)
    assert found.to_compute(STREAM) == len(found.fitted)
    key = evidence_key(STREAM, tiny_pack.member_name(found.fitted[0]), tiny_pack, None)
    found.cache.keep(key, {"norms": np.ones(4)})
    assert found.to_compute(STREAM) == len(found.fitted) - 1
