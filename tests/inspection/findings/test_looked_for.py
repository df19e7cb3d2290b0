"""Coverage: what an inspection looked for, and how well the pack finds it."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from ti_core.inspection.findings.finding import Finding
from ti_core.inspection.findings.looked_for import UNTOLD, coverage
from ti_core.inspection.result import Inspection
from ti_core.kinds import KINDS, MAPPINGS, Kind, MappingKind
from ti_core.reference.families import share_interval
from ti_core.results.coverage import FOUND, NO_GATES, NOT_FOUND, NOT_LOOKED, Row
from ti_core.settings import Settings
from ti_core.stream_registry import DEFAULT
from ti_core.streams import Reading
from ti_core.streams.base import FoundMapping


def figures(kind: str, found: float, trojaned: int, mapping: str = "") -> dict[str, Any]:
    row = {"kind": kind, "found": found, "trojaned": trojaned, "false_alarms": 0.05, "clean": 40}
    return row | ({"mapping": mapping} if mapping else {})


PACK: dict[str, Any] = {
    "name": "mnist",
    "changed_settings": {},
    "detects": {"blend": figures("blend", 0.9, 20), "patch": figures("patch", 0.5, 12)},
}
ALONE: dict[str, Any] = {"name": None, "changed_settings": {}, "detects": {}}
EVIDENCE: dict[str, dict[str, np.ndarray]] = {
    "pairs": {"margins": np.zeros((3, 3, 5))},
    "assignment": {"assignment": np.array([1.0, 2.0, 0.0])},
    "warp": {"success": np.zeros(3)},
    "graph": {"counts": np.ones(4)},
    "last_layer": {"found": np.ones(1)},
}


def inspected(names: tuple[str, ...], joint: bool = True, **evidence: dict[str, np.ndarray]) -> Inspection:
    result = Inspection(
        readings={name: Reading(0.0, 1.0, "x") for name in names},
        evidence={name: EVIDENCE.get(name, {}) for name in names} | evidence,
    )
    if joint:
        result.detectors["joint"] = None  # type: ignore[assignment]
    return result


def rows(
    result: Inspection,
    found: Finding | None = None,
    pack: dict[str, Any] = PACK,
    settings: Settings | None = None,
    graph: bool = False,
) -> dict[tuple[Kind, MappingKind], Row]:
    listed = coverage(result, found, pack, settings or Settings(), graph)
    assert [(r.kind, r.mapping) for r in listed] == [(k, m) for m in MAPPINGS for k in KINDS]
    assert all((r.figures is None) or not r.weak or r.why for r in listed)
    assert all(r.why for r in listed if r.weak or r.status == NOT_LOOKED)
    return {(r.kind, r.mapping): r for r in listed}


def test_the_usual_streams_look_for_fixed_triggers_to_one_class_and_all_to_all() -> None:
    table = rows(inspected(DEFAULT))
    looked = {key for key, row in table.items() if row.status == NOT_FOUND}
    to_one = {(kind, "all to one") for kind in ("patch", "blend", "stripes", "warp")}
    assert looked == to_one | {("patch", "all to all"), ("blend", "all to all")}
    blend, patch, stripes = (table[kind, "all to one"] for kind in ("blend", "patch", "stripes"))  # type: ignore[index]
    assert blend.figures is not None and not blend.weak and blend.why is None
    assert (blend.figures.found, blend.figures.trojaned, blend.figures.clean) == (0.9, 20, 40)
    assert (blend.figures.low, blend.figures.high) == pytest.approx(share_interval(0.9, 20), abs=1e-6)
    assert (blend.figures.alarms_low, blend.figures.alarms_high) == pytest.approx(
        share_interval(0.05, 40), abs=1e-6
    )
    assert blend.streams == ("saliency", "universal", "inversion")
    assert patch.weak and patch.figures is not None and patch.why == "fewer than four of five are found"
    assert stripes.weak and stripes.figures is None and stripes.why == "not measured on this pack"


def test_what_was_not_looked_for_says_why() -> None:
    table = rows(inspected(DEFAULT))
    assert table["input dependent", "all to one"].why == "the stream per_image is off"
    assert table["patch", "one source"].why == "the stream pairs is off"
    assert table["warp", "one source"].why == "no stream looks for it"
    assert table["gate", "all to all"].why == NO_GATES
    on = tuple(name for name in DEFAULT if name != "graph")
    off = rows(inspected(on), settings=Settings(streams=on), graph=True)
    still = tuple(name for name in DEFAULT if name != "warp")
    without = rows(inspected(still), settings=Settings(streams=still))
    assert without["warp", "all to one"].why == "the streams per_image and warp are off"
    assert off["gate", "all to all"].why == "the stream graph is off"


def test_a_stream_that_could_not_look_says_why() -> None:
    streams = (*DEFAULT, "pairs")
    blind = inspected(
        streams, pairs={"margins": np.zeros((3, 3, 0))}, assignment={"assignment": np.array([-1.0])}
    )
    table = rows(blind, settings=Settings(streams=streams))
    assert table["patch", "one source"].why == "more than 12 classes"
    assert table["blend", "all to all"].why == "fewer than two images of some class"
    seen = rows(inspected(streams), settings=Settings(streams=streams))
    assert seen["patch", "one source"].status == seen["blend", "all to all"].status == NOT_FOUND


def test_figures_of_other_mappings_come_with_packs_that_measured_them() -> None:
    detects = PACK["detects"] | {"patch, one source": figures("patch", 0.95, 20, "one source")}
    streams = (*DEFAULT, "pairs")
    table = rows(inspected(streams), pack=PACK | {"detects": detects}, settings=Settings(streams=streams))
    found = table["patch", "one source"]
    assert found.figures is not None and found.figures.found == 0.95 and not found.weak
    assert table["blend", "one source"].why == "not measured on this pack"
    assert rows(inspected(DEFAULT), pack=PACK | {"detects": detects})["patch", "one source"].figures is None


def test_figures_of_streams_that_are_off_count_as_weak() -> None:
    on = ("saliency", "universal")
    changed = PACK | {"changed_settings": {"streams": DEFAULT}}
    blend = rows(inspected(on), pack=changed, settings=Settings(streams=on))["blend", "all to one"]
    assert blend.weak and blend.why == "measured with the stream inversion, now off" and blend.figures
    # The paper's meta-model was measured with the paper's stream alone.
    paper = rows(
        inspected(("saliency",), joint=False), pack=changed, settings=Settings(streams=("saliency",))
    )
    assert not paper["blend", "all to one"].weak


def test_a_weak_stream_makes_a_weak_search() -> None:
    streams = (*(name for name in DEFAULT if name != "warp"), "last_layer")
    table = rows(inspected(streams), settings=Settings(streams=streams))
    warp = table["warp", "all to one"]
    assert warp.status == NOT_FOUND and warp.weak and warp.why is not None and "weak sign" in warp.why
    assert not table["blend", "all to one"].weak


def test_without_reference_models_nothing_is_measured() -> None:
    streams = (*DEFAULT, "stripes", "per_image")
    table = rows(
        inspected(("windowed", "inversion"), joint=False),
        pack=ALONE,
        settings=Settings(streams=streams),
    )
    assert table["patch", "all to one"].why == "not measured without reference models"
    assert table["input dependent", "all to one"].why == "no reference models to compare it with"
    assert table["patch", "one source"].why == "the stream pairs is off"


def test_an_unfinished_inspection_and_one_without_a_verdict_say_so() -> None:
    partial = rows(inspected(("saliency",), joint=False))
    assert partial["stripes", "all to one"].why == "not finished"
    assert partial["patch", "all to one"].status == NOT_FOUND
    assert rows(inspected((), joint=False))["patch", "all to one"].why == "there is no verdict"


def test_what_was_found_is_one_row_or_all_that_the_stream_cannot_tell_apart() -> None:
    one = rows(inspected(DEFAULT), Finding("windowed", "patch", FoundMapping("all to one", 1)))
    assert [key for key, row in one.items() if row.status == FOUND] == [("patch", "all to one")]
    untold = rows(inspected(DEFAULT), Finding("universal", None, FoundMapping("all to one", 1)))
    found = {key: row for key, row in untold.items() if row.status == FOUND}
    assert set(found) == {("blend", "all to one"), ("stripes", "all to one")}
    assert {row.why for row in found.values()} == {UNTOLD}


@pytest.mark.parametrize("change", [{"trojaned": 0}, {"clean": -1}, {"found": 5.0}, {"false_alarms": -0.1}])
def test_a_strange_packs_figures_that_are_none_are_left_out(change: dict[str, Any]) -> None:
    detects = {"blend": figures("blend", 0.9, 20) | change}
    row = rows(inspected(DEFAULT), pack=PACK | {"detects": detects})["blend", "all to one"]
    assert row.figures is None and row.weak


def test_a_kind_that_the_streams_find_together_as_measured_is_looked_for() -> None:
    """No usual stream is made for input-dependent triggers, but a pack may have measured how often they are found."""
    key: tuple[Kind, MappingKind] = ("input dependent", "all to one")
    measured = PACK | {"detects": {"input dependent": figures("input dependent", 0.7, 10)}}
    result = inspected(DEFAULT)
    result.class_scores = {"universal": np.zeros((1, 3)), "windowed": np.zeros((1, 3))}
    row = rows(result, pack=measured)[key]
    assert row.status == NOT_FOUND and row.streams == ("universal", "windowed")
    assert row.figures is not None and row.weak and row.why == "fewer than four of five are found"
    assert rows(result)[key].status == NOT_LOOKED
    changed = measured | {"changed_settings": {"streams": ["universal"]}}
    assert rows(result, pack=changed)[key].status == NOT_LOOKED
    assert rows(inspected(DEFAULT, joint=False), pack=measured)[key].status == NOT_LOOKED
