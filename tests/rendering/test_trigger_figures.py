"""The recovered trigger of every kind on the page: what is drawn, what is said, and what is never drawn as a patch."""

from __future__ import annotations

import math
import re
from dataclasses import replace
from html import unescape
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pytest

from tests.rendering.kinds import MAKERS, striped, with_trigger
from ti_core.errors import CaseError
from ti_core.rendering.figures import stream_figures
from ti_core.rendering.page import html_report
from ti_core.rendering.trigger.field import field_drawing
from ti_core.rendering.trigger.figures import trigger_figures
from ti_core.rendering.trigger.matrix import pair_matrix, share_matrix
from ti_core.rendering.trigger.shown import shown_trigger
from ti_core.results.case import Case
from ti_core.results.case_files import load_case, save_case

SVG = "{http://www.w3.org/2000/svg}"


@pytest.mark.parametrize("kind", MAKERS)
def test_each_kind_is_kept_read_and_drawn(kind: str, tiny_cases: dict[str, Case], tmp_path: Path) -> None:
    case = MAKERS[kind](tiny_cases["patch"])
    save_case(case, tmp_path)
    read = load_case(tmp_path)
    figures = {f.name: f for f in trigger_figures(read)}
    tables = {"table-before", "table-after"} if kind == "all to all" else set()
    assert set(figures) == {"trigger", "stamped", *tables}
    for figure in figures.values():
        assert figure.data()
        if figure.drawing:
            ElementTree.fromstring(figure.drawing)
    page = unescape(html_report(read))
    assert all(f.caption.split(":")[0] in page for f in figures.values())
    found = shown_trigger(read)
    assert found is not None and found.flip_share == 0.9 and found.images == 48
    # One of the three images is seen as the target before and after; two move as the assignment says.
    said = (
        "2 of these 3 become the class assigned" if kind == "all to all" else "of these 3 become the target"
    )
    names = read.class_names
    seen = f"sees {names[0]}, {names[1]}, {names[2]}; with the trigger {names[1]}, {names[2]}, {names[2]}."
    assert said in figures["stamped"].caption and figures["stamped"].caption.endswith(seen)


def test_a_kind_that_is_not_known_is_not_drawn_as_a_patch(tiny_cases: dict[str, Case]) -> None:
    mask = np.ones((12, 12))
    case = with_trigger(tiny_cases["patch"], {"kind": "smell"}, mask=mask, pattern=mask[None])
    assert {f.name for f in trigger_figures(case)} == {"stamped"}
    found = shown_trigger(case)
    assert found is not None and not found.form and "no picture of a trigger" in found.form_says
    lacking = with_trigger(tiny_cases["patch"], {"kind": "warp"}, mask=mask, pattern=mask[None])
    assert {f.name for f in trigger_figures(lacking)} == {"stamped"}


def test_images_of_the_only_source_are_said_to_be_that(tiny_cases: dict[str, Case]) -> None:
    case = striped(tiny_cases["patch"])
    record = case.report.streams["recovered_trigger"]
    for source, words in (
        (1, f"Clean images of class {case.class_names[1]}, and"),
        (99, "Clean images, and"),
    ):
        streams = case.report.streams | {"recovered_trigger": record | {"source_class": source}}
        found = shown_trigger(replace(case, report=replace(case.report, streams=streams)))
        assert found is not None and found.effect.startswith(words)


@pytest.mark.parametrize(
    ("name", "values"),
    [
        ("table_before", np.eye(2)),
        ("table_after", np.full((3, 3), 2.0)),
        ("field", np.zeros((12, 12))),
        ("field", np.full((12, 12, 2), 99.0)),
        ("wave", np.full((1, 12, 12), np.nan)),
        ("smell", np.zeros((12, 12))),
    ],
)
def test_arrays_that_do_not_fit_are_a_clear_error(
    name: str, values: np.ndarray, tiny_cases: dict[str, Case], tmp_path: Path
) -> None:
    case = with_trigger(tiny_cases["patch"], {"kind": "patch"}, **{name: values})
    save_case(case, tmp_path)
    with pytest.raises(CaseError, match=f"not valid.*trigger/{name}"):
        load_case(tmp_path)


def test_an_arrow_leads_from_where_a_pixel_is_taken_to_where_it_is_put() -> None:
    field = np.zeros((14, 14, 2))
    field[3, 5] = (2, -1)
    drawing = field_drawing(field)
    starts = re.findall(r"M([\d.]+) ([\d.]+)L([\d.]+) ([\d.]+)", drawing)
    long = [tuple(map(float, s)) for s in starts if s[:2] != s[2:]]
    # 20 pixels of the drawing for one of the image, and as much room around it as the longest arrow needs.
    room = math.ceil(20 * math.sqrt(5))
    assert tuple(room + n for n in (150.0, 50.0, 110.0, 70.0)) in long
    assert len(long) == 2, "the arrow's line and its head"
    assert "at most 2.2 pixels" in drawing and f'width="{280 + 2 * room}"' in drawing


def test_a_matrix_has_a_cell_for_every_share_and_a_frame_for_every_assigned_pair() -> None:
    table = np.array([[0.25, 0.75, 0.0], [0.0, 0.0, 1.0], [1.0, 0.0, 0.0]])
    names = ("cat", "<dog>", "frog")
    drawing = ElementTree.fromstring(share_matrix(table, names, (1, 2, 0), "Answers"))
    cells = [r for r in drawing.iter(f"{SVG}rect") if r.get("fill-opacity")]
    assert [c.get("fill-opacity") for c in cells] == ["0.25", "0.75", "1.00", "1.00"]
    frames = [r for r in drawing.iter(f"{SVG}rect") if r.get("stroke-width")]
    assert (
        [(float(f.get("x")), float(f.get("y"))) for f in frames]
        == [  # type: ignore[arg-type]
            (float(c.get("x")) + 1, float(c.get("y")) + 1)  # type: ignore[arg-type]
            for c in cells[1:]
        ]
    )
    words = [t.text for t in drawing.iter(f"{SVG}text")]
    assert {"25", "75", "100"} <= set(words) and words.count("<dog>") == 2


def test_many_classes_are_numbered_and_their_cells_carry_no_figures() -> None:
    drawing = ElementTree.fromstring(
        share_matrix(np.eye(43), [f"sign {k}" for k in range(43)], (), "Answers")
    )
    words = [t.text for t in drawing.iter(f"{SVG}text")]
    assert "40" in words and "sign 1" not in words and "100" not in words
    assert float(drawing.get("width", "0")) < 520


def test_pairs_are_drawn_where_their_table_fits(tiny_cases: dict[str, Case]) -> None:
    case = tiny_cases["patch"]
    count = len(case.class_names)
    table = np.zeros((count, count))
    table[1, 0] = 7.25
    stream = {"figures": {"pairs": table.tolist()}}
    drawing = ElementTree.fromstring(pair_matrix(case, stream))
    assert "7.2" in [t.text for t in drawing.iter(f"{SVG}text")]
    for wrong in (None, table.tolist()[1:], [["x"] * count] * count, np.zeros((count, count)).tolist()):
        assert pair_matrix(case, {"figures": {"pairs": wrong}}) == ""
    own = {"values": [0.0] * count, "low": [0.0] * count, "middle": [0.0] * count, "high": [1.0] * count}
    figures = {"figures": own | stream["figures"], "sentence": "x", "target_class": 0}
    with_pairs = replace(case, report=replace(case.report, streams={"pairs": figures}))
    assert [f.name for f in stream_figures(with_pairs)] == ["classes-pairs", "pairs-pairs"]
