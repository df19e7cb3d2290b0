"""The page Compare: two models under the same settings, on shared axes and one colour scale."""

from __future__ import annotations

import streamlit as st

from app import controls, refusal, state, status, uploader, words
from app.ask import PREFIX, submit, wanted
from app.charts import pictures
from app.charts.histograms import highest, histograms
from app.charts.verdict import CONFIG, kind_word
from app.jobs.desk import FullError
from app.markup.page import Picture, scale
from app.sections import weight_changes
from app.sections.histograms import panels_of
from app.sections.pictures import gallery
from app.sections.settings_panel import notice
from app.sections.verdicts.verdict import box, caution, coverage, gauge
from app.store.sources import Source, samples
from app.store.uploads import let_go
from ti_core.errors import CaseError, ModelFileError, PackError, SettingsError
from ti_core.rendering.comparison import differences
from ti_core.results.case import Case
from ti_core.settings import Settings

SIDES = ("left", "right")
UPLOAD = "upload"


def page() -> None:
    st.title("Compare two models")
    controls.keep(PREFIX, "pack", "minutes")
    for side in SIDES:
        _settle(side)
    notice()
    options = choices()
    with st.container(border=True):
        for column, side in zip(st.columns(2, gap="large"), SIDES, strict=True):
            with column:
                choose(side, options)
    waiting = False
    for column, side in zip(st.columns(2, gap="large"), SIDES, strict=True):
        ticket = status.current(f"compare.ticket.{side}")
        with column:
            if ticket is not None and ticket.active:
                waiting = True
                st.markdown(f"**{words.safe(ticket.title, 60)}**")
                status.follow(f"compare.ticket.{side}")
            elif ticket is not None and ticket.state == "failed":
                with st.container(border=True):
                    st.markdown(f":material/block: **{words.safe(ticket.title, 60)} was not inspected.**")
                    refusal.show(ticket.error, ticket.title, ticket.fault)
            elif ticket is not None and ticket.state == "cancelled":
                st.info("The inspection was stopped.", icon=":material/cancel:")
    found = {side: chosen_case(side) for side in SIDES}
    left, right = found["left"], found["right"]
    if left is None or right is None:
        if not waiting:
            st.info(
                "Choose a model on each side. Samples and handed-in models are inspected first; cases are only opened."
            )
        return
    both(*left, *right)


def choices() -> dict[str, str]:
    """The options by key: an upload, the samples and the cases."""
    options = {"": "Choose a model", UPLOAD: "Hand in a file"}
    for pack, kinds in samples().items():
        options |= {f"sample:{pack}:{kind}": f"Sample: {source.name}" for kind, source in kinds.items()}
    for entry in state.store().entries()[:100]:
        if not entry.problem:
            options[f"case:{entry.id}"] = (
                f"Case: {words.plain(entry.file, 50)}, {entry.verdict}, {words.when(entry.created)}"
            )
    return options


def choose(side: str, options: dict[str, str]) -> None:
    """The choice of one side. A sample is inspected as soon as it is chosen."""
    key = f"compare.{side}"
    if st.session_state.get(key, "") not in options:
        st.session_state[key] = ""
    kept = st.session_state.get(f"{key}.kept", "")
    if key not in st.session_state and kept in options:
        st.session_state[key] = kept
    chosen = st.selectbox(
        "Left" if side == "left" else "Right", list(options), format_func=options.__getitem__, key=key
    )
    st.session_state[f"{key}.kept"] = chosen
    if chosen.startswith("case:"):
        st.session_state[f"{key}.case"] = chosen.removeprefix("case:")
        st.session_state.pop(f"compare.ticket.{side}", None)
    elif chosen.startswith("sample:"):
        _, pack, kind = chosen.split(":")
        if st.session_state.get(f"{key}.asked") != chosen:
            ask(side, chosen, samples()[pack][kind])
    elif chosen == UPLOAD:
        # An uploaded file is released once its inspection is requested. The next file gets an uploader of its own.
        turn = st.session_state.setdefault(f"{key}.turn", 0)
        uploads = uploader.files("Model file", key=f"{key}.upload.{turn}")
        if st.button("Inspect", key=f"{key}.go", disabled=not uploads):
            try:
                source = state.shelf().put(uploads)
            except ModelFileError as error:
                st.warning(words.safe(str(error)), icon=":material/block:")
            except OSError as error:
                uploader.not_kept(error)
            else:
                if ask(side, f"file:{source.digest}", source):
                    st.session_state[f"{key}.turn"] += 1
                    let_go(uploads)
                    st.rerun()
    else:
        st.session_state.pop(f"{key}.case", None)
    if not chosen.startswith("sample:"):
        st.session_state.pop(f"{key}.asked", None)


def ask(side: str, what: str, source: Source) -> bool:
    """Inspect one side's model under the settings of the page Inspect. Returns whether it is in the queue."""
    st.session_state[f"compare.{side}.asked"] = what
    st.session_state.pop(f"compare.{side}.case", None)
    try:
        pack = state.pack(source.pack) if source.pack else None
        submit(source, wanted(pack), pack, slot=f"compare.ticket.{side}")
    except (FullError, PackError, SettingsError) as error:
        st.warning(words.safe(words.for_the_page(str(error))), icon=":material/warning:")
    except OSError as error:
        st.warning(f"The inspection cannot be started: {words.reason(error)}", icon=":material/warning:")
    else:
        return True
    return False


def _settle(side: str) -> None:
    ticket = status.current(f"compare.ticket.{side}")
    if ticket is not None and ticket.state == "done":
        st.session_state[f"compare.{side}.case"] = ticket.case_id


def chosen_case(side: str) -> tuple[Case, str] | None:
    """The case of a side and its id, or None while there is none."""
    name = st.session_state.get(f"compare.{side}.case", "")
    if not name:
        return None
    try:
        return state.case(name), name
    except CaseError as error:
        st.warning(words.safe(str(error)), icon=":material/warning:")
        return None


def both(one: Case, one_id: str, two: Case, two_id: str) -> None:
    """The comparison of two cases."""
    cases, names = (one, two), (one_id, two_id)
    for column, case, side in zip(st.columns(2, gap="large"), cases, SIDES, strict=True):
        with column:
            caution(case)
            st.html(box(case))
            gauge(case, f"compare.{side}")
            with st.expander("What was looked for"):
                coverage(case)
    weight_changes.show(one, two)
    if one.alone or two.alone:
        st.info(
            "Without reference models there are no saliency pictures to compare; the page Inspect shows what was found"
            " in each.",
            icon=":material/info:",
        )
        return
    if one.report.pack["name"] != two.report.pack["name"]:
        st.warning(
            "The two were compared with different reference packs, so their pictures and histograms differ in kind."
        )
        return
    profile = Settings.parse(one.report.settings)
    other = Settings.parse(two.report.settings)
    if profile.of_stage("probes") != other.of_stage("probes"):
        st.warning(
            "The two were inspected with different probe images, so saliency cannot be compared; inspect both under the"
            " same settings.",
            icon=":material/warning:",
        )
        return
    try:
        drawn = [panels_of(c, n, profile) for c, n in zip(cases, names, strict=True)]
    except PackError as error:
        st.info(words.safe(words.for_the_page(str(error))), icon=":material/info:")
        drawn = [[], []]
    st.header("What differs")
    st.markdown("\n".join(f"- {words.safe(line, 600)}" for line in differences(cases, drawn)))
    galleries(cases)
    side_by_side(cases, drawn)


def galleries(cases: tuple[Case, Case]) -> None:
    """The galleries of both models for one probe image. Both use the larger of the two colour scales."""
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
            "saliency, one scale for both models",
        )
    )


def side_by_side(cases: tuple[Case, Case], drawn: list[list]) -> None:
    """The histograms of both models on the same axes."""
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
    top = highest([*chosen[0], *chosen[1]])
    for column, case, panels, side in zip(st.columns(2, gap="medium"), cases, chosen, SIDES, strict=True):
        with column:
            st.markdown(f"**{words.safe(case.report.model['file'], 60)}**")
            for i, figure in enumerate(histograms(panels, state.colours(), columns=2, top=top)):
                st.plotly_chart(
                    figure,
                    theme=None,
                    config=CONFIG,
                    key=f"compare.histograms.{side}.{i}",
                    alt=f"Histograms of saliency of {words.plain(case.report.model['file'], 60)}",
                )
