"""The dashboard shows the recovered trigger of each kind, and the table of pairs beside its stream."""

from __future__ import annotations

import base64
import re
from dataclasses import replace
from xml.etree import ElementTree

import numpy as np
import pytest
from streamlit.testing.v1 import AppTest

from tests.rendering.kinds import MAKERS, with_trigger
from ti_core.results.case import Case


def section(case: Case, name: str) -> AppTest:
    def script(case: object, name: str) -> None:
        from app.sections import streams, trigger

        if name == "trigger":
            trigger.show(case)
        else:
            streams.show(case, "key")

    app = AppTest.from_function(script, kwargs={"case": case, "name": name}).run(timeout=60)
    assert not app.exception
    return app


def drawings(app: AppTest) -> list[str]:
    """The titles of the drawings on the page."""
    encoded = re.findall(
        r"data:image/svg\+xml;base64,([\w+/=]+)", "".join(h.proto.body for h in app.get("html"))
    )
    roots = [ElementTree.fromstring(base64.b64decode(one)) for one in encoded]
    return [str(root.findtext("{http://www.w3.org/2000/svg}title")) for root in roots]


@pytest.mark.parametrize(
    ("kind", "drawn"),
    [
        ("warp", ["Displacements of at most 1.5 pixels"]),
        ("stripes", []),
        ("all to all", ["Answers without the trigger, in %", "Answers with the trigger, in %"]),
    ],
)
def test_each_kind_is_shown(kind: str, drawn: list[str], tiny_cases: dict[str, Case]) -> None:
    app = section(MAKERS[kind](tiny_cases["patch"]), "trigger")
    assert app.header[0].value == "Recovered trigger" and app.markdown[0].value == "A sentence\\."
    assert drawings(app) == drawn
    assert any("of these 3 become" in c.value for c in app.caption)
    html = "".join(h.proto.body for h in app.get("html"))
    assert len(re.findall("<figcaption>sees ", html)) == 6


def test_a_kind_that_is_not_known_is_a_sentence(tiny_cases: dict[str, Case]) -> None:
    mask = np.ones((12, 12))
    case = with_trigger(tiny_cases["patch"], {"kind": "smell"}, mask=mask, pattern=mask[None])
    app = section(case, "trigger")
    assert any("no picture of a trigger of the kind" in c.value for c in app.caption)


def test_the_table_of_pairs_stands_with_its_stream(tiny_cases: dict[str, Case]) -> None:
    case = tiny_cases["patch"]
    count = len(case.class_names)
    table = np.zeros((count, count))
    table[1, 0] = 7.0
    ends = {name: [0.0] * count for name in ("values", "low", "middle", "high")}
    stream = {"figures": {**ends, "pairs": table.tolist()}, "sentence": "x", "target_class": 0}
    case = replace(case, report=replace(case.report, streams={"pairs": stream}))
    assert drawings(section(case, "streams")) == ["Deviations of each pair"]
