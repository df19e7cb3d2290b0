"""What a verdict is about, in words and as a table."""

from __future__ import annotations

import pytest

from ti_core.cli.inspect import WIDTH, coverage_table
from ti_core.kinds import KINDS, MAPPINGS, Kind, MappingKind
from ti_core.results.coverage import (
    FOUND,
    NO_GATES,
    NOT_FOUND,
    NOT_LOOKED,
    Rates,
    Row,
    lines_of,
    not_looked_for,
    remarks,
    rows_of,
    short,
    subject,
)
from ti_core.results.wording import about, finding

RATES = Rates(0.9, 0.7, 0.97, 20, 0.0, 0.0, 0.1, 35)
OFF = "the stream is off"


def row(kind: Kind, mapping: MappingKind = "all to one", weak: bool = False) -> Row:
    why = "fewer than four of five are found" if weak else None
    return Row(kind, mapping, NOT_FOUND, ("universal",), why, RATES, weak)


def whole(*looked: Row) -> list[Row]:
    """A whole table, in which what is not named was not looked for."""
    own = {(r.kind, r.mapping): r for r in looked}
    gap = {kind: NO_GATES if kind == "gate" else OFF for kind in KINDS}
    return [own.get((k, m), Row(k, m, NOT_LOOKED, why=gap[k])) for m in MAPPINGS for k in KINDS]


USUAL = whole(
    row("patch"), row("blend"), Row("stripes", "all to one", NOT_FOUND, ("universal",), "not measured")
)


def test_a_clean_verdict_names_what_it_is_about() -> None:
    assert about("clean", USUAL) == " of patches and blends that lead all images to one class"
    assert about("inconclusive", USUAL) == " about patches and blends that lead all images to one class"
    both = whole(
        row("warp"), row("patch", "one source"), row("blend", "all to all"), row("gate", "all to all")
    )
    assert subject(both) == (
        "warps that lead all images to one class; patches that lead only one class to another; blends and gates in the"
        " graph that lead every class to another one",
        True,
    )


def test_where_every_search_is_weak_the_verdict_says_no_more_than_that_it_looked() -> None:
    weak = whole(row("patch", weak=True))
    assert about("clean", weak) == " as far as was looked (patches that lead all images to one class)"
    assert about("clean", whole()) == about("clean", []) == ""


def test_what_a_verdict_says_little_of_is_said() -> None:
    assert remarks(USUAL) == [
        "Looked for, but how often it is found was not measured: stripes that lead all images to one class.",
        "Not looked for: warps and input-dependent triggers that lead all images to one class; anything that leads only"
        " one class to another; anything that leads every class to another one.",
    ]
    assert remarks(whole(row("patch", weak=True)))[0] == (
        "Looked for, but often missed: patches that lead all images to one class."
    )
    assert remarks([]) == []


def test_gates_that_cannot_be_there_are_no_gap() -> None:
    everything = [row(kind, mapping) for mapping in MAPPINGS for kind in KINDS if kind != "gate"]
    assert not_looked_for(whole(*everything)) == ""


def test_a_few_words_for_a_line_of_json() -> None:
    assert short(whole(row("patch"), row("blend"), row("patch", "one source"))) == (
        "patch, blend: all to one; patch: one source"
    )
    assert short([]) == ""


def test_rows_outlast_their_records() -> None:
    assert list(rows_of([r.as_dict() for r in USUAL])) == USUAL


def test_lines_of_one_reason_are_joined_and_none_is_lost() -> None:
    found = Row("blend", "all to one", FOUND, ("universal",), None, RATES, False)
    lines = lines_of(whole(row("patch", weak=True), found))
    assert [(line.what, line.tone, line.result) for line in lines[:2]] == [
        ("blends", "hit", "found"),
        ("patches", "sought", "looked for, not found (weak)"),
    ]
    assert lines[0].found == "90% of 20 (70% to 97%)" and lines[0].alarms == "0% of 35 (0% to 10%)"
    gaps = {(line.what, line.leads) for line in lines[2:]}
    assert gaps == {
        ("stripes, warps and input-dependent triggers", "all images to one class"),
        (
            "patches, blends, stripes, warps and input-dependent triggers",
            "one class to one other or every class to another one",
        ),
        ("gates in the graph", "anywhere"),
    }


@pytest.mark.parametrize(
    "rows",
    [USUAL, whole(*(row(k, m, weak=True) for m in MAPPINGS for k in KINDS)), whole(row("input dependent"))],
)
def test_the_terminals_table_fits_its_width_and_names_every_kind(rows: list[Row]) -> None:
    lines = coverage_table(rows)
    assert max(map(len, lines)) <= WIDTH
    said = " ".join(" ".join(lines).split())
    assert all(word in said for word in ("patches", "blends", "stripes", "warps", "input-dependent triggers"))
    assert coverage_table([]) == coverage_table(whole()) == []


def pairs(*leads: tuple[int, int, float]) -> dict[str, object]:
    made = [
        {"source": s, "source_name": f"c{s}", "target": t, "target_name": f"c{t}", "moved": m}
        for s, t, m in leads
    ]
    return {"kind": "all to all", "target_name": None, "source_name": None, "assignment": made}


@pytest.mark.parametrize(
    ("kind", "mapping", "said"),
    [
        ("patch", {"kind": "all to one", "target_name": "6"}, ": a patch leads all images to class 6"),
        (
            "blend",
            {"kind": "one source", "source_name": "3", "target_name": "5"},
            ": a blended pattern leads only images of class 3 to class 5",
        ),
        (
            "patch",
            {"kind": "one source", "source_name": None, "target_name": "5"},
            ": a patch leads only one class to class 5",
        ),
        (
            "patch",
            pairs(*((k, (k + 1) % 5, 0.9) for k in range(5))),
            ": a patch leads every class to the next one",
        ),
        (
            "patch",
            pairs((0, 2, 0.9), (1, 3, 0.2), (2, 1, 0.8), (3, 0, 0.5)),
            ": a patch leads 3 of 4 classes to another one (c0 to c2, c2 to c1, c3 to c0)",
        ),
        (
            "blend",
            pairs(*((k, 5 - k, 1.0) for k in range(6))),
            ": a blended pattern leads every class to another one (c0 to c5, c1 to c4, c2 to c3, c3 to c2 and 2 more)",
        ),
        ("patch", pairs((0, 1, 0.1), (1, 0, 0.2)), ": a patch leads classes to other ones"),
        (None, {"kind": "all to one", "target_name": "6"}, ": a trigger leads all images to class 6"),
        ("gate", None, " by a gate in the graph"),
        (None, None, ""),
    ],
)
def test_a_finding_is_said_in_words(kind: str | None, mapping: dict[str, object] | None, said: str) -> None:
    assert finding(kind, mapping) == said
