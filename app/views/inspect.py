"""The page Inspect: choose a model, follow the inspection, read the verdict and the evidence."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import streamlit as st

from app import (
    address,
    controls,
    handing_in,
    refusal,
    sample_box,
    sketch_box,
    state,
    status,
    words,
)
from app.ask import PREFIX, start_afresh, submit, submit_alone, wanted
from app.charts.theme import WORDS
from app.jobs.desk import FullError
from app.jobs.tickets import Ticket
from app.markup import section_map
from app.sections import (
    download,
    histograms,
    model_file,
    opinions,
    own_images,
    settings_panel,
    streams,
    trigger,
)
from app.sections.pictures import gallery, strip
from app.sections.verdicts import tuning, verdict, why
from app.store.arrivals import Upload
from app.store.sources import Source
from app.store.uploads import let_go
from ti_core.errors import (
    CaseError,
    DataError,
    NoPackFitsError,
    PackError,
    SettingsError,
    SketchError,
    UnknownArchitectureError,
)
from ti_core.reference.pack import Pack
from ti_core.results.case import Case
from ti_core.settings import Settings
from ti_core.stream_registry import STANDARD

FIRST = "Verdict"
"""The link to the top of a result."""


def page() -> None:
    controls.keep(PREFIX, "pack", "minutes")
    problem = address.follow()
    ticket, case_id = status.current(), address.case_id()
    if ticket is not None and ticket.active:
        address.show(ticket=ticket.id)
        _working(ticket)
        return
    if case_id:
        try:
            case = state.case(case_id)
        except CaseError as error:
            problem = str(error)
            address.forget()
        else:
            address.show(case=case_id)
            st.set_page_config(
                page_title=f"{WORDS[case.report.verdict]}: {words.plain(case.report.model['file'], 60)}"
            )
            _bar(case, case_id)
            result(case, case_id, case_id)
            return
    address.show()
    st.title("Is there a backdoor in this model?")
    st.markdown(
        "Hand in an image classifier. Nothing in the file is run; the model is compared with models known to be clean"
        " or backdoored, and you get a verdict with its evidence."
    )
    # Always there, so that nothing below changes its place: the browser would fold the settings away.
    with st.container():
        if ticket is not None and ticket.state in ("failed", "cancelled"):
            _ended(ticket)
        elif problem:
            st.warning(words.safe(problem), icon=":material/warning:")
    chooser()


def _bar(case: Case, case_id: str) -> None:
    """The bar above a result: the file name of the model, the downloads, and the button for another model."""
    st.header(words.safe(case.report.model["file"], 80), anchor=section_map.anchor(FIRST))
    with st.container(horizontal=True, vertical_alignment="center", horizontal_alignment="distribute"):
        download.show(case, case_id, case_id)
        if st.button("Inspect another model", icon=":material/add:", key="another"):
            address.forget()
            st.rerun()


def _working(ticket: Ticket) -> None:
    st.set_page_config(page_title=f"Inspecting {words.plain(ticket.title, 60)}")
    st.markdown(f"### {words.safe(ticket.title, 80)}")
    status.follow()
    partial = ticket.partial
    if partial is not None:
        result(partial, ticket.id, f"partial-{ticket.id}")


def _ended(ticket: Ticket) -> None:
    if ticket.state == "cancelled":
        st.info(
            "The inspection was stopped, so there is no verdict. What was computed is kept. If you ask for it again, it"
            " goes on from there.",
            icon=":material/cancel:",
        )
        _stopped(ticket)
        return
    with st.container(border=True):
        what = "was not inspected to the end" if ticket.so_far else "was not inspected"
        st.markdown(f":material/block: **{words.safe(ticket.title, 80)} {what}.**")
        refusal.show(ticket.error, ticket.title, ticket.fault)
        _stopped(ticket)
    source = Source(
        ticket.title, Path(ticket.request["model"]), tuple(map(Path, ticket.request["companions"]))
    )
    drawn = (UnknownArchitectureError.__name__, SketchError.__name__)
    if ticket.fault in drawn and source.path.is_file():
        sketch_box.offer(source, ticket.request.get("sketch") or "", "", f"ended.{ticket.id}", start_drawn)
    unfit = ticket.fault == NoPackFitsError.__name__ or bool(ticket.request.get("images"))
    if unfit and source.path.exists():
        own_images.offer(source, f"ended.{ticket.id}", start_alone)


def _stopped(ticket: Ticket) -> None:
    """The last verdict so far of an inspection that was stopped."""
    if ticket.so_far is not None:
        st.caption(f":material/hourglass_bottom: {words.safe(ticket.so_far.stopped(), 600)}")


def chooser() -> None:
    """The visitor's model first, samples beside it. The settings are folded away: their defaults are usually enough."""
    settings_panel.notice()
    left, right = st.columns([11, 9], gap="large")
    with left:
        handing_in.show(start, start_alone)
    with right:
        sample_box.show(start)
    if box := controls.unfolded("Settings", f"{PREFIX}.panel"):
        with box:
            settings_panel.show()


def start(
    source: Source,
    settings: Settings | None = None,
    pack_name: str = "",
    uploads: Sequence[Any] = (),
    drawn: str | None = None,
    effort: str = STANDARD,
) -> None:
    """Request an inspection and show its progress. The page's own copy of the upload is released."""
    try:
        name = pack_name or st.session_state.get("pack") or source.pack or ""
        pack: Pack | None = state.pack(name) if name else None
        chosen = settings or wanted(pack, effort)
        address.forget()
        submit(source, chosen, pack, sketch=drawn)
    except (SettingsError, PackError, FullError) as error:
        st.warning(words.safe(words.for_the_page(str(error))), icon=":material/warning:")
        return
    except OSError as error:
        st.warning(f"The inspection cannot be started: {words.reason(error)}", icon=":material/warning:")
        return
    if settings is None:
        start_afresh()
    let_go(uploads)
    st.rerun()


def start_drawn(source: Source, drawn: str) -> None:
    """Request an inspection of a state dict whose layers the visitor has named."""
    start(source, drawn=drawn)


def start_alone(
    source: Source, images: Sequence[Upload], uploads: Sequence[Any] = (), effort: str = STANDARD
) -> None:
    """Request an inspection without reference models and show its progress."""
    try:
        submit_alone(source, wanted(None, effort), images)
    except (SettingsError, DataError, FullError) as error:
        st.warning(words.safe(words.for_the_page(str(error))), icon=":material/warning:")
        return
    except OSError as error:
        st.warning(f"The images cannot be kept: {words.reason(error)}", icon=":material/block:")
        return
    address.forget()
    start_afresh()
    let_go([*uploads, *images])
    st.rerun()


def result(case: Case, case_id: str, key: str) -> None:
    """All sections of a case, the most important first, with a map of them above."""
    place = section_map.begin() if case.finished else None
    tuning.beside(case, case_id)
    verdict.show(case, key)
    _tuning(case, case_id, key)
    if case.finished and not case.understood and not case.alone:
        elsewhere(case, key)
    _trigger(case)
    _streams(case, key)
    _gallery(case, key)
    _strip(case, key)
    _histograms(case, case_id, key)
    _why(case, key)
    _model_file(case)
    if case.finished and case.report.model.get("sketch") and not case.alone:
        layers(case, key)
    if case.finished:
        # No fragment: a press of Cancel would wait for the end of the work that it is to break off.
        opinions.show(case, case_id, key)
    if place is not None:
        section_map.end(place, FIRST)


# Each of these sections is drawn by itself when it is opened, closed, or its controls are turned.
_trigger = st.fragment(trigger.show)
_streams = st.fragment(streams.show)
_strip = st.fragment(strip.show)
_why = st.fragment(why.show)
_model_file = st.fragment(model_file.show)


@st.fragment
def _tuning(case: Case, case_id: str, key: str) -> None:
    """The panel with the settings."""
    if (asked := tuning.show(case, case_id, key)) is not None:
        again(case, asked)


@st.fragment
def _gallery(case: Case, key: str) -> None:
    """The gallery."""
    if (asked := gallery.show(case, key)) is not None:
        again(case, asked)


@st.fragment
def _histograms(case: Case, case_id: str, key: str) -> None:
    """The histograms."""
    if (asked := histograms.show(case, case_id, key)) is not None:
        again(case, asked)


def elsewhere(case: Case, key: str) -> None:
    """Offer an inspection without a pack if the pack fits only the model's shape, and the model file is still kept."""
    source = state.kept(case.report.model["sha256"], case.report.model["file"])
    if source is not None:
        own_images.offer(source, key, start_alone)


def layers(case: Case, key: str) -> None:
    """The box with the layers of a network that was reconstructed or drawn, if the model file is still kept."""
    model = case.report.model
    source = state.kept(model["sha256"], model["file"])
    if source is not None:
        sketch_box.offer(source, str(model["sketch"]), str(case.report.pack["name"]), key, start_drawn)


def again(case: Case, settings: Settings) -> None:
    """Inspect the same model at other settings, if its file is still kept."""
    source = state.kept(case.report.model["sha256"], case.report.model["file"])
    if source is None:
        st.warning("The model file is no longer here; hand it in again to get its verdict at these settings.")
        return
    start(source, settings, case.report.pack["name"], drawn=case.report.model.get("sketch"))
