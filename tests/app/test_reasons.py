from __future__ import annotations

from dataclasses import replace

import pytest
from streamlit.testing.v1 import AppTest

from app.charts.theme import palette
from app.markup.page import verdict
from app.sections.verdicts.bounds import close_to_a_bound
from app.sections.verdicts.reasons import CLASSES, TRIGGER, in_groups
from app.sections.verdicts.why import in_words
from ti_core.rendering.waterfall import START, Step
from ti_core.results.case import Case


def test_each_reason_is_in_one_group_and_the_rarest_finding_comes_first(tiny_cases: dict[str, Case]) -> None:
    report = tiny_cases["patch"].report
    streams = {
        "universal": {"sentence": "U.", "clean_share": 0.04},
        "windowed": {"sentence": "W.", "clean_share": 0.0},
        "saliency": {"sentence": "S.", "clean_share": 0.9},
        "inversion": {"sentence": "I.", "clean_share": 0.3},
        "graph": {"sentence": "G.", "clean_share": None},
        "recovered_trigger": {"sentence": "T.", "clean_share": 0.2},
    }
    told = [
        ("T.", "for", "recovered_trigger"),
        ("P.", "for", ""),
        ("B.", "against", "recovered_trigger"),
        ("I.", "against", "inversion"),
        ("U.", "for", "universal"),
        ("S.", "against", "saliency"),
        ("W.", "for", "windowed"),
        ("G.", "for", "graph"),
        ("D.", "neither", "pack"),
        ("Pixels are scaled.", "neither", ""),
    ]
    changed = replace(
        report,
        reasons=tuple(sentence for sentence, _, _ in told),
        bearings=[{"speaks": speaks, "of": of} for _, speaks, of in told],
        streams=streams,
    )
    found = in_groups(changed)
    assert [r.sentence for r in found["for"]] == ["T.", "P.", "W.", "G.", "U."]
    assert [r.sentence for r in found["against"]] == ["B.", "S.", "I."]
    assert [r.sentence for r in found["neither"]] == ["Pixels are scaled."]
    assert [r.anchor for r in found["for"]] == [TRIGGER, "", CLASSES, CLASSES, CLASSES]
    earlier = in_groups(replace(changed, bearings=[]))
    assert [r.sentence for r in earlier["neither"]] == list(changed.reasons) and not earlier["for"]


def test_all_reasons_of_a_case_are_shown_three_of_a_group_at_once(tiny_cases: dict[str, Case]) -> None:
    def script() -> None:
        import streamlit as st

        from app.sections.verdicts import reasons

        reasons.show(st.session_state["case"])

    app = AppTest.from_function(script, default_timeout=60)
    app.session_state["case"] = tiny_cases["patch"]
    app.run()
    assert not app.exception
    groups = in_groups(tiny_cases["patch"].report)
    lists = [m.value for m in app.markdown if m.value.startswith("- ")]
    assert sum(text.count("\n- ") + 1 for text in lists) == sum(map(len, groups.values()))
    assert all(text.count("\n- ") < 3 for text in lists[::2] if len(groups["for"]) <= 3)
    assert any("[figure](#recovered-trigger)" in text for text in lists)


@pytest.mark.parametrize(
    ("p", "says"),
    [
        (0.25, "5.0 percentage points above 20.0%, which calls a model clean below it"),
        (0.15, "5.0 percentage points below 20.0%"),
        (0.75, "5.0 percentage points below 80.0%, which calls a model backdoored from it on"),
        (0.8, "0.0 percentage points above 80.0%"),
        (0.5, ""),
        (0.99, ""),
        (0.0, ""),
    ],
)
def test_a_verdict_near_a_bound_says_so_with_the_distance(p: float, says: str) -> None:
    found = close_to_a_bound(p, 0.2, 0.8)
    assert says in found and bool(found) == bool(says)


def test_a_verdict_that_is_not_final_looks_so() -> None:
    colours = palette(False)
    last = verdict("clean", "Clean: no backdoor.", ["x"], colours)
    first = verdict("clean", "Clean: no backdoor.", ["x"], colours, final=False)
    assert "so-far" not in last and "So far" not in last
    assert 'class="ti-verdict so-far"' in first and "So far: " in first


def test_the_sum_in_words_names_the_largest_steps() -> None:
    steps = [Step(START, -2.0, -2.0), Step("a", 0.01, -1.99), Step("b", 4.0, 2.01), Step("c", -0.5, 1.51)]
    said = in_words(steps, 0.819)
    assert (
        "clean and backdoored, stands at -2.0 log-odds (11.9%)" in said and "moved by b +4.0, c -0.5." in said
    )
    assert "makes +1.5, a probability of 81.9%" in said
    assert "next to nothing" in in_words(steps[:2], 0.12)
