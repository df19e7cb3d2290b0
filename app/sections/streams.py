"""The deep streams: every class of the model compared with the band of the clean reference models."""

from __future__ import annotations

from typing import Any

import streamlit as st

from app import state, words
from app.charts import pictures
from app.charts.classes import class_bars
from app.charts.theme import inks
from app.charts.verdict import CONFIG
from app.markup import section_map
from app.markup.page import Picture, drawings
from ti_core.rendering.class_marks import marked_classes, marks_sentence
from ti_core.rendering.figures import PAIRS_SAY
from ti_core.rendering.pictures import Figure
from ti_core.rendering.trigger.matrix import pair_matrix
from ti_core.results.case import Case
from ti_core.streams import known_stream

UNIT_ALONE = "times the usual"


def show(case: Case, key: str) -> None:
    found = [(n, s) for n, s in case.report.streams.items() if drawable(case, s)]
    if not found:
        return
    if not section_map.opened("Class by class"):
        return
    shown = (
        "How far each class stands out among the model's own. The line at 1 is what the most outstanding class of a"
        " clean network usually reaches."
        if case.alone
        else "How strongly each class can be forced. The band holds 90% of the clean reference models."
    )
    marks = marks_sentence(case.report, [s for _, s in found], case.class_names, case.finished)
    st.caption(f"{shown} {words.safe(marks, 600)}")
    across = 2 if len(found) in (2, 4) else 3
    for i, (name, stream) in enumerate(found):
        if i % across == 0:
            columns = st.columns(across, gap="medium")
        with columns[i % across]:
            chart(case, name, stream, key)
            st.caption(words.safe(stream.get("sentence", ""), 600))
            if table := pair_matrix(case, stream, inks(state.colours())):
                drawn = pictures.figure_uri(Figure("pairs", PAIRS_SAY, drawing=table))
                st.html(drawings([Picture(drawn, PAIRS_SAY)], widest=440))
                st.caption(PAIRS_SAY)


def chart(case: Case, name: str, stream: dict[str, Any], key: str) -> None:
    """The title and the chart of one stream that is :func:`drawable`."""
    title, unit = _named(name)
    st.markdown(f"**{words.safe(title)}**")
    figures = stream["figures"]
    st.plotly_chart(
        class_bars(
            case.class_names,
            figures["values"],
            [figures[k] for k in band(case)],
            UNIT_ALONE if case.alone else unit,
            *marked_classes(case.report, stream),
            state.colours(),
        ),
        theme=None,
        config=CONFIG,
        key=f"{key}.stream.{name}",
        alt=words.plain(stream.get("sentence", title), 300),
    )


def band(case: Case) -> tuple[str, ...]:
    """Names of the figures of the clean reference models' band. Empty without reference models."""
    return () if case.alone else ("low", "middle", "high")


def _named(name: str) -> tuple[str, str]:
    """Heading and unit of a stream's chart. A case may contain a stream that this version does not have."""
    stream = known_stream(name)
    return (stream.heading, stream.unit) if stream else (name.replace("_", " ").capitalize(), "Value")


def drawable(case: Case, stream: dict) -> bool:
    """Whether the stream has a figure and a band for every class."""
    figures = stream.get("figures")
    if not isinstance(figures, dict):
        return False
    lists = [figures.get(k) for k in ("values", *band(case))]
    return all(
        isinstance(v, list)
        and len(v) == len(case.class_names)
        and all(isinstance(x, (int, float)) for x in v)
        for v in lists
    )
