"""Several cases side by side: verdicts, what differs in words and figures, saliency and histograms on shared scales."""

from __future__ import annotations

from collections.abc import Sequence

import streamlit as st

from app import controls, state, words
from app.charts import pictures
from app.charts.histograms import highest, histograms
from app.charts.verdict import CONFIG, kind_word
from app.markup.page import Picture, scale
from app.sections import weight_changes
from app.sections.histograms import panels_of
from app.sections.pictures import gallery
from app.sections.verdicts.tuning import SCORES, found
from app.sections.verdicts.verdict import box, caution, coverage, gauge
from ti_core.errors import PackError
from ti_core.rendering.comparison import Panel, differences
from ti_core.results.case import Case
from ti_core.results.report import percent
from ti_core.settings import Settings

ACROSS = 3
"""Cases in a row; more of them begin another row."""


def show(cases: Sequence[Case], ids: Sequence[str], sides: Sequence[str]) -> None:
    """Two or more cases. ``sides`` names the place of each, for the keys of its charts."""
    for row in _rows(range(len(cases)), min(len(cases), ACROSS)):
        for column, i in zip(st.columns(min(len(cases), ACROSS), gap="large"), row, strict=False):
            with column:
                caution(cases[i])
                st.html(box(cases[i]))
                gauge(cases[i], f"compare.{sides[i]}")
                with st.expander("What was looked for"):
                    coverage(cases[i])
    st.header("At a glance")
    st.table(glance(cases))
    st.caption(f"Only what differs. Settings and streams that are the same in all are left out. {SCORES}")
    if len(cases) == 2:
        weight_changes.show(cases[0], cases[1])
    if said := unlike(cases):
        st.info(said, icon=":material/info:")
        return
    profile = Settings.parse(cases[0].report.settings)
    try:
        drawn = [panels_of(c, n, profile) for c, n in zip(cases, ids, strict=True)]
    except PackError as error:
        st.info(words.safe(words.for_the_page(str(error))), icon=":material/info:")
        drawn = [[] for _ in cases]
    st.header("What differs")
    for i in range(1, len(cases)):
        if len(cases) > 2:
            st.markdown(f"**{words.safe(_names(cases)[0])} beside {words.safe(_names(cases)[i])}**")
        told = differences((cases[0], cases[i]), (drawn[0], drawn[i]))
        st.markdown("\n".join(f"- {words.safe(line, 600)}" for line in told))
    galleries(cases)
    side_by_side(cases, drawn, sides)


def unlike(cases: Sequence[Case]) -> str:
    """Why the pictures of these cases cannot stand beside each other; empty if they can."""
    if any(case.alone for case in cases):
        return (
            "Without reference models there are no saliency pictures to compare; the page Inspect shows what was found"
            " in each."
        )
    if len({case.report.pack["name"] for case in cases}) > 1:
        return "They were compared with different reference packs, so their pictures and histograms differ in kind."
    probes = [Settings.parse(case.report.settings).of_stage("probes") for case in cases]
    if any(one != probes[0] for one in probes):
        return (
            "They were inspected with different probe images, so saliency cannot be compared; inspect all of them under"
            " the same settings."
        )
    return ""


def glance(cases: Sequence[Case]) -> list[dict[str, str]]:
    """A table of what differs, one column for each case."""
    # A table shows Markdown, and a file's name may look like it.
    heads = [words.safe(name, 80) for name in _names(cases)]
    settings = [Settings.parse(case.report.settings) for case in cases]
    rows: dict[str, list[str]] = {
        "Verdict": [case.report.verdict for case in cases],
        "Probability of a backdoor": [percent(case.report.probability) for case in cases],
        "Suspected trigger": [str(case.report.trigger_kind or "none") for case in cases],
        "Suspected target class": [str(case.report.target_class_name or "none") for case in cases],
        "Compared with": [str(case.report.pack["name"] or "its own classes") for case in cases],
        "Architecture": [str(case.report.model["architecture"]) for case in cases],
        "Clean accuracy": [_share(case.report.model["clean_accuracy"]) for case in cases],
        "SHA-256 of the file": [str(case.report.model["sha256"])[:16] for case in cases],
    }
    for name in controls.schema():
        rows[f"Setting {controls.title(name)}"] = [
            controls.in_words(name, getattr(own, name))[1] for own in settings
        ]
    for name in dict.fromkeys(name for case in cases for name in case.report.streams):
        rows[f"Stream {name.replace('_', ' ')}".replace("Stream recovered trigger", "Recovered trigger")] = [
            found(case.report, name) for case in cases
        ]
    differing = {name: told for name, told in rows.items() if len(set(told)) > 1}
    if not differing:
        return [{"What": "Everything in the reports", **dict.fromkeys(heads, "the same")}]
    return [
        {"What": name, **{n: words.safe(t, 120) for n, t in zip(heads, told, strict=True)}}
        for name, told in differing.items()
    ]


def _share(value: float | None) -> str:
    return "not known" if value is None else f"{value:.1%}"


def _names(cases: Sequence[Case]) -> list[str]:
    """The file names, with a number before each so that they differ."""
    return [f"{i}. {words.plain(case.report.model['file'], 50)}" for i, case in enumerate(cases, 1)]


def galleries(cases: Sequence[Case]) -> None:
    """The galleries of all models for one probe image, on the largest of their colour scales."""
    if not all("probes" in c.arrays for c in cases):
        return
    st.header("Saliency")
    count = min(c.arrays["probes"].shape[2] for c in cases)
    with st.container(horizontal=True, vertical_alignment="bottom", gap="large"):
        index = st.slider("Image", 1, count, 1, key="compare.image", width=360) - 1 if count > 1 else 0
        over = st.toggle("Overlay on the image", key="compare.overlay")
    top = max(gallery.scale_of(c) for c in cases)
    for case in cases:
        st.markdown(f"**{words.safe(case.report.model['file'], 60)}**")
        st.html(gallery.table(case, index, "saliency", top, over))
    st.html(
        scale(
            Picture(pictures.uri(pictures.colour_scale()), "Colour scale from dark to bright"),
            "0",
            f"{top:.3g}",
            f"saliency, one scale for {'both' if len(cases) == 2 else 'all'} models",
        )
    )


def side_by_side(cases: Sequence[Case], drawn: Sequence[list[Panel]], sides: Sequence[str]) -> None:
    """The histograms of all models on the same axes."""
    if not all(drawn):
        return
    st.header("Histograms of saliency")
    kind = st.segmented_control(
        "Probes",
        cases[0].kinds,
        default=cases[0].kinds[0],
        format_func=lambda k: kind_word(k).capitalize(),
        required=True,
        key="compare.kind",
    )
    chosen = [[p for p in panels if p.kind == kind] for panels in drawn]
    top = highest([panel for panels in chosen for panel in panels])
    across = 2
    for row in _rows(range(len(cases)), across):
        for column, i in zip(st.columns(across, gap="medium"), row, strict=False):
            name = cases[i].report.model["file"]
            with column:
                st.markdown(f"**{words.safe(name, 60)}**")
                for n, figure in enumerate(histograms(chosen[i], state.colours(), columns=2, top=top)):
                    st.plotly_chart(
                        figure,
                        theme=None,
                        config=CONFIG,
                        key=f"compare.histograms.{sides[i]}.{n}",
                        alt=f"Histograms of saliency of {words.plain(name, 60)}",
                    )


def _rows(items: Sequence[int], across: int) -> list[Sequence[int]]:
    return [items[i : i + across] for i in range(0, len(items), across)]
