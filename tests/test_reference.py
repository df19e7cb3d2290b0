"""What the fitted members themselves are compared with."""

from __future__ import annotations

import numpy as np
import pytest

from ti_core.cache import Cache
from ti_core.evaluation.scoring import evidence_of_all, split_pack
from ti_core.pack import Pack, load_pack
from ti_core.reference import OTHERS, Reference
from ti_core.streams.base import Array
from ti_core.streams.inversion import Inversion


@pytest.fixture(scope="module")
def pack() -> Pack:
    return load_pack("mnist")


STREAM = Inversion()


def scores(reference: Reference, stacked: dict[str, Array]) -> Array:
    return reference.class_scores([STREAM], {STREAM.name: stacked})[STREAM.name]


def of(pack: Pack, chosen: np.ndarray) -> tuple[Reference, dict[str, Array]]:
    """The reference side of a pack of these members alone, and their stacked evidence."""
    evidence = evidence_of_all(Reference(pack, pack.settings, Cache(None)), [STREAM])
    rows = np.flatnonzero(chosen)
    made = split_pack(pack, pack.settings, [STREAM], evidence, rows, rows[:0])
    return made, {k: v.copy() for k, v in made.pack.baseline[STREAM.name].items()}


def test_a_member_is_compared_with_clean_ones_of_other_architectures(pack: Pack) -> None:
    """A clean network moves what is said of those of other architectures, and of its own none but itself."""
    reference, stacked = of(pack, np.array([not m.held_out for m in pack.members]))
    architectures = np.array([m.architecture for m in reference.fitted])
    changed = int(np.flatnonzero(reference.labels == "clean")[0])
    before = scores(reference, stacked)
    stacked["norms"][changed] *= np.linspace(0.3, 3.0, stacked["norms"].shape[1], dtype=np.float32)
    moved = np.flatnonzero((scores(reference, stacked) != before).any(1))
    others = np.flatnonzero(architectures != architectures[changed])
    assert set(moved) == {changed, *others}


def test_where_there_are_too_few_of_them_with_all_other_clean_ones(pack: Pack) -> None:
    one = np.array([m.architecture == pack.members[0].architecture for m in pack.members])
    clean = np.array([m.label == "clean" for m in pack.members])
    few = np.flatnonzero(~one & clean)[: OTHERS - 1]
    chosen = one.copy()
    chosen[few] = True
    reference, stacked = of(pack, chosen)
    everyone = scores(reference, stacked)
    is_clean = reference.labels == "clean"
    alone = STREAM.class_scores(stacked, reference.clean(stacked), is_clean)
    own = np.array([m.architecture == pack.members[0].architecture for m in reference.fitted])
    np.testing.assert_array_equal(everyone[own], alone[own])
    assert (everyone[~own] != alone[~own]).any()
