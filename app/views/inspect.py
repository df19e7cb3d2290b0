"""The first page: choose a model, watch the inspection, read its verdict and the evidence."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from typing import Any

import streamlit as st

from app import controls, requests, state, status, words
from app.cases import ID
from app.jobs import FullError
from app.requests import PREFIX
from app.sections import (
    download,
    gallery,
    histograms,
    model_file,
    streams,
    strip,
    trigger,
    verdict,
    why,
)
from app.sources import Source, samples
from app.tickets import Ticket
from app.uploads import let_go
from ti_core.case import Case
from ti_core.errors import CaseError, ModelFileError, PackError, SettingsError
from ti_core.pack import Pack
from ti_core.settings import Settings

LOST = (
    "The server was started anew since this inspection began, so it has no result; ask for it again. Finished cases"
    " are kept."
)
AUTO = "chosen by the model's input and classes"
KINDS = {
    "clean": ("Clean", ":material/verified_user:"),
    "blend": ("Blend trigger", ":material/blur_on:"),
    "patch": ("Patch trigger", ":material/crop_square:"),
}


def page() -> None:
    controls.keep(PREFIX, "pack")
    lost = _find_ticket()
    ticket = status.current()
    _settle(ticket)
    case_id = _case_id()
    if ticket is not None and ticket.active:
        _working(ticket)
        return
    if case_id:
        try:
            case = state.case(case_id)
        except CaseError as error:
            st.warning(words.safe(str(error)), icon=":material/warning:")
            _forget_case()
        else:
            _bar(case)
            result(case, case_id, case_id)
            return
    st.title("Is there a backdoor in this model?")
    st.markdown(
        "Hand in an image classifier. Nothing in the file is run; the model is compared with models known to be clean"
        " or backdoored, and you get a verdict with its evidence."
    )
    if ticket is not None and ticket.state in ("failed", "cancelled"):
        _ended(ticket)
    elif lost:
        st.info(LOST, icon=":material/restart_alt:")
    chooser()


def _find_ticket() -> bool:
    """After a reload the address names the inspection that goes on; whether it was lost with the server that had it."""
    named = st.query_params.get("ticket", "")
    if not named or st.session_state.get("ticket") == named:
        return False
    st.query_params.pop("ticket", None)
    ticket = state.desk().hand_over(named, state.session_id())
    if ticket is None:
        return True
    st.session_state["ticket"] = st.query_params["ticket"] = named
    return False


def _settle(ticket: Ticket | None) -> None:
    """When a ticket is done, its case is what the page shows, once."""
    if ticket is not None and ticket.state == "done" and st.session_state.get("settled") != ticket.id:
        st.session_state["settled"] = ticket.id
        st.session_state["case"] = ticket.case_id
        st.query_params["case"] = ticket.case_id
        st.query_params.pop("ticket", None)


def _case_id() -> str:
    """The case that is shown: the address names it, so that a reload or a bookmark opens it again."""
    named = st.query_params.get("case", "")
    if named and ID.fullmatch(named):
        st.session_state["case"] = named
    kept: str = st.session_state.get("case", "")
    if kept and not named:
        st.query_params["case"] = kept
    return kept


def _forget_case() -> None:
    st.session_state.pop("case", None)
    st.query_params.pop("case", None)


def _bar(case: Case) -> None:
    """Above a result: what it is of, and the way to the next model."""
    with st.container(horizontal=True, vertical_alignment="center", horizontal_alignment="distribute"):
        st.markdown(f"### {words.safe(case.report.model['file'], 80)}")
        if st.button("Inspect another model", icon=":material/add:", key="another"):
            _forget_case()
            st.rerun()


def _working(ticket: Ticket) -> None:
    st.markdown(f"### {words.safe(ticket.title, 80)}")
    status.follow()
    partial = ticket.partial
    if partial is not None:
        result(partial, ticket.id, f"partial-{ticket.id}")


def _ended(ticket: Ticket) -> None:
    st.query_params.pop("ticket", None)
    if ticket.state == "cancelled":
        st.info("The inspection was stopped. Nothing of it was kept.", icon=":material/cancel:")
        return
    first, *rest = words.for_the_page(ticket.error).splitlines() or [""]
    with st.container(border=True):
        st.markdown(f":material/block: **{words.safe(ticket.title, 80)} was not inspected.**")
        st.markdown(words.safe(first, 1500))
        if rest:
            st.code("\n".join(words.plain(line, 400) for line in rest), language=None, wrap_lines=True)


def chooser() -> None:
    """Samples by one click, or a file; the settings are folded away, since their defaults do."""
    left, right = st.columns(2, gap="large")
    with left:
        st.subheader("Try a sample")
        st.caption(
            "Bundled models whose answer is known: one clean, two backdoored. One click, a few seconds."
        )
        found = samples()
        for pack, kinds in found.items():
            if len(found) > 1:
                st.markdown(f"**{words.safe(pack)}**")
            with st.container(horizontal=True):
                for kind, source in kinds.items():
                    title, icon = KINDS[kind]
                    if st.button(title, icon=icon, key=f"sample.{pack}.{kind}", width="stretch"):
                        start(source)
        if not found:
            st.info("No samples are bundled with this installation.")
    with right:
        st.subheader("Inspect your own")
        uploads = st.file_uploader(
            "Model file",
            accept_multiple_files=True,
            key="upload",
            help="A state dict, a whole module, or ONNX; for ONNX with outside data hand in both files.",
        )
        st.caption(
            "safetensors, PyTorch .pt and .pth, ONNX, up to 128 MB together. The file stays on this machine."
        )
        if st.button(
            "Inspect", type="primary", icon=":material/search:", key="inspect", disabled=not uploads
        ):
            try:
                start(state.shelf().put(uploads), uploads=uploads)
            except ModelFileError as error:
                st.warning(words.safe(str(error)), icon=":material/block:")
            except OSError as error:
                st.warning(f"The file cannot be kept: {words.reason(error)}", icon=":material/block:")
    with st.expander("Settings", icon=":material/tune:"):
        settings_panel()


def settings_panel() -> None:
    """Every setting, with what a change costs."""
    with st.container(horizontal=True, vertical_alignment="bottom"):
        st.selectbox(
            "Reference pack",
            ["", *state.packs()],
            format_func=lambda name: name or AUTO,
            key="pack",
            on_change=_other_pack,
            help="The models known to be clean or backdoored that the suspect is compared with.",
            width=340,
        )
        st.button(
            "The paper's settings",
            on_click=controls.fill,
            args=(PREFIX, controls.paper()),
            key="paper",
            help="Section 5 of the paper: per-image histograms of the maximum and two percentiles, saliency alone.",
        )
        st.button(
            "Defaults",
            on_click=controls.fill,
            args=(PREFIX, requests.standard()),
            key="defaults",
            help="The settings that the reference pack was made with.",
        )
    for column, (title, names) in zip(
        st.columns(len(controls.GROUPS), gap="large"), controls.GROUPS, strict=True
    ):
        with column:
            st.markdown(f"**{title}**")
            for name in names:
                controls.control(PREFIX, name)
    try:
        controls.read(PREFIX)
    except SettingsError as error:
        st.warning(words.safe(str(error)), icon=":material/warning:")
        return
    cost()


def _other_pack() -> None:
    """The controls go to the own settings of the pack that was chosen, but for those that were turned."""
    before, after = requests.standard(st.session_state.get("pack.before", "")), requests.standard()
    st.session_state["pack.before"] = st.session_state["pack"]
    with suppress(SettingsError):
        after = after.with_(**controls.read(PREFIX).differing(before))
    controls.fill(PREFIX, after)


def cost() -> None:
    """What these settings cost, said beforehand."""
    for name in [st.session_state.get("pack") or ""] if st.session_state.get("pack") else state.packs():
        try:
            pack = state.pack(name)
            settings = requests.wanted(pack)
        except PackError:
            continue
        seconds = state.desk().pace.reference_seconds(pack, settings)
        if seconds:
            members = sum(not m.held_out for m in pack.members)
            st.info(
                f"At these settings the {members} reference models of {words.safe(name)} are looked at again, once for"
                f" this model: about {words.seconds(seconds)}.",
                icon=":material/schedule:",
            )


def start(
    source: Source, settings: Settings | None = None, pack_name: str = "", uploads: Sequence[Any] = ()
) -> None:
    """Ask for an inspection, and show its progress; the page's own copy of what was handed in goes."""
    try:
        name = pack_name or st.session_state.get("pack") or source.pack or ""
        pack: Pack | None = state.pack(name) if name else None
        settings = settings or requests.wanted(pack)
        _forget_case()
        ticket = requests.submit(source, settings, pack)
    except (SettingsError, PackError, FullError) as error:
        st.warning(words.safe(words.for_the_page(str(error))), icon=":material/warning:")
        return
    except OSError as error:
        st.warning(f"The inspection cannot be started: {words.reason(error)}", icon=":material/warning:")
        return
    st.query_params["ticket"] = ticket.id
    let_go(uploads)
    st.rerun()


def result(case: Case, case_id: str, key: str) -> None:
    """Everything there is to see of a case, in the order in which it is asked for."""
    verdict.show(case, key)
    trigger.show(case)
    streams.show(case, key)
    gallery.show(case, key)
    strip.show(case, key)
    asked = histograms.show(case, case_id, key)
    why.show(case, key)
    model_file.show(case)
    if case.finished:
        download.show(case, case_id, key)
    if asked is not None:
        again(case, asked)


def again(case: Case, settings: Settings) -> None:
    """The same model at other settings, if it is still here."""
    source = state.shelf().find(case.report.model["sha256"], case.report.model["file"])
    if source is None:
        st.warning("The model file is no longer here; hand it in again to get its verdict at these settings.")
        return
    start(source, settings, case.report.pack["name"])
