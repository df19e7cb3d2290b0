"""The page of second opinions: apart from the report, escaped, without a script or a request."""

from __future__ import annotations

import re

import pytest

from ti_core.methods.beside import Beside
from ti_core.methods.opinion import Opinion, Opinions
from ti_core.rendering.opinions import page as module
from ti_core.rendering.opinions.drawing import drawing, span
from ti_core.rendering.opinions.page import opinions_page

OTHERS = Beside((0.0, 1.0, 2.0), (3.0, 4.0, 500.0))


def test_a_page_says_what_each_method_says(monkeypatch: pytest.MonkeyPatch) -> None:
    given = (
        Opinion("neural_cleanse", 3.5, 2.0, True, "It leads to class <b>top</b>.", 0, (1.0,), 0.4),
        Opinion("strip", 0.25, None, None, "A quarter is rejected.", 1, (), 0.2),
    )
    found = Opinions("<i>.pt", "mnist", "0" * 64, ("a", "b"), given, {"mntd": "MNTD needs <u>more</u>."})
    monkeypatch.setattr(module, "beside", lambda one, pack, sha256: OTHERS if one.threshold else None)
    page = opinions_page(found)
    assert page.startswith("<!doctype html>") and "<script" not in page
    for tag in ("<i>", "<b>", "<u>"):
        assert tag not in page
    assert "Neural Cleanse: ✗ backdoored" in page and "STRIP: no decision on networks" in page
    assert "backdoored above 2" in page and "of 33% of 3 backdoored ones" in page
    assert page.count("<svg") == 1 and "MNTD: MNTD needs" in page
    assert not re.findall(r'(?:src|href)="(?!data:)', page)


def test_a_drawing_puts_marks_in_proportion_and_far_ones_at_the_edge() -> None:
    one = Opinion("neural_cleanse", 2.0, 1.0, True, ".")
    low, high = span(one, OTHERS)
    assert low == pytest.approx(-0.2) and high == pytest.approx(4.2)
    drawn = str(drawing(one, OTHERS))
    marks = [float(x) for x in re.findall(r'class="(?:clean|backdoored)" d="M([\d.]+)', drawn)]
    # The axis leads from 90 to 630.
    assert marks == pytest.approx(
        [90 + 540 * (v - low) / (high - low) for v in (0, 1, 2, 3, 4, high)], abs=0.06
    )
    assert re.findall(r'class="own" d="M([\d.]+)', drawn) == [str(round(90 + 540 * 2.2 / 4.4, 1))]
    assert "threshold" in drawn and "threshold<" not in str(
        drawing(Opinion("strip", 2.0, None, None, "."), OTHERS)
    )
